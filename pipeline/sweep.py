"""DVC's experiments -> what each changed, and what it reached on the validation split. Not a stage."""

from pathlib import Path

import dvc.api

from pipeline.command import run
from segbench import params
from segbench.report.pages.sweep import sweep_page

ALL_COMMITS = -1
NOT_SWEPT = "benchmark"
"""The section that says what is made, not how."""


def main(*, dataset: str, out: Path) -> None:
    """Write the experiments of this branch on one dataset as a Markdown table."""
    sections = [name for name in params.Params.model_fields if name != NOT_SWEPT]
    out.write_text(sweep_page(dvc.api.exp_show(num=ALL_COMMITS), dataset=dataset, sections=sections))
    print(f"written: {out}")


if __name__ == "__main__":
    run(main)
