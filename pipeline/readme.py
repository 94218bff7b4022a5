"""A dataset's reports -> the answers and the short table in README.md. Not a stage: `make readme`."""

from pathlib import Path

from pipeline.command import run
from segbench.files import read_csv, replacing
from segbench.report.pages.brief import brief_answers, brief_table, put_between
from segbench.report.pages.overview import DatasetReport


def main(*, dataset: str, readme: Path) -> None:
    """Replace what README.md says of the dataset."""
    reports = Path("reports") / dataset
    lines = [*brief_answers(DatasetReport.read(reports)), *brief_table(read_csv(reports / "benchmark.csv"))]
    text = put_between(readme.read_text(encoding="utf-8"), lines, name=dataset)
    with replacing(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
