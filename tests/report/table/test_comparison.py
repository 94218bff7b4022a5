"""Entries, ranks and differences, from counts for which they are known."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared, Row
from segbench.datasets.source import Example, Source
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX, Classes
from segbench.report.drawing import pictures
from segbench.report.table.comparison import (
    MOST_GROUPS,
    Contender,
    boundary_shares,
    compare,
    error_ratio_with_longer_blocks,
    groups_of,
    scored_images,
    sizes_of,
)
from segbench.report.table.content import Costs, ScoredImage
from segbench.scoring.metrics import Counts, compute_scores
from tests.scoring.population import split_counts

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
    counts = split_counts(confusions, near_boundaries=confusions.sum(axis=1)[:, np.newaxis])
    costs = Costs(1, 1, latency_ms, 1.0, 1.0, 1.0) if latency_ms is not None else None
    return Contender(model, crf=crf, counts=counts, as_in_paper=not crf, costs=costs)


POOR = a_contender("poor", matrices(right=0.7, seed=0)[np.newaxis], latency_ms=5.0)
GOOD = a_contender("good", np.stack([matrices(right=0.9, seed=seed) for seed in (0, 1)]), latency_ms=10.0)
REFINED = a_contender("good", np.stack([matrices(right=0.95, seed=seed) for seed in (0, 1)]), crf=True, latency_ms=30.0)
SLOW = a_contender("slow", matrices(right=0.8, seed=0)[np.newaxis], latency_ms=20.0)
THEIRS = replace(a_contender("theirs", matrices(right=0.85, seed=0)[np.newaxis]), is_trained=False)
ALL = [POOR, GOOD, REFINED, SLOW, THEIRS]


def test_entries_are_the_best_first_with_their_scores(data: Prepared) -> None:
    entries = compare(ALL, data).entries
    assert [entry.label for entry in entries] == ["good + CRF", "good", "theirs", "slow", "poor"]
    assert [entry.rank and entry.rank.value for entry in entries] == [1, 2, 3, 4, 5]
    for entry in entries:
        (contender,) = (contender for contender in ALL if contender.label == entry.label)
        scores, *others = contender.counts.scores()
        assert entry.mean_iou.value == pytest.approx(scores.mean_iou), "of the first training, since some have only one"
        assert entry.scores["aAcc"].value == pytest.approx(scores.pixel_accuracy)
        np.testing.assert_allclose(entry.class_iou, scores.class_iou)
        np.testing.assert_array_equal(entry.confusion, contender.counts.confusions[0])
        assert (entry.seed_spread is None) == (not others)
        assert entry.boundary_mean_iou == pytest.approx((entry.mean_iou.value,))
        assert entry.training_share is not None and (entry.training_share > 0) == contender.is_trained


def test_scores_are_means_over_as_many_trainings_as_all_models_have(data: Prepared) -> None:
    found = compare([GOOD, REFINED, THEIRS], data)
    assert found.num_compared == 2
    for contender, entry in zip([REFINED, GOOD], found.entries, strict=False):
        mean = np.mean([scores.mean_iou for scores in contender.counts.scores()])
        assert entry.mean_iou.value == pytest.approx(mean)
    assert found.entries[-1].rank is None, "one set of predictions is not ranked among means of two"
    once = compare([POOR, SLOW], data)
    assert (once.num_compared, once.entries[0].training_share) == (1, None)


def test_the_gain_of_the_crf_is_that_of_the_model(data: Prepared) -> None:
    entries = compare(ALL, data).entries
    gain = entries[0].mean_iou.value - entries[1].mean_iou.value
    assert [entry.crf_gain for entry in entries] == [pytest.approx(gain), pytest.approx(gain), None, None, None]


def test_nothing_is_both_more_accurate_and_faster_than_what_is_on_the_front(data: Prepared) -> None:
    entries = compare(ALL, data).entries
    front = {entry.label: entry.is_on_front for entry in entries}
    assert front == {"good + CRF": True, "good": True, "poor": True, "slow": False, "theirs": None}


def test_differences_are_of_each_crf_and_of_all_that_papers_report(data: Prepared) -> None:
    found = compare(ALL, data)
    entries, differences = found.entries, found.differences
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
    entries = compare(ALL, data).entries
    of_country = compute_scores(matrices(right=0.7, seed=0)[10:].sum(axis=0)).mean_iou
    assert entries[-1].group_mean_iou[0] == pytest.approx(of_country)
    (good,) = (entry for entry in entries if entry.label == "good")
    for index, chosen in enumerate((slice(10, None), slice(10))):
        of_first_seed = compute_scores(matrices(right=0.9, seed=0)[chosen].sum(axis=0))
        np.testing.assert_allclose(good.group_class_iou[index], of_first_seed.class_iou)


def test_doubtful_images_count_but_entries_also_have_a_score_without_them(data: Prepared) -> None:
    usual, found = (compare([POOR, GOOD], data, doubtful=names).entries for names in ((), ("test/03", "test/20")))
    assert {entry.mean_iou_without_doubtful for entry in usual} == {None}
    sound = [index for index in range(NUM_IMAGES) if index not in (3, 20)]
    for entry, before, right in zip(found, usual, (0.9, 0.7), strict=True):
        expected = compute_scores(matrices(right=right, seed=0)[sound].sum(axis=0)).mean_iou
        assert entry.mean_iou_without_doubtful == pytest.approx(expected)
        assert entry.scores == before.scores and expected != entry.mean_iou.value
    every = [f"test/{index:02d}" for index in range(NUM_IMAGES)]
    assert {entry.mean_iou_without_doubtful for entry in compare([POOR], data, doubtful=every).entries} == {None}


def test_the_share_of_the_pixels_within_each_width_of_a_boundary() -> None:
    near = np.array([[[[1, 0], [0, 1]], [[2, 1], [0, 2]]]])
    whole = np.array([[[[5, 1], [1, 3]], [[5, 0], [2, 3]]]])
    assert boundary_shares(split_counts(whole, near_boundaries=near)) == (0.1, 0.25)


def test_many_groups_and_sizes_do_not_fill_the_page(data: Prepared) -> None:
    rows = [replace(row, group=row.name, width_px=10 + number) for number, row in enumerate(data.split("test"))]
    assert sizes_of(rows[:2]) == "10x2, 11x2"
    assert sizes_of(rows) == f"{NUM_IMAGES} sizes from 10x2 to {9 + NUM_IMAGES}x2"
    assert len(groups_of(replace(data, rows=tuple(rows[:MOST_GROUPS])))) == MOST_GROUPS
    assert groups_of(replace(data, rows=tuple(rows))) == ()


def right_pixels(counts: Sequence[int]) -> Counts:
    """(1, num_images, 2, 2): of 100 pixels of each class, as many as counts say are right."""
    return np.array([[[[right, 100 - right], [100 - right, right]] for right in counts]])


def pictured_contender(model: str, confusions: Counts, data: Prepared, *, crf: bool = False) -> Contender:
    """One whose label maps are 0 or 1 everywhere, by the number in the image's name."""
    label_maps = [np.full((2, 2), int(row.name) % 2, np.uint8) for row in pictures.pictured(data)]
    return replace(a_contender(model, confusions, crf=crf), label_maps=label_maps)


