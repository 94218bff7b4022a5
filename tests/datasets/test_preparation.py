"""Preparation checks every image, writes one layout, and leaves no half of a dataset."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segbench.datasets import scenes
from segbench.datasets.preparation import JOURNAL, prepare, prepare_and_align
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import Example, Source, read_pair
from segbench.errors import InputError
from segbench.images import RGBImage, read_image, write_image, write_label_map
from segbench.labels import IGNORE_INDEX, Classes
from tests.parameters import PROJECT

CLASSES = Classes.of([("road", (128, 64, 128)), ("sky", (70, 130, 180)), ("car", (64, 0, 128))])
RAW_IGNORE_INDEX = 11
LABEL_MAP = np.array([[0, 0, 1], [RAW_IGNORE_INDEX, 1, 1]], np.uint8)


def image_of(name: str) -> RGBImage:
    return np.random.default_rng(list(name.encode())).integers(0, 256, (2, 3, 3), np.uint8)


def example(split: str, name: str, *, label_map: NDArray[np.uint8] = LABEL_MAP, group: str = "video") -> Example:
    return Example(split=split, name=name, group=group, block=name, load=lambda: (image_of(name), label_map))


def damaged(split: str, name: str, folder: Path) -> Example:
    path = folder / f"{name}.png"
    write_image(path, image_of(name))
    path.write_bytes(path.read_bytes()[:40])
    return Example(split=split, name=name, group="video", block=name, load=lambda: (read_image(path), LABEL_MAP))


GOOD = [example("train", "a", group="first"), example("train", "b"), example("val", "a"), example("test", "c")]


def source(examples: Sequence[Example]) -> Source:
    return Source(classes=CLASSES, ignore_index=RAW_IGNORE_INDEX, examples=examples)


def fingerprint(folder: Path, examples: Sequence[Example]) -> str:
    return prepare(source(examples), folder / "prepared").fingerprint


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_image_has_its_row_in_order(tmp_path: Path) -> None:
    prepared = prepare(source(GOOD), tmp_path / "prepared")
    assert [(row.split, row.name) for row in prepared.rows] == [
        ("train", "a"),
        ("train", "b"),
        ("val", "a"),
        ("test", "c"),
    ]
    row = prepared.split("train")[0]
    assert (row.group, row.height_px, row.width_px) == ("first", 2, 3)
    assert row.class_pixels == (2, 3, 0)
    assert row.ignored_pixels == 1
    assert prepared.classes == CLASSES


def test_images_keep_their_pixels_and_the_sources_ignore_index_becomes_ours(tmp_path: Path) -> None:
    prepared = prepare(source(GOOD), tmp_path / "prepared")
    for row in prepared.rows:
        np.testing.assert_array_equal(prepared.image(row), image_of(row.name))
        assert prepared.label_map(row).tolist() == [[0, 0, 1], [IGNORE_INDEX, 1, 1]]


def test_the_layout_is_the_documented_one(tmp_path: Path) -> None:
    prepare(source(GOOD), tmp_path)
    assert set(files_in(tmp_path)) == {
        "manifest.csv",
        "dataset.json",
        *(
            f"{split}/{kind}/{name}.png"
            for split, name in (("train", "a"), ("train", "b"), ("val", "a"), ("test", "c"))
            for kind in ("images", "label_maps")
        ),
    }
    header = (tmp_path / "manifest.csv").read_text().splitlines()[0]
    assert header == (
        "split,name,group,block,height_px,width_px,ignored_pixels,image_digest,label_digest,perceptual_hash,"
        "pixels_road,pixels_sky,pixels_car"
    )


def test_what_was_prepared_opens_again(tmp_path: Path) -> None:
    prepared = prepare(source(GOOD), tmp_path / "prepared")
    assert Prepared.open(tmp_path / "prepared") == prepared


def test_preparing_again_changes_no_byte_and_leaves_no_former_file(tmp_path: Path) -> None:
    prepare(source([*GOOD, example("test", "former")]), tmp_path / "again")
    prepare(source(GOOD), tmp_path / "again")
    prepare(source(GOOD), tmp_path / "once")
    assert files_in(tmp_path / "again") == files_in(tmp_path / "once")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param([example("train", "a", group="first", label_map=LABEL_MAP % 11), *GOOD[1:]], id="one label"),
        pytest.param([dataclasses.replace(GOOD[0], load=GOOD[3].load), *GOOD[1:]], id="pixels"),
        pytest.param([dataclasses.replace(GOOD[0], name="d"), *GOOD[1:]], id="name"),
        pytest.param([dataclasses.replace(GOOD[0], group="second"), *GOOD[1:]], id="group"),
        pytest.param([dataclasses.replace(GOOD[0], block="second"), *GOOD[1:]], id="block"),
        pytest.param([GOOD[0], dataclasses.replace(GOOD[1], split="test"), *GOOD[2:]], id="split"),
        pytest.param([GOOD[1], GOOD[0], *GOOD[2:]], id="order"),
        pytest.param([*GOOD, example("test", "d")], id="one more"),
    ],
)
def test_the_fingerprint_changes_with_any_difference(tmp_path: Path, changed: list[Example]) -> None:
    assert fingerprint(tmp_path, GOOD) == fingerprint(tmp_path, GOOD)
    assert fingerprint(tmp_path, GOOD) != fingerprint(tmp_path, changed)


def test_the_fingerprint_changes_with_one_pixel_and_with_a_classs_name(tmp_path: Path) -> None:
    image = image_of("a")
    image[1, 2, 0] ^= 1
    one_pixel = dataclasses.replace(GOOD[0], load=lambda: (image, LABEL_MAP))
    renamed = dataclasses.replace(source(GOOD), classes=dataclasses.replace(CLASSES, names=("road", "sky", "cart")))
    fingerprints = {
        fingerprint(tmp_path, GOOD),
        fingerprint(tmp_path, [one_pixel, *GOOD[1:]]),
        prepare(renamed, tmp_path / "prepared").fingerprint,
    }
    assert len(fingerprints) == 3


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        (np.array([[0, 0, 1], [11, 3, 1]], np.uint8), r"label 3 is outside 0\.\.2 and is not ignore_index 11"),
        (np.array([[0, 0, 1], [255, 1, 1]], np.uint8), r"label 255 is outside 0\.\.2 and is not ignore_index 11"),
        (np.zeros((3, 2), np.uint8), "the image is 3x2[, ].* its label map 2x3; .*"),
    ],
)
def test_a_wrong_label_map_is_named(tmp_path: Path, label_map: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(InputError, match=rf"^val/bad\.png: {message}$"):
        prepare(source([*GOOD, example("val", "bad", label_map=label_map)]), tmp_path / "prepared")


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}/bad\.png: not a readable image [^\n]*$"):
        prepare(source([*GOOD, damaged("train", "bad", tmp_path)]), tmp_path / "prepared")


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "the split train is empty; it must have at least one image"),
        (GOOD[:2] + GOOD[3:], "the split val is empty; it must have at least one image"),
        ([*GOOD, example("val", "a")], "val/a: named 2 times; a split names an image once"),
    ],
)
def test_splits_have_images_and_each_of_them_once(tmp_path: Path, examples: list[Example], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        prepare(source(examples), tmp_path / "prepared")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_without_a_labelled_pixel_is_refused(tmp_path: Path, split: str) -> None:
    nothing = np.full_like(LABEL_MAP, RAW_IGNORE_INDEX)
    examples = [example(it.split, it.name, label_map=nothing) if it.split == split else it for it in GOOD]
    with pytest.raises(
        InputError, match=f"^no pixel of the split {split} has a class; label at least one of its images"
    ):
        prepare(source(examples), tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(
    ("num_bad", "num_listed", "last"),
    [(3, 3, "train/bad02.png"), (20, 20, "train/bad19.png"), (23, 20, "... and 3 more")],
)
def test_bad_files_are_listed_in_order_one_per_line(tmp_path: Path, num_bad: int, num_listed: int, last: str) -> None:
    bad = [example("train", f"bad{index:02d}", label_map=LABEL_MAP + 3) for index in range(num_bad)]
    with pytest.raises(InputError) as caught:
        prepare(source([*GOOD[:2], *bad, *GOOD[2:]]), tmp_path / "prepared")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines[:num_listed]] == [
        f"train/bad{index:02d}.png" for index in range(num_listed)
    ]
    assert lines[-1].startswith(last)
    assert len(lines) == min(num_bad, 21)


def test_a_failure_leaves_the_former_dataset_byte_for_byte(tmp_path: Path) -> None:
    prepare(source(GOOD), tmp_path / "prepared")
    before = files_in(tmp_path / "prepared")
    with pytest.raises(InputError, match="label 3 is outside"):
        prepare(
            source([example("train", "new"), *GOOD, example("val", "bad", label_map=LABEL_MAP + 3)]),
            tmp_path / "prepared",
        )
    assert files_in(tmp_path / "prepared") == before


@pytest.mark.parametrize("missing", ["dataset.json", "manifest.csv"])
def test_a_folder_that_holds_no_prepared_dataset_is_named(tmp_path: Path, missing: str) -> None:
    prepare(source(GOOD), tmp_path / "prepared")
    (tmp_path / "prepared" / missing).unlink()
    with pytest.raises(InputError, match=rf"^{tmp_path}/prepared/{missing}: no such file"):
        Prepared.open(tmp_path / "prepared")


# Interrupted preparations continue


def write_files(folder: Path, names: Sequence[str]) -> Source:
    """Files of images and label maps, and a source that reads them; the first name is val's, the second test's."""
    examples = []
    for index, name in enumerate(names):
        image, labels = folder / "images" / f"{name}.png", folder / "labels" / f"{name}.png"
        write_image(image, image_of(name))
        write_label_map(labels, np.zeros((2, 3), np.uint8), CLASSES)
        split = ("val", "test")[index] if index < 2 else "train"
        load = partial(read_pair, image, labels, {0: 0, 1: 1})
        examples.append(Example(split=split, name=name, group="video", block=name, load=load))
    return source(examples)


def written_ns(root: Path) -> dict[str, int]:
    """When each prepared image was written."""
    return {path.stem: path.stat().st_mtime_ns for path in root.glob("*/images/*.png")}


NAMES = [f"{index:02d}" for index in range(12)]


def interrupted(folder: Path) -> tuple[Source, dict[str, int]]:
    """A source in which preparation found one wrong file, corrected since, and when it wrote the other images."""
    made = write_files(folder / "raw", NAMES)
    wrong = folder / "raw/labels/05.png"
    write_label_map(wrong, np.full((2, 3), 2, np.uint8), CLASSES)
    with pytest.raises(InputError, match=f"^{wrong}: value 2 is no class's"):
        prepare(made, folder / "prepared")
    times = written_ns(folder / ".prepared.partial")
    assert sorted(times) == [name for name in NAMES if name != "05"]
    write_label_map(wrong, np.ones((2, 3), np.uint8), CLASSES)
    return made, times


def test_once_a_wrong_file_is_corrected_only_that_is_prepared(tmp_path: Path) -> None:
    made, times = interrupted(tmp_path)
    again = prepare(made, tmp_path / "prepared")
    assert {name: when for name, when in written_ns(tmp_path / "prepared").items() if name != "05"} == times
    assert files_in(again.root) == files_in(prepare(made, tmp_path / "at once").root)
    assert not (tmp_path / ".prepared.partial").exists()


def test_a_file_that_has_changed_since_is_prepared_again(tmp_path: Path) -> None:
    made, times = interrupted(tmp_path)
    write_image(tmp_path / "raw/images/03.png", image_of("another"))
    again = prepare(made, tmp_path / "prepared")
    changed = {name for name, when in written_ns(again.root).items() if times.get(name) != when}
    assert changed == {"03", "05"}
    np.testing.assert_array_equal(again.image(again.split("train")[1]), image_of("another"))


def test_other_classes_or_images_take_nothing_from_a_former_run(tmp_path: Path) -> None:
    made, times = interrupted(tmp_path)
    other = dataclasses.replace(made, classes=dataclasses.replace(CLASSES, names=("way", "sky", "car")))
    again = prepare(dataclasses.replace(other, examples=made.examples[:8]), tmp_path / "prepared")
    assert not set(times.values()) & set(written_ns(again.root).values())
    assert sorted(written_ns(again.root)) == NAMES[:8]


PREPARE_FOLDER = """
from pathlib import Path
from segbench import params
from segbench.datasets import folder
from segbench.datasets.preparation import prepare
from segbench.errors import InputError
source = folder.open_source(Path("raw"), groups=None, bits=8, split=params.FoldersSplit(by="folders"))
try:
    prepare(source, Path("prepared"))
