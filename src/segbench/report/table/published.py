"""What others report on known datasets, each under a protocol of its own, to stand beside the table's figures."""

from collections.abc import Mapping

from segbench import params
from segbench.report.table.content import Published

_CAMVID = "CamVid test, 11 classes"
CAMVID: Mapping[str, Published] = {
    "fcn_8s": Published(0.570, f"{_CAMVID}, 480x360, VGG-16, as listed by Jegou et al. 2017; to be verified"),
    "deeplab_v1": Published(0.616, f"{_CAMVID}, 480x360, VGG-16, as listed by Jegou et al. 2017; to be verified"),
    "pspnet": Published(0.691, f"{_CAMVID}, 960x720, ResNet-50, as listed by Zhao et al. 2018 (ICNet); to be verified"),
}
"""By the model's name in params.yaml."""


def published_on(source: params.AnySource) -> Mapping[str, Published]:
    """What is reported on a dataset's own test split, by model."""
    match source:
        case params.CamvidSource(split="published"):
            return CAMVID
    return {}