def drawn(contenders: Sequence[Contender], data: Prepared) -> Iterator[ScoredImage]:
    return scored_images(data, compare(contenders, data).entries, contenders, doubts={"test/12": "Check it."})


RISING = range(50, 50 + NUM_IMAGES)
"""So that the images' numbers are in the order of their scores."""


def test_the_worst_the_median_and_the_best_image_come_first(data: Prepared) -> None:
    images = list(drawn([pictured_contender("only", right_pixels(RISING), data)], data))
    names = [image.name for image in images]
    assert names[:10] == ["00", "14", "29", "12", "01", "15", "28", "02", "13", "27"]
    assert sorted(names) == [f"{index:02d}" for index in range(NUM_IMAGES)]
    for image in images:
        number = int(image.name)
        assert (image.place, image.num_places) == (number + 1, NUM_IMAGES)
        assert image.doubt == ("Check it." if number == 12 else "")
        assert image.score == image.mean_iou[0] == pytest.approx(RISING[number] / (200 - RISING[number]))
        assert (image.predicted[0] == number % 2).all()


def test_then_comes_the_worst_image_of_each_entry_those_as_published_first(data: Prepared) -> None:
    def failing_on(number: int) -> Counts:
        return right_pixels([10 if index == number else right for index, right in enumerate(RISING)])

    contenders = [
        pictured_contender("a", right_pixels(RISING), data),
        pictured_contender("b", failing_on(22), data),
        pictured_contender("b", failing_on(20), data, crf=True),
        *(pictured_contender(f"c{index}", right_pixels(RISING), data) for index in range(9)),
    ]
    images = list(drawn(contenders, data))
    names = [image.name for image in images]
    assert names[0] == "00" and names[7:9] == ["22", "20"]


