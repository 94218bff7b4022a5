"""Atrous rates that fit a dataset's feature maps.

A 3x3 kernel at a rate beyond the map's side has all but its middle weight outside the map, so that ASPP is little more
than a 1x1 convolution. The papers' rates are for their maps; scaled to other maps, as many weights fall inside.

The stages that build a network depend on this module, unlike the rest of `params`, since it decides what they build.
"""

import math
from collections.abc import Sequence

from segbench.params.models import AnyModel, AtrousModel, DeepLabV1Model


def fitted(model: AnyModel, *, crop_px: Sequence[int]) -> AnyModel:
    """The model with its rates scaled to the feature maps of a training crop, (height, width) in px.

    The side of a map is the geometric mean of its height and width. A model whose rates are for no map, or that has
    none, is returned as it is.
    """
    if not isinstance(model, AtrousModel) or model.rates_for_map_px is None:
        return model
    side_px = math.sqrt(math.prod(math.ceil(length / model.output_stride) for length in crop_px))
    scale = side_px / model.rates_for_map_px

    def scaled(rate: int) -> int:
        return max(1, round(rate * scale))

    if isinstance(model, DeepLabV1Model):
        return model.model_copy(update={"atrous_rate": scaled(model.atrous_rate)})
    return model.model_copy(update={"atrous_rates": [scaled(rate) for rate in model.atrous_rates]})
