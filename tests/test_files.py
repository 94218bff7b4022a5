"""JSON comes back as it was written, files and folders are replaced whole, and errors name the file."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from segbench.errors import InputError
from segbench.files import (
    damage_of,
    project_root,
    put_in_place,
    read_csv,
    read_json,
    remove_all_left_over,
    replacing,
    write_csv,
    write_json,
)


def test_json_comes_back_and_ends_with_a_newline(tmp_path: Path) -> None:
    content = {"mean_iou": 0.5, "names": ["road", None]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    assert (tmp_path / "a.json").read_text().endswith("}\n")


def test_json_refuses_nan_and_keeps_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"mean_iou": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"mean_iou": float("nan")})
    assert read_json(path) == {"mean_iou": 0.5}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "no such file"), (b"{", "not valid JSON"), (b"\xff", "not valid")]
)
def test_unreadable_json_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}: {reason}")


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    for content in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(content)
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a[1].json"
    ended = subprocess.Popen(["true"])
    ended.wait()
    kept = [f".a[1].json.{os.getppid()}.partial", f".b.json.{ended.pid}.partial", ".a[1].json.mine.partial"]
    for name in kept:
        (tmp_path / name).touch()
    folder = tmp_path / f".folder.{ended.pid}.partial"
    (folder / "within").mkdir(parents=True)
    (tmp_path / f".a[1].json.{ended.pid}.partial").touch()
    write_json(path, {})
    with replacing(tmp_path / "folder") as temporary:
        temporary.mkdir()
    assert {each.name for each in tmp_path.iterdir()} == {path.name, "folder", *kept}


def test_all_that_ended_processes_left_in_a_folder_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    kept = [f".a.png.{os.getppid()}.partial", ".a.png.mine.partial", "a.1.partial", ".only.former", "b", "b.former"]
    for name in (*kept, f".a.png.{ended.pid}.partial"):
        (tmp_path / name).touch()
    for name in (f".b.{ended.pid}.partial", ".b.former"):
        (tmp_path / name / "within").mkdir(parents=True)
    remove_all_left_over(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == set(kept)


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for name in ("first", "second"):
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert [path.name for path in folder.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [folder]


def test_an_error_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("former")
    with pytest.raises(RuntimeError, match="halfway"), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("halfway")
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_former_folder_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("former")
    with pytest.raises(RuntimeError, match="halfway"), replacing(folder) as temporary:
        temporary.mkdir()
        (temporary / "a.txt").write_text("half")
        raise RuntimeError("halfway")
    assert (folder / "a.txt").read_text() == "former"
    assert sorted(tmp_path.rglob("*")) == [folder, folder / "a.txt"]


def test_the_project_is_where_dvc_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert project_root() == tmp_path
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    assert project_root() == tmp_path / "project"


def test_a_folder_replaces_another_even_if_a_kill_left_an_older_one(tmp_path: Path) -> None:
    for name in ("data", ".data.former", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    put_in_place(tmp_path / "new", tmp_path / "data")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "data", tmp_path / "data" / "new"]


def test_the_former_folder_is_whole_until_the_new_one_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing many files takes so long that a kill may come during it."""
    for name in ("data", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    monkeypatch.setattr("shutil.rmtree", lambda folder, **options: seen.append(sorted((tmp_path / "data").iterdir())))
    seen: list[list[Path]] = []
    put_in_place(tmp_path / "new", tmp_path / "data")
    assert seen == [[tmp_path / "data" / "new"]]


def test_every_flipped_bit_of_saved_weights_is_seen_or_changes_nothing(tmp_path: Path) -> None:
    """Torch itself loads them without an error."""
    path, rng = tmp_path / "weights.pt", np.random.default_rng(0)
    weights = {"weight": torch.linspace(0, 1, 20000)}
    torch.save(weights, path)
    assert not damage_of(path)
    content, num_seen = path.read_bytes(), 0
    for bit in rng.integers(8 * len(content), size=100).tolist():
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        if damage_of(path):
            num_seen += 1
        else:
            assert torch.equal(torch.load(path)["weight"], weights["weight"])
    assert num_seen >= 95
    for num_bytes in (0, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:num_bytes])
        assert damage_of(path)


def test_a_table_is_read_as_it_was_written_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path, table = tmp_path / "table.csv", pd.DataFrame({"a": [0.1 + 0.2, 1e-300], "b": ["x", "y, z"]})
    write_csv(path, table)
    assert read_csv(path).equals(table)
    for content in (b"", b'a,b\n1,"x', b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"table.csv: damaged \("):
            read_csv(path)
    path.unlink()
    with pytest.raises(InputError, match=r"table.csv: no such file"):
        read_csv(path)
