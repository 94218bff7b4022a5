"""Entries, ranks, differences and the words about them, from counts for which they are known."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import Example, Source
from segbench.labels import IGNORE_INDEX, Classes
from segbench.report.drawing import pictures
from segbench.report.drawing.plots import write_confusions
from segbench.report.pages.wording import averaged, summarised
from segbench.report.table.assemble import (
    MOST_GROUPS,
    Contender,
    compare,
    error_ratio_of_joined_blocks,
    groups_of,
    sizes_of,
    worst_first,
)
from segbench.report.table.content import Costs, Estimate
from segbench.scoring.metrics import Counts, compute_scores

CLASSES = Classes.of([("road", (128, 64, 128)), ("sky", (70, 130, 180))])
NUM_IMAGES = 30


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Test images of two videos, of which the training split has one; each its own block."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    truth = np.array([[0, 0], [1, 1]], np.uint8)

    def example(split: str, name: str, group: str) -> Example:
        image = pixels + len(name) if split == "test" else pixels
        return Example(split=split, name=name, group=group, block=name, load=lambda: (image, truth))

    examples = [example("train", "t", "town"), example("val", "v", "town")]
    examples += [example("test", f"{index:02d}", "town" if index < 10 else "country") for index in range(NUM_IMAGES)]
    return prepare(Source(CLASSES, IGNORE_INDEX, examples), tmp_path_factory.mktemp("data") / "prepared")


def counts(*, right: float, seed: int = 0) -> Counts:
    """(NUM_IMAGES, 2, 2): of 100 pixels a class, about that share is right."""
    found = np.random.default_rng([seed, round(1000 * right)]).binomial(100, right, (NUM_IMAGES, 2))
    return np.array([[[a, 100 - a], [100 - b, b]] for a, b in found])


def scored(
    model: str, *, right: float, crf: bool = False, latency_ms: float | None = None, seeds: int = 1
) -> Contender:
    confusions = np.stack([counts(right=right, seed=seed) for seed in range(seeds)])
    trimap = confusions.sum(axis=1)[:, np.newaxis]
    costs = Costs(1, 1, Estimate(latency_ms), 1.0, 1.0, 1.0) if latency_ms is not None else None
    return Contender(model, crf=crf, confusions=confusions, trimap=trimap, as_in_paper=not crf, costs=costs)


ALL = [
    scored("poor", right=0.7, latency_ms=5.0),
    scored("good", right=0.9, latency_ms=10.0, seeds=2),
    scored("good", right=0.95, crf=True, latency_ms=30.0),
    scored("slow", right=0.8, latency_ms=20.0),
    scored("theirs", right=0.85),
]


def test_entries_are_the_best_first_with_their_scores(data: Prepared) -> None:
    entries, _ = compare(ALL, data)
    assert [entry.label for entry in entries] == ["good + CRF", "good", "theirs", "slow", "poor"]
    assert [entry.rank.place for entry in entries] == [1, 2, 3, 4, 5]
    for entry in entries:
        (one,) = (one for one in ALL if one.label == entry.label)
        per_seed = [compute_scores(confusion) for confusion in one.confusions.sum(axis=1)]
        assert entry.mean_iou.value == pytest.approx(np.mean([each.mean_iou for each in per_seed]))
        assert entry.pixel_accuracy.value == pytest.approx(np.mean([each.pixel_accuracy for each in per_seed]))
        np.testing.assert_allclose(np.array(entry.class_iou), np.mean([each.class_iou for each in per_seed], axis=0))
        assert (entry.seed_spread is None) == (len(per_seed) == 1)
        assert entry.boundary_mean_iou == pytest.approx((entry.mean_iou.value,))


def test_the_front_is_of_what_is_better_than_all_that_is_as_fast(data: Prepared) -> None:
    entries, _ = compare(ALL, data)
    front = {entry.label: entry.is_on_front for entry in entries}
    assert front == {"good + CRF": True, "good": True, "poor": True, "slow": False, "theirs": None}


def test_differences_are_of_each_crf_and_of_all_that_papers_report(data: Prepared) -> None:
    entries, differences = compare(ALL, data)
    value = {entry.label: entry.mean_iou.value or 0 for entry in entries}
    assert {(one.first, one.second) for one in differences} == {
        ("good + CRF", "good"), ("poor", "good"), ("poor", "slow"), ("poor", "theirs"), ("good", "slow"),
        ("good", "theirs"), ("slow", "theirs"),
    }  # fmt: skip
    for one in differences:
        assert one.alone.value == pytest.approx(value[one.first] - value[one.second])


def test_groups_are_scored_apart_and_known_as_seen_or_not(data: Prepared) -> None:
    town, country = sorted(groups_of(data), key=lambda group: group.is_seen, reverse=True)
    assert (town.name, town.num_images, town.is_seen) == ("town", 10, True)
    assert (country.name, country.num_images, country.is_seen) == ("country", 20, False)
    entries, _ = compare(ALL, data)
    poor = entries[-1]
    of_country = compute_scores(ALL[0].confusions[0, 10:].sum(axis=0)).mean_iou
    assert poor.group_mean_iou[[group.name for group in groups_of(data)].index("country")] == pytest.approx(of_country)


def test_many_groups_and_sizes_do_not_fill_the_page(data: Prepared) -> None:
    rows = [replace(row, group=row.name, width_px=10 + number) for number, row in enumerate(data.split("test"))]
    assert sizes_of(rows[:2]) == "10x2, 11x2"
    assert sizes_of(rows) == f"{NUM_IMAGES} sizes from 10x2 to {9 + NUM_IMAGES}x2"
    assert len(groups_of(replace(data, rows=tuple(rows[:MOST_GROUPS])))) == MOST_GROUPS
    assert groups_of(replace(data, rows=tuple(rows))) == ()


def test_the_worst_image_comes_first(data: Prepared) -> None:
    confusions = np.tile(np.array([[2, 0], [0, 2]]), (1, NUM_IMAGES, 1, 1))
    confusions[0, 7] = [[0, 2], [2, 0]]
    confusions[0, 3] = [[1, 1], [0, 2]]
    one = Contender("one", crf=False, confusions=confusions, trimap=confusions.sum(axis=1)[:, np.newaxis])
    label_maps = [np.full((2, 2), int(row.name) % 2, np.uint8) for row in data.split("test")]
    entries, _ = compare([one], data)
    images = list(worst_first(data, entries, {one: label_maps}))
    assert [image.name for image in images[:2]] == ["07", "03"]
    assert len(images) == NUM_IMAGES
    assert images[0].score == 0 and images[-1].mean_iou == (1.0,)
    assert images[1].predicted[0].tolist() == [[1, 1], [1, 1]]


def test_of_many_images_the_pictured_ones_are_ordered(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_IMAGES", 4)
    confusions = np.tile(np.array([[2, 0], [0, 2]]), (1, NUM_IMAGES, 1, 1))
    confusions[0, 7] = [[0, 2], [2, 0]]  # not pictured
    confusions[0, 19] = [[1, 1], [0, 2]]
    one = Contender("one", crf=False, confusions=confusions, trimap=confusions.sum(axis=1)[:, np.newaxis])
    rows = pictures.pictured(data)
    label_maps = [np.full((2, 2), int(row.name) % 2, np.uint8) for row in rows]
    entries, _ = compare([one], data)
    images = list(worst_first(data, entries, {one: label_maps}))
    assert [row.name for row in rows] == ["00", "09", "19", "29"]
    assert [image.name for image in images] == ["19", "00", "09", "29"]
    assert images[0].predicted[0].tolist() == [[1, 1], [1, 1]]
    assert images[0].score == pytest.approx(compute_scores(confusions[0, 19]).mean_iou)


def test_the_result_names_the_best_and_what_is_within_noise_of_it(data: Prepared) -> None:
    entries, differences = compare(ALL, data)
    assert re.search(r" good is best: mIoU .*; no other comes within noise of it\.$", summarised(entries, differences))
    alike = replace(ALL[3], model="alike", confusions=ALL[1].confusions[:, ::-1], costs=None)
    entries, differences = compare([ALL[0], ALL[1], alike], data)
    assert re.search(r" none is clearly best: .*; within noise of it: \w+\.$", summarised(entries, differences))
    assert "poor" not in summarised(entries, differences)


def test_neighbouring_blocks_are_joined_within_their_group(data: Prepared) -> None:
    alike = ALL[0].confusions[:, ::2].repeat(2, axis=1)  # as their neighbour, in town and country
    pairs = replace(ALL[0], confusions=alike)
    expected = np.sqrt(2 * (15 / 14) / (30 / 29))
    assert error_ratio_of_joined_blocks([pairs], data) == pytest.approx(expected)
    few = [row for row in data.rows if row.split != "test" or row.group == "town"]
    assert error_ratio_of_joined_blocks([pairs], replace(data, rows=tuple(few))) is None


def test_a_mean_tells_over_how_many_classes_it_runs(data: Prepared) -> None:
    (entry,), _ = compare(ALL[:1], data)
    assert averaged([entry]) == "Means over classes are over 2 of 2."
    without = replace(entry, class_iou=(0.5, float("nan")))
    assert averaged([entry, without]) == "Means over classes are over 1 to 2 of 2."


def test_confusions_are_shares_of_the_true_class(data: Prepared, tmp_path: Path) -> None:
    entries, _ = compare(ALL[:1], data)
    write_confusions(tmp_path / "confusion.csv", entries, CLASSES)
    with (tmp_path / "confusion.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["true"], row["predicted"]) for row in rows] == [
        ("road", "road"), ("road", "sky"), ("sky", "road"), ("sky", "sky"),
    ]  # fmt: skip
    total = ALL[0].confusions[0].sum(axis=0)
    assert float(rows[1]["share"]) == pytest.approx(total[0, 1] / total[0].sum(), abs=1e-4)
