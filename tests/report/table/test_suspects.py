"""Test images where good models make the same mistakes, in counts for which they are known."""

from dataclasses import replace

import numpy as np
import pytest

from segbench.report.table.comparison import Contender
from segbench.report.table.suspects import LEAST_IMAGES, find_suspects
from segbench.scoring.metrics import Counts
from tests.report.sample_results import INDEPENDENT, row
from tests.scoring.population import split_counts

NUM_IMAGES = 24
DATA = replace(
    INDEPENDENT, rows=tuple(row("test", f"{index:02d}", group="g", block=str(index)) for index in range(NUM_IMAGES))
)
ODD = 7
"""The image whose label map is wrong."""


def usual(seed: int, *, right: int = 95) -> Counts:
    """(1, NUM_IMAGES, 3, 3): of 100 pixels of each class `right` are right, less up to 9."""
    lost = np.random.default_rng(seed).integers(0, 10, (NUM_IMAGES, 3))
    confusions = np.zeros((1, NUM_IMAGES, 3, 3), np.int64)
    for true in range(3):
        confusions[0, :, true, true] = right - lost[:, true]
        confusions[0, :, true, (true + 1) % 3] = 100 - right + lost[:, true]
    return confusions


def with_odd(confusions: Counts, of_image: list[list[int]]) -> Counts:
    changed = confusions.copy()
    changed[:, ODD] = of_image
    return changed


def contender(model: str, confusions: Counts, *, as_in_paper: bool = True) -> Contender:
    return Contender(model, crf=False, counts=split_counts(confusions), as_in_paper=as_in_paper)


WRONG_ALIKE = [[40, 60, 0], [0, 100, 0], [50, 0, 50]]
POOR = [contender(f"poor {seed}", usual(seed, right=60)) for seed in (10, 11, 12)]


def good(*of_image: list[list[int]]) -> list[Contender]:
    return [contender(f"good {seed}", with_odd(usual(seed), each)) for seed, each in enumerate(of_image)]


def test_an_image_that_good_models_take_for_the_same_other_thing_is_named() -> None:
    found = find_suspects([*POOR, *good(WRONG_ALIKE, WRONG_ALIKE, [[45, 55, 0], [0, 100, 0], [50, 0, 50]])], DATA)
    (suspect,) = found.images
    assert suspect.name == "test/07" and suspect.share == pytest.approx((55 + 50) / 300)
    assert set(found.judges) == {"good 0", "good 1", "good 2"}
    assert found.usual_share == pytest.approx(0.07, abs=0.02)


NONE = [[100, 0, 0], [0, 100, 0], [0, 0, 100]]


@pytest.mark.parametrize(
    "of_image",
    [
        pytest.param(
            ([[30, 70, 0], *NONE[1:]], [NONE[0], [0, 30, 70], NONE[2]], [*NONE[:2], [70, 0, 30]]),
            id="miss other classes",
        ),
        pytest.param(
            ([[30, 70, 0], *NONE[1:]], [[30, 0, 70], *NONE[1:]], [[30, 0, 70], *NONE[1:]]), id="predict other classes"
        ),
        pytest.param(
            ([[30, 0, 70], *NONE[1:]], [NONE[0], [0, 30, 70], NONE[2]], [[30, 0, 70], *NONE[1:]]),
            id="predict one class in place of others",
        ),
        pytest.param(
            (
                [[40, 60, 0], [0, 30, 70], [0, 0, 100]],
                [[40, 60, 0], [0, 100, 0], [70, 0, 30]],
                [[40, 60, 0], [0, 100, 0], [0, 70, 30]],
            ),
            id="less than half in common",
        ),
    ],
)
def test_a_hard_image_on_which_models_differ_is_not_named(of_image: tuple[list[list[int]], ...]) -> None:
    assert find_suspects([*POOR, *good(*of_image)], DATA).images == ()


def test_every_training_of_a_model_has_to_agree() -> None:
    models = good(WRONG_ALIKE, WRONG_ALIKE, WRONG_ALIKE)
    assert len(find_suspects([*POOR, *models], DATA).images) == 1
    twice = contender("twice", np.concatenate([with_odd(usual(2), WRONG_ALIKE), usual(2)]))
    assert find_suspects([*POOR, *models[:2], twice], DATA).images == ()


def test_few_models_or_images_judge_nothing() -> None:
    models = good(WRONG_ALIKE, WRONG_ALIKE, WRONG_ALIKE)
    assert len(find_suspects(models, DATA).images) == 1
    assert find_suspects(models[:2], DATA).images == ()
    refined = replace(models[2], crf=True, as_in_paper=False)
    assert find_suspects([*models[:2], refined], DATA).images == ()
    number = LEAST_IMAGES - 1
    few = [contender(str(seed), with_odd(usual(seed), WRONG_ALIKE)[:, :number]) for seed in range(3)]
    assert find_suspects(few, replace(DATA, rows=DATA.rows[:number])).images == ()


def test_small_mistakes_do_not_matter_where_models_are_nearly_perfect() -> None:
    perfect = [
        contender(f"good {seed}", with_odd(np.tile(100 * np.eye(3, dtype=np.int64), (1, NUM_IMAGES, 1, 1)), off))
        for seed, off in enumerate([[[91, 9, 0], [0, 100, 0], [0, 0, 100]]] * 3)
    ]
    assert find_suspects(perfect, DATA).images == ()
