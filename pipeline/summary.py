"""Print the benchmark tables and where to look further. Not a stage: `make reproduce` ends with it."""

from pathlib import Path

from segbench import params


def main() -> None:
    """Print what the compare stage wrote for each dataset."""
    for dataset in params.load().benchmark.datasets:
        report = Path("reports") / dataset
        print((report / "benchmark.md").read_text())
        print(f"report:    {report}/")
    print("MLflow UI: make ui")


if __name__ == "__main__":
    main()