def test_an_image_is_read_when_it_is_asked_for(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    image_of = Prepared.image

    def noted(prepared: Prepared, row: Row) -> RGBImage:
        read.append(row.name)
        return image_of(prepared, row)

    monkeypatch.setattr(Prepared, "image", noted)
    images = drawn([pictured_contender("only", right_pixels(RISING), data)], data)
    assert [next(images).name for _ in range(2)] == read == ["00", "14"]


def test_of_many_images_the_pictured_ones_are_ordered(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_IMAGES", 4)
    confusions = np.tile(np.array([[2, 0], [0, 2]]), (1, NUM_IMAGES, 1, 1))
    confusions[0, 7] = [[0, 2], [2, 0]]  # not pictured
    confusions[0, 19] = [[1, 1], [0, 2]]
    images = list(drawn([pictured_contender("only", confusions, data)], data))
    assert [row.name for row in pictures.pictured(data)] == ["00", "09", "19", "29"]
    assert [image.name for image in images] == ["19", "00", "29", "09"]
    assert images[0].predicted[0].tolist() == [[1, 1], [1, 1]]
    assert images[0].score == pytest.approx(compute_scores(confusions[0, 19]).mean_iou)


def test_clips_of_a_video_are_blocks_and_twice_as_long_ones_tell_whether_results_depend_on_it(data: Prepared) -> None:
    """Pairs of frames that err alike, as a clip of one frame each would not see."""
    as_neighbours = matrices(right=0.7, seed=0)[np.newaxis, ::2].repeat(2, axis=1)
    pairs, others = a_contender("pairs", as_neighbours), a_contender("others", matrices(right=0.7, seed=1)[np.newaxis])
    rows = [
        replace(row, block=f"{row.group} {index // 2}") if row.split == "test" else row
        for index, row in enumerate(data.rows, start=-2)
    ]
    found = compare([pairs, others], replace(data, rows=tuple(rows)))
    assert (found.blocks.number, found.blocks.images_per_block) == (15, 2)
    assert found.differences_with_longer_blocks.keys() == found.differences.keys()
    assert error_ratio_with_longer_blocks([pairs, others], found.blocks) is None, "seven blocks are too few"
    frames = compare([pairs], data)
    assert (frames.blocks.number, dict(frames.differences_with_longer_blocks)) == (NUM_IMAGES, {})
    pairs_of_frames = replace(found.blocks, ids=list(range(30)), twice_as_long=[index // 2 for index in range(30)])
    expected = np.sqrt(2 * (15 / 14) / (30 / 29))
    assert error_ratio_with_longer_blocks([pairs], pairs_of_frames) == pytest.approx(expected)
