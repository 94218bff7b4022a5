"""A folder's digest is of its content, and content that has been read is not read again."""

import os
import shutil
from pathlib import Path

import pytest

from segbench.datasets import contents
from segbench.datasets.contents import contents_digest


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "more/a.png"):
        (folder / name).write_text(name)
    return folder


def test_a_copy_on_another_machine_has_the_same_digest(images: Path) -> None:
    copy = Path("elsewhere/pictures")
    shutil.copytree(images, copy, copy_function=shutil.copyfile)
    os.utime(copy / "a.png", ns=(0, 0))
    assert contents_digest(copy) == contents_digest(images)


@pytest.mark.parametrize("change", ["content", "swap", "move", "missing", "new", "link"])
def test_each_change_of_content_counts(change: str, images: Path) -> None:
    before = contents_digest(images)
    match change:
        case "content":
            (images / "more/a.png").write_text("more/b.png")
        case "swap":
            (images / "a.png").write_text("b.png")
            (images / "b.png").write_text("a.png")
        case "move":
            (images / "b.png").rename(images / "more/b.png")
        case "missing":
            (images / "b.png").unlink()
        case "new":
            (images / "c.png").touch()
        case "link":
            (images / "c.png").symlink_to("nowhere")
    assert contents_digest(images) != before


def test_content_is_read_once(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def file_digest(path: Path) -> str:
        read.append(path)
        return path.read_text()

    monkeypatch.setattr(contents, "file_digest", file_digest)
    first = contents_digest(images)
    assert len(read) == 3
    assert contents_digest(images) == first and len(read) == 3
    os.utime(images / "a.png", ns=(0, 0))
    assert contents_digest(images) == first and len(read) == 6
