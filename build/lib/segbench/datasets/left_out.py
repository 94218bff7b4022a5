"""Test images that scores leave out, such as mislabelled ones. They are prepared and predicted all the same.

Training images cannot be left out here: that would be another dataset, and every model would be trained anew.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from segbench.datasets.prepared import Prepared
from segbench.errors import InputError, raise_listed


def open_scored(root: Path, leave_out: Sequence[str], *, dataset: str) -> Prepared:
    """The prepared dataset without the test images that `leave_out` names as `test/NAME`.

    Raises InputError as `Prepared.open` and `check_left_out` do.
    """
    data = Prepared.open(root)
    check_left_out(leave_out, {f"{row.split}/{row.name}" for row in data.rows}, dataset=dataset)
    return replace(data, rows=tuple(row for row in data.rows if f"{row.split}/{row.name}" not in leave_out))


def check_left_out(leave_out: Sequence[str], images: Collection[str], *, dataset: str) -> None:
    """Raise InputError if `leave_out` names what is not among the images, or all test images."""
    where = f"params.yaml: datasets.{dataset}.leave_out"
    raise_listed(
        [
            f"{where} names {name}; it must be an image of the test split, named as in the audit: test/NAME"
            for name in leave_out
            if name not in images
        ]
    )
    if {image for image in images if image.startswith("test/")} <= set(leave_out):
        raise InputError(f"{where} names all test images; at least one must be left")
