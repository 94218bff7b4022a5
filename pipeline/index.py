"""All datasets' reports -> reports/index.html. Not a stage, since it also shows reports that are only in git.

`make reproduce` ends with it; after `dvc repro`: python -m pipeline.index --reports reports
"""

from pathlib import Path

from pipeline.command import run
from segbench.errors import InputError
from segbench.files import replacing
from segbench.report.pages.overview import DatasetReport, overview_html


def main(*, reports: Path) -> None:
    """Write the page over all folders of `reports` that have a benchmark.csv."""
    folders = sorted(path.parent for path in reports.glob("*/benchmark.csv"))
    if not folders:
        raise InputError(f"{reports}: no folder in it has a benchmark.csv; run dvc repro first")
    html = overview_html([DatasetReport.read(folder) for folder in folders])
    with replacing(reports / "index.html") as temporary:
        temporary.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    run(main)
