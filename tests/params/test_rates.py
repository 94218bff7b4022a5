"""Atrous rates that fit the feature maps: by hand, and by how much of a kernel falls inside a map."""

import numpy as np
import pytest

from segbench.params.rates import fitted
from tests.parameters import PARAMETERS


def weights_inside(*, rate: int, height: int, width: int) -> float:
    """How many of a 3x3 kernel's weights fall inside the map, the mean over positions."""
    kernel = [(row, column) for row in (-rate, 0, rate) for column in (-rate, 0, rate)]
    rows, columns = np.mgrid[:height, :width]
    inside = [
        (rows + row >= 0) & (rows + row < height) & (columns + column >= 0) & (columns + column < width)
        for row, column in kernel
    ]
    return float(np.sum(inside, axis=0).mean())


@pytest.mark.parametrize(
    ("model", "crop_px", "rates"),
    [
        ("deeplab_v1", [96, 128], [4]),
        ("deeplab_v2", [96, 128], [2, 4, 6, 8]),
        ("deeplab_v3", [96, 128], [1, 3, 4]),
        ("deeplab_v2", [160, 224], [3, 7, 10, 14]),
        ("deeplab_v3_plus", [160, 224], [2, 4, 6]),
        ("deeplab_v2", [321, 321], [6, 12, 18, 24]),
        ("deeplab_v3", [513, 513], [6, 12, 18]),
        ("deeplab_v3", [16, 16], [1, 1, 1]),
    ],
)
def test_rates_are_the_papers_on_the_papers_maps_and_smaller_on_smaller_ones(
    model: str, crop_px: list[int], rates: list[int]
) -> None:
    found = fitted(PARAMETERS.model(model), crop_px=crop_px).model_dump()
    assert found.get("atrous_rates", [found.get("atrous_rate")]) == rates


def test_as_many_weights_of_a_kernel_fall_inside_as_on_the_papers_maps() -> None:
    on_paper = [weights_inside(rate=rate, height=41, width=41) for rate in (6, 12, 18, 24)]
    assert on_paper == pytest.approx([7.3, 5.8, 4.5, 3.4], abs=0.06)
    found = fitted(PARAMETERS.model("deeplab_v2"), crop_px=[160, 224]).model_dump()["atrous_rates"]
    here = [weights_inside(rate=rate, height=20, width=28) for rate in found]
    assert here == pytest.approx(on_paper, abs=0.3)
    unscaled = [weights_inside(rate=rate, height=20, width=28) for rate in (6, 12, 18, 24)]
    assert unscaled[-1] == pytest.approx(1.1, abs=0.2), "little more than the middle weight"


def test_rates_for_no_map_and_models_without_rates_stay_as_they_are() -> None:
    absolute = PARAMETERS.model("paper_deeplab_v2")
    assert fitted(absolute, crop_px=[96, 128]) is absolute
    unet = PARAMETERS.model("unet")
    assert fitted(unet, crop_px=[96, 128]) is unet
