"""The figure of a confusion matrix."""

from pathlib import Path

import numpy as np

from segbench.images import read_image
from segbench.labels import Classes
from segbench.report.drawing.confusion import write_confusion
from tests.report.sample_pages import some_classes

CLASSES = Classes.of([("road", (200, 0, 0)), ("sky", (0, 0, 200))])


def test_a_confusion_matrix_with_an_absent_class_is_drawn(tmp_path: Path) -> None:
    write_confusion(tmp_path / "confusion.png", np.array([[3, 1], [0, 0]]), CLASSES, title="title")
    assert read_image(tmp_path / "confusion.png").std() > 10


def test_the_figure_of_many_classes_stays_small(tmp_path: Path) -> None:
    """With cells as large as for few classes, a side would have 10,000 px, and drawing it would need 4.6 GB."""
    path, classes = tmp_path / "confusion.png", some_classes(182)
    write_confusion(path, np.eye(len(classes), dtype=np.int64), classes, title="title")
    image = read_image(path)
    assert image.shape == (2475, 2475, 3) and image.std() > 10
