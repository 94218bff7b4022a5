"""The test protocol: scaled images in, probabilities and classes at the images' own size out."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.images import scale_image
from segbench.prediction.predictor import Predictor


class Coarse(nn.Module):
    """Logits of three classes at half of the input's size, and dropout that only training has."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 2, stride=2, bias=False)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3, H / 2, W / 2)"""
        return self.dropout(self.logits(images))

    def logits(self, images: Tensor) -> Tensor:
        """The same without dropout."""
        return 20 * self.convolution(images - 0.5)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_logits_are_enlarged_bilinearly_before_softmax_and_argmax(scale: float) -> None:
    torch.manual_seed(0)
    model = Coarse()
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    predictor = Predictor(model, scale=scale)
    pixels = torch.from_numpy(np.array(scale_image(image, scale=scale))).permute(2, 0, 1)[None] / 255
    assert pixels.shape[2:] == (24 * scale, 40 * scale)
    with torch.inference_mode():
        coarse = model.logits(pixels.to(predictor.device)).cpu()
        logits = F.interpolate(coarse, size=(24, 40), mode="bilinear", align_corners=False)[0]
    probabilities, label_map = predictor.probabilities(image), predictor.label_map(image)
    np.testing.assert_allclose(probabilities, logits.softmax(dim=0), atol=1e-5)
    assert probabilities.dtype == np.float32 and label_map.dtype == np.uint8
    np.testing.assert_array_equal(label_map, logits.argmax(dim=0))
    assert len(np.unique(label_map)) > 1
