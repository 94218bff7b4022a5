"""A dataset's reports -> the picture, answers and short table at the top of README.md. Not a stage: `make readme`."""

from pathlib import Path

from pipeline.command import run
from segbench.files import replacing
from segbench.report.pages.brief import brief, put_between
from segbench.report.pages.glance import write_glance


def main(*, dataset: str, readme: Path) -> None:
    """Write reports/DATASET/glance.png, and replace what README.md says of the dataset."""
    reports = Path("reports") / dataset
    text = put_between(readme.read_text(encoding="utf-8"), write_glance(reports), name=f"{dataset} picture")
    text = put_between(text, brief(reports), name=dataset)
    with replacing(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
