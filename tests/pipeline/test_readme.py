"""`python -m pipeline.readme` writes what README and the picture in git are."""

import shutil
from pathlib import Path

import pytest

from pipeline import readme
from tests.parameters import PROJECT

NEEDED = ("benchmark.csv", "benchmark.md", "differences.csv", "index.html", "models/*/training.json",
          "models/*/prediction.json")  # fmt: skip


def test_readme_and_its_picture_are_those_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "reports/camvid"
    report = PROJECT / "reports/camvid"
    for file in [file for pattern in NEEDED for file in report.glob(pattern)]:
        copy = folder / file.relative_to(report)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    written = (PROJECT / "README.md").read_text()
    (tmp_path / "README.md").write_text(written)
    monkeypatch.chdir(tmp_path)
    readme.main(dataset="camvid", readme=Path("README.md"))
    assert (tmp_path / "README.md").read_text() == written, "make readme"
    assert (folder / "glance.png").exists() and (PROJECT / "reports/camvid/glance.png").exists()
