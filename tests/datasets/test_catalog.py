"""A source's files have digests, by which DVC sees that they have changed."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from segbench.datasets.catalog import open_source, source_files
from segbench.params.sources import VOC2012Source

VOC = VOC2012Source(kind="voc2012", root=Path("voc"), sbd=Path("sbd"))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def fill(root: Path) -> None:
    (root / "images/more").mkdir(parents=True)
    (root / "images/more/a.png").write_bytes(b"pixels")
    (root / "train.txt").write_text("a")


def test_every_folder_that_a_source_names_counts() -> None:
    for root in ("voc", "sbd"):
        fill(Path(root))
    before = source_files(VOC)
    assert set(before) == {"voc/images", "voc/train.txt", "sbd/images", "sbd/train.txt"}
    image = Path("sbd/images/more/a.png")
    os.utime(image, ns=(0, 0))
    assert {name for name, digest in source_files(VOC).items() if digest != before[name]} == {"sbd/images"}
    image.rename(image.with_name("b.png"))
    assert source_files(VOC)["sbd/images"] != before["sbd/images"]
    os.utime(Path("voc/train.txt"), ns=(0, 0))
    assert source_files(VOC)["voc/train.txt"] == before["voc/train.txt"], "small files count by content"


def test_a_download_changes_nothing_but_a_copy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the run after the first would prepare the same images again."""
    module = ModuleType("downloads")

    def download(root: Path, *, sbd: Path) -> None:
        for folder in (root, sbd):
            if not folder.exists():
                fill(folder)

    module.open_source = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "downloads", module)
    monkeypatch.setattr(VOC2012Source, "module", "downloads")
    fill(Path("sbd"))
    before = source_files(VOC)
    open_source(VOC)
    assert source_files(VOC) == before
    assert set(before) == {"voc", "sbd/images", "sbd/train.txt"}
