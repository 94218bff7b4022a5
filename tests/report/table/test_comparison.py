"""Entries, ranks and differences, from counts for which they are known."""

from dataclasses import replace

import numpy as np
import pytest

from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import Example, Source
from segbench.labels import IGNORE_INDEX, Classes
from segbench.report.drawing import pictures
from segbench.report.table.comparison import (
    MOST_GROUPS,
    Contender,
    compare,
    error_ratio_of_joined_blocks,
    groups_of,
    sizes_of,
    worst_first,
)
from segbench.report.table.content import Costs, ScoredImage
from segbench.scoring.counts import SplitCounts
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


def matrices(*, right: float, seed: int) -> Counts:
    """(NUM_IMAGES, 2, 2): of 100 pixels of each class, about that share is right."""
    found = np.random.default_rng([seed, round(1000 * right)]).binomial(100, right, (NUM_IMAGES, 2))
    return np.array([[[a, 100 - a], [100 - b, b]] for a, b in found])


def a_contender(model: str, confusions: Counts, *, crf: bool = False, latency_ms: float | None = None) -> Contender:
    """confusions: (num_seeds, NUM_IMAGES, 2, 2)"""
    counts = SplitCounts(confusions, trimap=confusions.sum(axis=1)[:, np.newaxis])
    costs = Costs(1, 1, latency_ms, 1.0, 1.0, 1.0) if latency_ms is not None else None
    return Contender(model, crf=crf, counts=counts, as_in_paper=not crf, costs=costs)


POOR = a_contender("poor", matrices(right=0.7, seed=0)[np.newaxis], latency_ms=5.0)
GOOD = a_contender("good", np.stack([matrices(right=0.9, seed=seed) for seed in (0, 1)]), latency_ms=10.0)
REFINED = a_contender("good", matrices(right=0.95, seed=0)[np.newaxis], crf=True, latency_ms=30.0)
SLOW = a_contender("slow", matrices(right=0.8, seed=0)[np.newaxis], latency_ms=20.0)
THEIRS = a_contender("theirs", matrices(right=0.85, seed=0)[np.newaxis])
ALL = [POOR, GOOD, REFINED, SLOW, THEIRS]


def test_entries_are_the_best_first_with_their_scores(data: Prepared) -> None:
    entries, _ = compare(ALL, data)
    assert [entry.label for entry in entries] == ["good + CRF", "good", "theirs", "slow", "poor"]
    assert [entry.rank.value for entry in entries] == [1, 2, 3, 4, 5]
    for entry in entries:
        (contender,) = (contender for contender in ALL if contender.label == entry.label)
        per_seed = contender.counts.scores()
        assert entry.mean_iou.value == pytest.approx(np.mean([scores.mean_iou for scores in per_seed]))
        assert entry.scores["aAcc"].value == pytest.approx(np.mean([scores.pixel_accuracy for scores in per_seed]))
        np.testing.assert_allclose(entry.class_iou, np.mean([scores.class_iou for scores in per_seed], axis=0))
        assert (entry.seed_spread is None) == (len(per_seed) == 1)
        assert entry.boundary_mean_iou == pytest.approx((entry.mean_iou.value,))


def test_the_gain_of_the_crf_is_that_of_the_model(data: Prepared) -> None:
    entries, _ = compare(ALL, data)
    gain = entries[0].mean_iou.value - entries[1].mean_iou.value
    assert [entry.crf_gain for entry in entries] == [pytest.approx(gain), pytest.approx(gain), None, None, None]


def test_nothing_is_both_more_accurate_and_faster_than_what_is_on_the_front(data: Prepared) -> None:
    entries, _ = compare(ALL, data)
    front = {entry.label: entry.is_on_front for entry in entries}
    assert front == {"good + CRF": True, "good": True, "poor": True, "slow": False, "theirs": None}


