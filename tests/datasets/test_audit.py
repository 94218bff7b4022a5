"""The audit warns of mistakes in readable data, such as duplicates, and its page shows the warnings."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.datasets import scenes
from segbench.datasets.alignment import Alignment
from segbench.datasets.audit import FEW_IMAGES, audit
from segbench.datasets.preparation import prepare_and_align
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import Example, Source
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX, Classes, LabelMap
from segbench.report.pages.audit import audit_markdown

CLASSES = Classes.of([("road", (128, 64, 128)), ("sky", (70, 130, 180)), ("car", (64, 0, 128))])
SHAPE = (60, 80)
EVEN: LabelMap = np.resize(np.arange(3, dtype=np.uint8), SHAPE)


def scene(seed: int) -> RGBImage:
    return scenes.draw_scene(rng=np.random.default_rng(seed), width_px=80, height_px=60)[0]


def example(
    split: str, seed: int, *, image: RGBImage | None = None, labels: LabelMap = EVEN, group: str = ""
) -> Example:
    picture = scene(seed) if image is None else image
    return Example(split=split, name=f"{seed:02d}", group=group or split, block="", load=lambda: (picture, labels))


GOOD = [*(example("train", seed) for seed in range(FEW_IMAGES)), example("val", 10), example("test", 20)]


def prepared(
    folder: Path, examples: Sequence[Example], *, classes: Classes = CLASSES
) -> tuple[Prepared, tuple[Alignment | None, ...]]:
    return prepare_and_align(Source(classes, IGNORE_INDEX, examples), folder / "prepared")


def warnings(folder: Path, examples: Sequence[Example], *, classes: Classes = CLASSES) -> list[str]:
    findings = audit(*prepared(folder, examples, classes=classes))
    return [": ".join([finding.says, *finding.images]) for finding in findings]


def saved_as_jpeg(image: RGBImage) -> RGBImage:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=70)
    return np.asarray(Image.open(file))


def halved(image: RGBImage) -> RGBImage:
    return np.asarray(Image.fromarray(image).resize((40, 30)).resize((80, 60)))


def brightened(image: RGBImage) -> RGBImage:
    return np.clip(image * 1.1, 0, 255).astype(np.uint8)


def cropped(image: RGBImage) -> RGBImage:
    return np.asarray(Image.fromarray(image).crop((2, 1, 79, 59)).resize((80, 60)))


def test_good_data_give_no_warning(tmp_path: Path) -> None:
    assert warnings(tmp_path, GOOD) == []


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_image_in_two_splits_is_named_with_its_twin(tmp_path: Path, split: str) -> None:
    examples = [*GOOD, example(split, 30, image=scene(3))]
    assert warnings(tmp_path, examples) == [f"images that are in two splits: 1: {split}/30 and train/03"]


@pytest.mark.parametrize("change", [saved_as_jpeg, halved, brightened, cropped])
def test_an_image_that_was_saved_again_is_found_in_another_split(tmp_path: Path, change: type) -> None:
    examples = [*GOOD, example("test", 30, image=change(scene(10)))]
    assert warnings(tmp_path, examples) == ["images that look like one of another split: 1: test/30 and val/10"]


def test_images_of_one_split_may_resemble_each_other(tmp_path: Path) -> None:
    assert warnings(tmp_path, [*GOOD, example("train", 30, image=scene(3)), example("test", 31, image=scene(20))]) == []


def test_a_group_in_two_splits_is_named(tmp_path: Path) -> None:
    examples = [*GOOD, example("train", 30, group="anna"), example("val", 31, group="anna")]
    assert warnings(tmp_path, examples) == ["images of one group are in several splits: anna"]


def test_classes_without_pixels_are_named_by_split(tmp_path: Path) -> None:
    examples = [*GOOD[:-1], example("test", 20, labels=np.where(EVEN == 2, np.uint8(0), EVEN))]
    assert warnings(tmp_path, examples) == ["test has no pixel of car"]


def test_a_class_of_few_images_or_pixels_is_named(tmp_path: Path) -> None:
    without = np.where(EVEN == 2, np.uint8(0), EVEN)
    one_pixel = without.copy()
    one_pixel[0, 0] = 2
    examples = [
        *(example("train", seed, labels=one_pixel if seed == 0 else without) for seed in range(9)),
        *GOOD[-2:],
    ]
    assert warnings(tmp_path, examples) == [
        "only a few training images have car (1)",
        "few training pixels are of car (0.0023 %); train.class_weights may help",
    ]


def test_a_split_with_more_ignored_than_labelled_pixels_is_named(tmp_path: Path) -> None:
    mostly_ignored, ignored = EVEN.copy(), np.full(SHAPE, IGNORE_INDEX, np.uint8)
    mostly_ignored[:31] = IGNORE_INDEX
    assert warnings(tmp_path, [*GOOD[:-1], example("test", 20, labels=mostly_ignored)]) == [
        "52 % of the pixels of test have no class"
    ]
    assert warnings(tmp_path, [*GOOD, example("train", 30, labels=ignored)]) == [
        "images without a labelled pixel: 1: train/30"
    ]


def drawn(change: Callable[[LabelMap], LabelMap]) -> list[Example]:
    """Scenes with the label maps that were drawn with them; that of test/09 is changed."""
    examples = []
    for index, split in enumerate(["train"] * 6 + ["val", "test", "test", "test"]):
        image, label_map = scenes.draw_scene(rng=np.random.default_rng(index), width_px=128, height_px=96)
        labels = change(label_map) if index == 9 else label_map
        examples.append(example(split, index, image=image, labels=labels))
    return examples


def about_label_maps(folder: Path, examples: Sequence[Example]) -> list[str]:
    found = warnings(folder, examples, classes=scenes.CLASSES)
    return [warning for warning in found if warning.startswith("label maps")]


def test_label_maps_that_lie_on_their_images_give_no_warning(tmp_path: Path) -> None:
    assert about_label_maps(tmp_path, drawn(lambda label_map: label_map)) == []


@pytest.mark.parametrize(
    ("shift", "way_back"),
    [((0, -40), "40 px to the right"), ((0, 10), "10 px to the left"), ((-9, 6), "6 px to the left and 9 px down")],
)
def test_a_label_map_that_was_wrapped_around_is_named_with_the_way_back(
    tmp_path: Path, shift: tuple[int, int], way_back: str
) -> None:
    examples = drawn(lambda label_map: np.roll(label_map, shift, axis=(0, 1)))
    assert about_label_maps(tmp_path, examples) == [
        "label maps that fit their images better when they are moved, around the sides too: 1: "
        f"test/09, by about {way_back}"
    ]


def mirrored(label_map: LabelMap) -> LabelMap:
    return label_map[:, ::-1]


def of_another_image(_: LabelMap) -> LabelMap:
    return scenes.draw_scene(rng=np.random.default_rng(99), width_px=128, height_px=96)[1]


@pytest.mark.parametrize("change", [mirrored, of_another_image])
def test_a_label_map_that_does_not_belong_to_its_image_is_named(
    tmp_path: Path, change: Callable[[LabelMap], LabelMap]
) -> None:
    assert about_label_maps(tmp_path, drawn(change)) == [
        "label maps whose edges are not where the image has edges, as if of another image: 1: test/09"
    ]


def test_faint_edges_in_a_whole_dataset_tell_nothing_of_a_label_map(tmp_path: Path) -> None:
    data, _ = prepared(tmp_path, GOOD)
    faint = [Alignment(in_place=4.0, best=4.5, down_px=9, right_px=9)] * len(data.rows)
    assert audit(data, [*faint[1:], Alignment(in_place=0.5, best=4.5, down_px=9, right_px=9)]) == []


def test_the_page_has_splits_classes_and_warnings(tmp_path: Path) -> None:
    small = example("test", 30, image=scene(3)[:40, :50], labels=EVEN[:40, :50])
    more = [example("test", 40 + seed, image=scene(1)) for seed in range(25)]
    data, alignments = prepared(tmp_path, [*GOOD, small, *more])
    page = audit_markdown(data, audit(data, alignments), dataset="mine")
    assert page.startswith("# Audit of mine\n")
    assert "**Warning:** images that are in two splits: 25.\n\n- test/40 and train/01\n" in page
    assert "- ... and 5 more\n" in page
    assert "| test  | 50x40 to 80x60 |     27 |" in page
    assert "| car   |   33.33 |" in page
    assert "No warnings." in audit_markdown(data, [], dataset="mine")
