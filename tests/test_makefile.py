"""What `make` does to a user's files."""

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_clean_spares_raw_data_and_reports(tmp_path: Path) -> None:
    kept = [
        "data/README.md", "data/raw/mine/masks/a.png", "data/mine/images/a.png", "data/notes.txt",
        "reports/mine/audit.md",
    ]  # fmt: skip
    made = [
        "data/prepared/mine/manifest.csv",
        "data/prepared/.other.partial/manifest.csv",
        "data/.sources.123.partial/a.json",
        "data/sources/compare.json",
        "data/checkpoints/a",
        *(f"{folder}/a" for folder in re.findall(r"data/[a-z]+", (PROJECT / "dvc.yaml").read_text())),
        ".dvc/cache/a",
        "mlflow.db",
        ".venv/bin/python",
    ]
    for name in (*kept, *made):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    command = ["make", "-f", str(PROJECT / "Makefile"), "clean"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
