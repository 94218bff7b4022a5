"""Pictures of the CRF: every panel is drawn, and the enlarged window is where labels changed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.crf.energy import CRFParameters
from segbench.crf.search import Candidate, Search
from segbench.crf.tuning import TuningImage
from segbench.images import read_image
from segbench.labels import Classes
from segbench.report.drawing import crf
from segbench.report.drawing.crf import write_search, write_steps
from segbench.report.drawing.figures import MENDED, SPOILED, WRONG, Part, Tile
from tests.crf.test_inference import two_halves

CLASSES = Classes.of([("sky", (0, 0, 255)), ("road", (90, 90, 90))])


def test_the_search_is_drawn(tmp_path: Path) -> None:
    candidates = [
        Candidate(CRFParameters(weight, 0.1, 10, 1, 0.01, steps=steps), score=0.5 + weight / 100)
        for weight in (1, 2, 4)
        for steps in (1, 5)
    ]
    search = Search(objective="mean_iou", num_images=3, score_without=0.52, candidates=candidates)
    write_search(tmp_path / "search.png", search, title="unet on scenes")
    pixels = np.asarray(Image.open(tmp_path / "search.png").convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 50
    assert search.chosen == candidates[4].parameters


def searched(parameters: CRFParameters, *, score: float) -> Search:
    """A search whose best parameters these are; without a CRF the score is one half."""
    return Search("mean_iou", num_images=3, score_without=0.5, candidates=[Candidate(parameters, score)])


def drawn_figure(
    monkeypatch: pytest.MonkeyPatch, images: dict[str, TuningImage], search: Search
) -> tuple[Sequence[Part], str]:
    """Parts and title of the figure."""
    found: list[tuple[Sequence[Part], str]] = []
    monkeypatch.setattr(crf, "write_figure", lambda path, parts, *, title, **_: found.append((parts, title)))
    write_steps(Path("steps.png"), images, search, model="unet", classes=CLASSES, device="cpu")
    return found[0]


PARAMETERS = CRFParameters(10, 0.2, 10, 0.1, 0.01, steps=5)


def halves(*, edge_px: int) -> TuningImage:
    """The image's edge is at 30 px, the network's at 34, the true one at edge_px."""
    image, probabilities = two_halves()
    return TuningImage(image, probabilities, np.broadcast_to(np.arange(60) >= edge_px, (40, 60)).astype(np.uint8))


def share_of(color: tuple[int, int, int], tile: Tile | None) -> float:
    assert tile is not None
    return float((tile.picture == color).all(axis=-1).mean())


def test_steps_show_what_is_mended_and_the_window_that_changed_most(monkeypatch: pytest.MonkeyPatch) -> None:
    (part,), title = drawn_figure(monkeypatch, {"a": halves(edge_px=30)}, searched(PARAMETERS, score=0.6))
    whole, enlarged = part.rows
    photo, truth, network, *after = whole
    assert [tile.above.partition(":")[0] for tile in whole if tile] == [
        "photo", "truth", "without CRF", "1 step", "2 steps", "5 steps",
    ]  # fmt: skip
    scores = [float(tile.above.split()[-2]) for tile in (network, *after) if tile]
    assert scores[0] < scores[-1] and scores[-1] > 95
    assert share_of(crf.FRAME, photo) > 0 == share_of(crf.FRAME, truth)
    assert share_of(WRONG, network) > 0.05 and share_of(MENDED, network) == share_of(SPOILED, network) == 0
    assert share_of(MENDED, after[-1]) > 0.05 > share_of(WRONG, after[-1])
    road = CLASSES.colors[1]
    assert share_of(road, enlarged[-1]) > share_of(road, enlarged[2]), "label maps of the window"
    assert "unet" in title and "that were chosen for it" in title


def test_parameters_that_are_not_used_are_said_not_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    _, title = drawn_figure(monkeypatch, {"a": halves(edge_px=30)}, searched(PARAMETERS, score=0.4))
    assert "came closest to no CRF, which was better" in title and "chosen" not in title


def test_a_typical_image_comes_first_and_then_those_that_gain_and_lose_most(monkeypatch: pytest.MonkeyPatch) -> None:
    image, probabilities = two_halves()
    already_right = TuningImage(image, probabilities, probabilities.argmax(axis=0).astype(np.uint8))
    images = {"gains": halves(edge_px=30), "loses": already_right, "typical": halves(edge_px=36)}
    parts, _ = drawn_figure(monkeypatch, images, searched(PARAMETERS, score=0.6))
    typical, gains, loses = [part.heading for part in parts]
    assert typical.startswith("A typical image (its gain is the median of 3): typical, ")
    assert gains.startswith("The image that gains most: gains, +") and gains.endswith(" points of mIoU")
    assert loses.startswith("The image that loses most: loses, -")
    assert share_of(SPOILED, parts[2].rows[0][-1]) > 0.05
    del images["loses"]
    parts, _ = drawn_figure(monkeypatch, images, searched(PARAMETERS, score=0.6))
    assert [part.heading.partition(":")[0] for part in parts[1:]] == ["The image that gains most"]


def test_an_image_that_gains_least_is_not_said_to_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    images = {name: halves(edge_px=edge_px) for name, edge_px in (("a", 29), ("b", 30), ("c", 31))}
    parts, _ = drawn_figure(monkeypatch, images, searched(PARAMETERS, score=0.6))
    assert parts[2].heading.startswith("The image that gains least: ")


@pytest.mark.parametrize(("steps", "shown"), [(1, [1]), (2, [1, 2]), (10, [1, 5, 10])])
def test_one_half_and_all_of_the_steps_are_shown(steps: int, shown: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    search = searched(replace(PARAMETERS, steps=steps), score=0.6)
    (part,), _ = drawn_figure(monkeypatch, {"a": halves(edge_px=30)}, search)
    assert [int(tile.above.split()[0]) for tile in part.rows[0][3:] if tile] == shown


def test_the_figure_of_the_steps_is_written(tmp_path: Path) -> None:
    path, images = tmp_path / "steps.png", {"a": halves(edge_px=30)}
    write_steps(path, images, searched(PARAMETERS, score=0.6), model="unet", classes=CLASSES, device="cpu")
    assert read_image(path).std() > 10


def test_the_enlarged_window_is_where_labels_changed() -> None:
    before = np.zeros((40, 60), np.uint8)
    after = before.copy()
    after[28:36, 44:56] = 1
    top, left, height, width = crf._busiest_window(before, after)
    assert top <= 28 and left <= 44 and top + height >= 36 and left + width >= 56
