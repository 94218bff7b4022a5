"""Pictures of the CRF: every panel is drawn, and the enlarged window is where labels changed."""

from pathlib import Path

import numpy as np
from PIL import Image

from segbench.crf.energy import CRFParameters
from segbench.crf.tuning import Candidate, Search
from segbench.labels import Classes
from segbench.report import crf
from segbench.report.crf import write_search, write_steps

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
    plain = np.zeros((40, 60), np.uint8)
    refined = plain.copy()
    refined[28:36, 44:56] = 1
    image = np.zeros((40, 60, 3), np.uint8)
    write_steps(
        tmp_path / "steps.png", image=image, truth=refined, plain=plain, after={1: plain, 10: refined}, classes=CLASSES
    )
    page = np.asarray(Image.open(tmp_path / "steps.png").convert("RGB"))
    upper, lower = page[: len(page) // 2], page[len(page) // 2 :]

    def share_of_road(half: np.ndarray) -> float:  # type: ignore[type-arg]
        return float((half == (90, 90, 90)).all(axis=-1).mean())

    assert share_of_road(lower) > 2 * share_of_road(upper) > 0
    top, left, height, width = crf._busiest_window(plain, refined)
    assert top <= 28 and left <= 44 and top + height >= 36 and left + width >= 56