def test_differences_are_of_each_crf_and_of_all_that_papers_report(data: Prepared) -> None:
    entries, differences = compare(ALL, data)
    value = {entry.label: entry.mean_iou.value for entry in entries}
    assert {(pair.first, pair.second) for pair in differences} == {
        ("good + CRF", "good"), ("poor", "good"), ("poor", "slow"), ("poor", "theirs"), ("good", "slow"),
        ("good", "theirs"), ("slow", "theirs"),
    }  # fmt: skip
    for pair, difference in differences.items():
        assert difference.alone.value == pytest.approx(value[pair.first] - value[pair.second])


def test_groups_are_scored_apart_and_known_as_seen_or_not(data: Prepared) -> None:
    country, town = groups_of(data)
    assert (town.name, town.num_images, town.is_seen) == ("town", 10, True)
    assert (country.name, country.num_images, country.is_seen) == ("country", 20, False)
    entries, _ = compare(ALL, data)
    of_country = compute_scores(POOR.counts.confusions[0, 10:].sum(axis=0)).mean_iou
    assert entries[-1].group_mean_iou[0] == pytest.approx(of_country)


def test_many_groups_and_sizes_do_not_fill_the_page(data: Prepared) -> None:
    rows = [replace(row, group=row.name, width_px=10 + number) for number, row in enumerate(data.split("test"))]
    assert sizes_of(rows[:2]) == "10x2, 11x2"
    assert sizes_of(rows) == f"{NUM_IMAGES} sizes from 10x2 to {9 + NUM_IMAGES}x2"
    assert len(groups_of(replace(data, rows=tuple(rows[:MOST_GROUPS])))) == MOST_GROUPS
    assert groups_of(replace(data, rows=tuple(rows))) == ()


def drawn(confusions: Counts, data: Prepared) -> list[ScoredImage]:
    """The pictured images of a contender whose label maps are 0 or 1 everywhere, by the number in the image's name."""
    label_maps = [np.full((2, 2), int(row.name) % 2, np.uint8) for row in pictures.pictured(data)]
    contender = replace(a_contender("only", confusions), label_maps=label_maps)
    entries, _ = compare([contender], data)
    return list(worst_first(data, entries, [contender]))


def test_the_worst_image_comes_first(data: Prepared) -> None:
    confusions = np.tile(np.array([[2, 0], [0, 2]]), (1, NUM_IMAGES, 1, 1))
    confusions[0, 7] = [[0, 2], [2, 0]]
    confusions[0, 3] = [[1, 1], [0, 2]]
    images = drawn(confusions, data)
    assert [image.name for image in images[:2]] == ["07", "03"]
    assert len(images) == NUM_IMAGES
    assert images[0].score == 0 and images[-1].mean_iou == (1.0,)
    assert images[1].predicted[0].tolist() == [[1, 1], [1, 1]]


def test_of_many_images_the_pictured_ones_are_ordered(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_IMAGES", 4)
    confusions = np.tile(np.array([[2, 0], [0, 2]]), (1, NUM_IMAGES, 1, 1))
    confusions[0, 7] = [[0, 2], [2, 0]]  # not pictured
    confusions[0, 19] = [[1, 1], [0, 2]]
    images = drawn(confusions, data)
    assert [row.name for row in pictures.pictured(data)] == ["00", "09", "19", "29"]
    assert [image.name for image in images] == ["19", "00", "09", "29"]
    assert images[0].predicted[0].tolist() == [[1, 1], [1, 1]]
    assert images[0].score == pytest.approx(compute_scores(confusions[0, 19]).mean_iou)


def test_neighbouring_blocks_are_joined_within_their_group(data: Prepared) -> None:
    as_neighbours = POOR.counts.confusions[:, ::2].repeat(2, axis=1)  # in town and country
    pairs = a_contender("pairs", as_neighbours)
    expected = np.sqrt(2 * (15 / 14) / (30 / 29))
    assert error_ratio_of_joined_blocks([pairs], data) == pytest.approx(expected)
    few = [row for row in data.rows if row.split != "test" or row.group == "town"]
    assert error_ratio_of_joined_blocks([pairs], replace(data, rows=tuple(few))) is None
