"""A validation image, or a part of one, on which parameters of the CRF are tried."""

from dataclasses import dataclass

from segbench.crf.energy import CRFParameters
from segbench.images import RGBImage
from segbench.labels import LabelMap
from segbench.prediction.predictor import Probabilities


@dataclass(frozen=True)
class TuningImage:
    """A validation image: (H, W, 3) uint8 RGB, the network's (C, H, W) probabilities, the true (H, W) label map.

    whole_px: (height, width) of the image of which this is a part; None: it is the whole image.
    """

    image: RGBImage
    probabilities: Probabilities
    truth: LabelMap
    whole_px: tuple[int, int] | None = None

    def fitted(self, parameters: CRFParameters) -> CRFParameters:
        """The parameters of the whole image, for this part of it."""
        height, width = self.truth.shape
        return parameters.within((height, width), of=self.whole_px) if self.whole_px else parameters
