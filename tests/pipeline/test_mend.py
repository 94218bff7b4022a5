"""Damaged files in DVC's cache, which DVC puts in place again and again."""

import os
import time
from pathlib import Path

import pytest

from pipeline import lock, mend
from tests.pipeline.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a stage whose outputs, a file and a folder of two, are in the cache, and one with another file."""
    project = Project(tmp_path / "project")
    (project.root / "dvc.yaml").write_text(
        "stages:\n  make:\n"
        "    cmd: mkdir -p folder/below && echo 1 > folder/one && echo 2 > folder/below/two && echo 3 > file\n"
        "    outs: [folder, file]\n"
    )
    (project.root / "src/dvc.yaml").write_text("stages: {first: {wdir: .., cmd: echo 4 > other, outs: [other]}}\n")
    (project.root / "src/dvc.lock").unlink()
    project.run("repro", "--all-pipelines")
    monkeypatch.chdir(project.root)
    return project


def damage_cache_of(content: bytes) -> Path:
    (path,) = (path for path in mend.CACHE.glob("??/*") if path.read_bytes() == content)
    path.chmod(0o644)
    path.write_bytes(content[:1])
    path.chmod(0o444)
    return path


def test_nothing_is_done_where_nothing_is_damaged(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = project.files()
    mend.main()
    assert capsys.readouterr().out == "Nothing is damaged.\n"
    assert project.files() == before and project.run("status").strip() == "Data and pipelines are up to date."


@pytest.mark.parametrize(("content", "where"), [(b"2\n", "folder/below/two"), (b"3\n", "file"), (b"4\n", "other")])
def test_a_damaged_file_and_its_copy_go_and_are_made_anew(
    project: Project, content: bytes, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cached = damage_cache_of(content)
    Path(where).unlink()
    project.run("checkout", "--force")
    assert Path(where).read_bytes() == content[:1], "DVC has put the damaged file in place"
    mend.main()
    told = capsys.readouterr().out.splitlines()
    assert told == [f"{where}: damaged, as is DVC's copy; removed", f"{cached}: damaged; removed"]
    project.run("repro", "--all-pipelines")
    assert Path(where).read_bytes() == content
    mend.main()
    assert capsys.readouterr().out == "Nothing is damaged.\n"


def test_a_copy_that_is_whole_stays(project: Project) -> None:
    damage_cache_of(b"2\n")
    mend.main()
    assert Path("folder/below/two").read_bytes() == b"2\n"


def test_what_lists_a_folder_may_be_damaged_too(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (listing,) = mend.CACHE.glob("??/*.dir")
    damage_cache_of(listing.read_bytes())
    mend.main()
    assert capsys.readouterr().out == f"{listing}: damaged; removed\n"
    project.run("repro")
    assert Path("folder/below/two").read_bytes() == b"2\n"


def test_locks_are_mended_too(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lock.keep()
    lock.LOCK.write_text("schema")
    lock.RWLOCK.write_text("{")
    for path in (lock.LOCK, lock.RWLOCK):
        os.utime(path, (time.time() - 3600,) * 2)
    mend.main()
    assert [line.partition(" was cut short")[0] for line in capsys.readouterr().out.splitlines()] == [
        "dvc.lock", ".dvc/tmp/rwlock",
    ]  # fmt: skip
    assert project.run("status").strip() == "Data and pipelines are up to date."
