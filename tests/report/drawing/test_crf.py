"""Pictures of the CRF: every panel is drawn, and the enlarged window is where labels changed."""

from pathlib import Path

import numpy as np
from PIL import Image

from segbench.crf.energy import CRFParameters
from segbench.crf.search import Candidate, Search
from segbench.crf.tuning import TuningImage
from segbench.labels import Classes
from segbench.report.drawing import crf
from segbench.report.drawing.crf import write_search, write_steps
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


def test_steps_are_drawn_with_the_window_that_changed_most(tmp_path: Path) -> None:
    image, probabilities = two_halves()  # the image's edge is at 30 px, the network's at 34
    truth = np.broadcast_to(np.arange(60) >= 30, (40, 60)).astype(np.uint8)
    parameters = CRFParameters(10, 0.2, 10, 0.1, 0.01, steps=5)
    images = [TuningImage(image, probabilities, truth)] * 3
    write_steps(tmp_path / "steps.png", images, parameters, classes=CLASSES, device="cpu")
    page = np.asarray(Image.open(tmp_path / "steps.png").convert("RGB"))
    height = (len(page) - 60) // 2
    column = page.shape[1] // 6
    upper, lower = page[22 : 22 + height], page[22 + height : 22 + 2 * height]
    network, last = np.s_[:, 2 * column : 3 * column], np.s_[:, 5 * column :]

    def share_of_road(part: np.ndarray) -> float:  # type: ignore[type-arg]
        return float((part == (90, 90, 90)).all(axis=-1).mean())

    assert share_of_road(upper[last]) > share_of_road(upper[network]) > 0.3
    gained = [share_of_road(half[last]) - share_of_road(half[network]) for half in (upper, lower)]
    assert gained[1] > 2 * gained[0]


def test_the_enlarged_window_is_where_labels_changed() -> None:
    before = np.zeros((40, 60), np.uint8)
    after = before.copy()
    after[28:36, 44:56] = 1
    top, left, height, width = crf._busiest_window(before, after)
    assert top <= 28 and left <= 44 and top + height >= 36 and left + width >= 56
