"""Print the results tables and where to read on. Not a stage: `make reproduce` ends with it."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.command import print_anything
from segbench import params


def main(datasets: Iterable[str]) -> None:
    """Print each dataset's table, as the compare stage wrote it, and where its page lies."""
    for dataset in datasets:
        report = Path("reports") / dataset
        table, *_ = (report / "benchmark.md").read_text(encoding="utf-8").partition("\n## ")
        print(table)
        print(f"the page:  {report / 'index.html'}")
    print("MLflow UI: make ui")


if __name__ == "__main__":
    print_anything()
    main(params.load().benchmark.datasets)
