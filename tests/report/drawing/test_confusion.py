"""The figure of a confusion matrix."""

from pathlib import Path

import numpy as np

from segbench.images import read_image
from segbench.labels import Classes
from segbench.report.drawing.confusion import write_confusion

CLASSES = Classes.of([("road", (200, 0, 0)), ("sky", (0, 0, 200))])


def test_a_confusion_matrix_with_an_absent_class_is_drawn(tmp_path: Path) -> None:
    write_confusion(tmp_path / "confusion.png", np.array([[3, 1], [0, 0]]), CLASSES, title="title")
    assert read_image(tmp_path / "confusion.png").std() > 10