except InputError as error:
    print(error)
"""


def test_only_an_edit_of_code_that_preparation_imports_prepares_images_again(tmp_path: Path) -> None:
    """A copy of the code is edited between two preparations, both of which a wrong mask stops."""
    for split in ("train", "val", "test"):
        write_image(tmp_path / "raw/images" / split / f"{split}.png", image_of(split))
        write_label_map(tmp_path / "raw/masks" / split / f"{split}.png", np.zeros((2, 3), np.uint8), CLASSES)
    (tmp_path / "raw/classes.csv").write_text("name,value\nroad,0\nsky,2\n")
    write_label_map(tmp_path / "raw/masks/test/test.png", np.ones((2, 3), np.uint8), CLASSES)
    package = tmp_path / "src/segbench"
    for name in ("src/segbench", "pipeline"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))

    def times_after_edits(*names: str) -> dict[str, int]:
        for name in names:
            with (package / name).open("a") as file:
                file.write("\nEDITED = True\n")
        environment = {**os.environ, "PYTHONPATH": f"{package.parent}{os.pathsep}{tmp_path}", "DVC_ROOT": str(tmp_path)}
        command = [sys.executable, "-c", PREPARE_FOLDER]
        run = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        assert run.stdout.startswith(f"{tmp_path}/raw/masks/test/test.png: value 1 is no class's")
        return written_ns(tmp_path / ".prepared.partial")

    first = times_after_edits()
    assert sorted(first) == ["train", "val"]
    assert times_after_edits("datasets/camvid.py", "datasets/audit.py", "crf/energy.py", "machine.py") == first
    assert not set(times_after_edits("datasets/raw.py").values()) & set(first.values())


def test_a_journal_that_a_kill_has_cut_is_read_up_to_there(tmp_path: Path) -> None:
    made, times = interrupted(tmp_path)
    journal = tmp_path / ".prepared.partial" / JOURNAL
    journal.write_text(journal.read_text()[:-100])
    again = prepare(made, tmp_path / "prepared")
    changed = {name for name, when in written_ns(again.root).items() if times.get(name) != when}
    assert changed == {"05", NAMES[-1]}
    assert files_in(again.root) == files_in(prepare(made, tmp_path / "at once").root)


def test_a_file_that_a_kill_has_cut_is_not_in_the_dataset(tmp_path: Path) -> None:
    made, _ = interrupted(tmp_path)
    (tmp_path / ".prepared.partial/train/images/.05.png.123.partial").write_bytes(b"\x89PNG")
    again = prepare(made, tmp_path / "prepared")
    assert files_in(again.root) == files_in(prepare(made, tmp_path / "at once").root)


def test_a_kill_leaves_the_former_dataset_and_the_next_run_continues(tmp_path: Path) -> None:
    """A process that prepares drawn scenes is killed in the middle."""
    size, num_images = {"width_px": 64, "height_px": 48}, {"num_train": 60, "num_val": 1, "num_test": 1}
    former = prepare(source(GOOD), tmp_path / "prepared")
    before = files_in(former.root)
    code = (
        "from pathlib import Path; from segbench.datasets.preparation import prepare; from segbench.datasets import "
        f"scenes; prepare(scenes.open_source(seed=0, **{size | num_images}), Path('prepared'))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "src")])}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    journal = tmp_path / ".prepared.partial" / JOURNAL
    while process.poll() is None and not (journal.exists() and journal.read_text().count("\n") >= 10):
        time.sleep(0.01)
    process.kill()
    process.wait()
    times = written_ns(journal.parent)
    assert 10 <= len(times) < 60
    assert files_in(former.root) == before
    drawn = scenes.open_source(seed=0, **size, **num_images)
    again, alignments = prepare_and_align(drawn, tmp_path / "prepared")
    kept = [name for name, when in written_ns(again.root).items() if times.get(name) == when]
    assert len(kept) >= 9
    at_once, expected = prepare_and_align(drawn, tmp_path / "at once")
    assert files_in(again.root) == files_in(at_once.root)
    assert alignments == expected and None not in expected
