"""DVC's experiments -> a table of their changes and validation scores. Not a stage."""

from pathlib import Path

import dvc.api

from pipeline.command import run
from segbench import params
from segbench.report.pages.sweep import sweep_markdown

ALL_COMMITS = -1
NOT_SWEPT = "benchmark"
"""Names the models and datasets, so it cannot change a score."""


def main(*, dataset: str, out: Path) -> None:
    """Write the experiments of this branch on one dataset as a Markdown page."""
    sections = [name for name in params.Params.model_fields if name != NOT_SWEPT]
    out.write_text(
        sweep_markdown(dvc.api.exp_show(num=ALL_COMMITS), dataset=dataset, sections=sections), encoding="utf-8"
    )
    print(f"written: {out}")


if __name__ == "__main__":
    run(main)
