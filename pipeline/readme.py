"""A dataset's benchmark.csv -> the short table in README.md. Not a stage: `make readme`."""

from pathlib import Path

from pipeline.command import run
from segbench.files import read_csv, replacing
from segbench.report.pages.brief import brief_table, put_between


def main(*, dataset: str, readme: Path) -> None:
    """Replace the dataset's table in README.md."""
    table = brief_table(read_csv(Path(f"reports/{dataset}/benchmark.csv")))
    text = put_between(readme.read_text(encoding="utf-8"), table, name=dataset)
    with replacing(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
