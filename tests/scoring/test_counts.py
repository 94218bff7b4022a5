"""Counts of label maps, and label maps that other programs made."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import Example, Source
from segbench.errors import InputError
from segbench.images import write_label_map
from segbench.labels import IGNORE_INDEX, Classes, LabelMap
from segbench.prediction.external import adopt
from segbench.scoring.boundaries import boundary_distances, trimap_confusions
from segbench.scoring.counts import KINDS, SplitCounts, count_folders, predicted_label_map, read_counts, write_counts
from segbench.scoring.metrics import ClassPixels, compute_scores, confusion_matrix
from tests.scoring.population import confusions_of, split_counts

CLASSES = Classes.of([("road", (128, 64, 128)), ("sky", (70, 130, 180)), ("car", (64, 0, 128))])
WIDTHS_PX = [1.0, 3.0]
NAMES = ["a", "b"]


def label_map(seed: int) -> LabelMap:
    """Three classes in 6x8 px, one pixel without a class."""
    drawn = np.random.default_rng(seed).integers(0, 3, (6, 8), np.uint8)
    drawn[0, 0] = IGNORE_INDEX
    return drawn


@pytest.fixture
def data(tmp_path: Path) -> Prepared:
    """Two test images."""

    def example(split: str, name: str, seed: int) -> Example:
        image = np.full((6, 8, 3), seed, np.uint8)
        return Example(split=split, name=name, group="g", block=name, load=lambda: (image, label_map(seed)))

    examples = [example(split, "x", index) for index, split in enumerate(("train", "val"))]
    examples += [example("test", name, 10 + index) for index, name in enumerate(NAMES)]
    return prepare(Source(CLASSES, IGNORE_INDEX, examples), tmp_path / "prepared")


def predict(folder: Path, *, seed: int) -> Path:
    """Write a guess for every test image."""
    for index, name in enumerate(NAMES):
        guess = np.random.default_rng(seed + index).integers(0, 3, (6, 8), np.uint8)
        write_label_map(folder / f"{name}.png", guess, CLASSES)
    return folder


def test_counts_are_those_of_each_image_and_seed(data: Prepared, tmp_path: Path) -> None:
    folders = [predict(tmp_path / f"seed_{seed}", seed=seed) for seed in (20, 30)]
    counts = count_folders(data, folders, widths_px=WIDTHS_PX)
    assert counts.confusions.shape == (2, 3, 3) and counts.images.predicted.shape == (2, 2, 3)
    assert counts.near_boundaries.true.shape == (2, 3)
    for seed, folder in enumerate(folders):
        near, of_split = np.zeros((2, 3, 3), np.int64), np.zeros((3, 3), np.int64)
        for index, row in enumerate(data.split("test")):
            truth, predicted = data.label_map(row), predicted_label_map(folder, row)
            expected = confusion_matrix(truth=truth, predicted=predicted, num_classes=3)
            same(counts.images.seed(seed).select(index), ClassPixels.of(expected))
            distances_px = boundary_distances(truth)
            near += trimap_confusions(
                distances_px, truth=truth, predicted=predicted, num_classes=3, widths_px=WIDTHS_PX
            )
            of_split += expected
        same(counts.near_boundaries.seed(seed), ClassPixels.of(near))
        np.testing.assert_array_equal(counts.confusions[seed], of_split)
        same(counts.images.total().seed(seed), ClassPixels.of(of_split))
        assert counts.scores()[seed].as_report("abc") == compute_scores(of_split).as_report("abc")
    first = counts.first_seeds(1)
    assert (first.num_seeds, counts.num_seeds) == (1, 2)
    same(first.images, ClassPixels(counts.images.true, counts.images.predicted[:1], counts.images.correct[:1]))


def same(found: ClassPixels, expected: ClassPixels) -> None:
    for kind in KINDS:
        np.testing.assert_array_equal(getattr(found, kind), getattr(expected, kind))


def test_counts_come_back_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    confusions = confusions_of(rng, accuracy=0.8, num_seeds=2)
    small = split_counts(confusions, near_boundaries=confusions[:, :3])
    large = SplitCounts(small.images, small.confusions + 2**40, small.near_boundaries)
    write_counts(tmp_path / "counts.npz", {"off": small, "on": large})
    stored = read_counts(tmp_path / "counts.npz")
    for name, counts in (("off", small), ("on", large)):
        np.testing.assert_array_equal(stored[name].confusions, counts.confusions)
        same(stored[name].images, counts.images)
        same(stored[name].near_boundaries, counts.near_boundaries)
        assert stored[name].confusions.dtype == np.int64
    with pytest.raises(InputError, match=r"no\.npz: no such file"):
        read_counts(tmp_path / "no.npz")


def test_sums_of_stored_counts_do_not_overflow() -> None:
    """They are stored in 32 bits; a split of many large images has more pixels of a class."""
    many = np.full((2, 3), 2**31, np.uint32)
    pixels = ClassPixels(many, many, many // 2)
    assert pixels.total().true.tolist() == [2**32] * 3
    of_image = pixels.select(0).scores()
    assert of_image.mean_iou == pytest.approx(1 / 3) and of_image.mean_dice == 0.5


@pytest.mark.parametrize("form", ["palette", "grey", "colours", "colours with alpha"])
def test_label_maps_from_elsewhere_are_read_in_every_usual_form(form: str, data: Prepared, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for row in data.split("test"):
        truth = data.label_map(row)
        path = theirs / f"{row.name}.png"
        match form:
            case "palette":
                write_label_map(path, truth, CLASSES)
            case "grey":
                Image.fromarray(truth).save(path)
            case "colours":
                Image.fromarray(CLASSES.colorize(truth)).save(path)
            case "colours with alpha":
                Image.fromarray(CLASSES.colorize(truth)).convert("RGBA").save(path)
    adopt(theirs, data, tmp_path / "adopted")
    for row in data.split("test"):
        np.testing.assert_array_equal(predicted_label_map(tmp_path / "adopted", row), data.label_map(row))
    counts = count_folders(data, [tmp_path / "adopted"], widths_px=WIDTHS_PX)
    assert np.trace(counts.confusions[0]) == counts.confusions.sum() == 2 * (6 * 8 - 1)


def _save(array: NDArray[np.unsignedinteger]) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(array).save(path)


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), r"b\.png: no such file"),
    "size": (_save(np.zeros((8, 6), np.uint8)), r"b\.png: it is 6x8; it must be 8x6, as its image is"),
    "value": (_save(np.full((6, 8), 7, np.uint8)), r"b\.png: label 7 is outside 0\.\.2"),
    "colour": (_save(np.full((6, 8, 3), 9, np.uint8)), r"b\.png: colour \(9, 9, 9\) is no class's"),
    "16 bit": (_save(np.zeros((6, 8), np.uint16)), r"b\.png: mode I;16; a label map must be 8-bit"),
    "damaged": (lambda path: path.write_bytes(b"no image"), r"b\.png: not a readable image"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_label_maps_from_elsewhere_is_named(mistake: str, data: Prepared, tmp_path: Path) -> None:
    theirs = predict(tmp_path / "theirs", seed=0)
    make, message = MISTAKES[mistake]
    make(theirs / "b.png")
    with pytest.raises(InputError, match=message) as raised:
        adopt(theirs, data, tmp_path / "adopted")
    assert len(str(raised.value).splitlines()) == 1


def test_every_file_with_a_mistake_is_named(data: Prepared, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        adopt(tmp_path / "nothing", data, tmp_path / "adopted")
    assert [re.split(r"[/:]", line)[-2] for line in str(raised.value).splitlines()] == ["a.png", "b.png"]


def test_a_pixel_left_without_a_class_is_refused_where_the_truth_has_one(data: Prepared, tmp_path: Path) -> None:
    predict(tmp_path / "theirs", seed=0)
    theirs = tmp_path / "theirs/b.png"
    write_label_map(theirs, np.full((6, 8), IGNORE_INDEX, np.uint8), CLASSES)
    with pytest.raises(InputError, match=f"^{theirs}: no class in 47 pixels where the truth has one; give each pixel"):
        adopt(tmp_path / "theirs", data, tmp_path / "adopted")
    with pytest.raises(InputError, match=r"b\.png: predicted label 255 is outside 0\.\.2"):
        count_folders(data, [tmp_path / "theirs"], widths_px=WIDTHS_PX)
    write_label_map(theirs, np.where(label_map(0) == IGNORE_INDEX, IGNORE_INDEX, 1).astype(np.uint8), CLASSES)
    adopt(tmp_path / "theirs", data, tmp_path / "adopted")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_damaged_counts_are_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "counts.npz"
    write_counts(path, {"off": split_counts(np.arange(16).reshape(2, 2, 2, 2))})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=rf"^{path}: damaged \(.*\); remove the file and run dvc repro$"):
        read_counts(path)
