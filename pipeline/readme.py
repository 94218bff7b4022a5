"""A dataset's benchmark.csv -> the short table in README.md. Not a stage: `make readme`."""

from pathlib import Path

import pandas as pd

from pipeline.command import run
from segbench.files import replacing
from segbench.report.pages.brief import brief_table, put_between


def main(*, dataset: str, readme: Path) -> None:
    """Replace the dataset's table in README.md."""
    text = put_between(
        readme.read_text(encoding="utf-8"), brief_table(pd.read_csv(f"reports/{dataset}/benchmark.csv")), name=dataset
    )
    with replacing(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
