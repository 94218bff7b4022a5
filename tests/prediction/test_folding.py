"""Predicting with batch norms in the convolutions, and with subsampled atrous ones: faster, with the same results."""

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench import params
from segbench.models.backbones import Backbone
from segbench.models.build import build_model
from segbench.models.network import Sliding
from segbench.models.subsampling import SubsampledConv2d
from segbench.prediction.costs import multiply_adds
from segbench.prediction.folding import fold_batch_norms
from segbench.prediction.predictor import Predictor
from tests.parameters import PARAMETERS, PROJECT

M = TypeVar("M", bound=nn.Module)
CPU = torch.device("cpu")
BACKBONE = params.Backbone(name="tf_efficientnet_lite0", weights="none")
NETWORKS = [name for name in PARAMETERS.models if not name.startswith("paper_") and name != "color_clusters"]
USED_AS_FUNCTIONS = {"sliding_window": 2}
"""Batch norms behind a convolution that is not called as a module, by model."""
NOT_OF_THE_PREDICTION = {"pspnet": 1}
"""Batch norms that only training uses, by model."""


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def as_trained(model: M) -> M:
    """With statistics, biases and scores that differ from a new network's."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)  # scores may start at zero
    for norm in norms(model):
        assert norm.running_mean is not None and norm.running_var is not None
        for tensor, low, high in (
            (norm.weight, 0.5, 1.5), (norm.bias, -0.5, 0.5), (norm.running_mean, -0.5, 0.5), (norm.running_var, 0.5, 2),
        ):  # fmt: skip
            tensor.data.uniform_(low, high, generator=generator)
    return model.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_predictors_label_maps_and_multiply_adds_are_its_models(name: str) -> None:
    model = as_trained(build_model(PARAMETERS.model(name), backbone=BACKBONE, num_classes=5))
    image = np.random.default_rng(0).integers(0, 256, (65, 97, 3), np.uint8)
    unchanged = copy.deepcopy(model)
    predictor = Predictor(model, scale=1.0)
    assert len(norms(predictor.model)) == USED_AS_FUNCTIONS.get(name, 0) + NOT_OF_THE_PREDICTION.get(name, 0)
    pixels = predictor.input(image)
    unchanged.to(predictor.device)
    with torch.inference_mode():
        logits, expected = predictor.model(pixels), unchanged(pixels)
    rounding = 1e-4 * float(expected.abs().max())
    assert float((logits - expected).abs().max()) < rounding
    expected = F.interpolate(expected, size=(65, 97), mode="bilinear", align_corners=False)
    (first, second), (classes, _) = (found.cpu().numpy() for found in expected[0].topk(2, dim=0))
    is_clear = first - second > 2 * rounding
    assert is_clear.mean() > 0.99
    assert (predictor.label_map(image) == classes)[is_clear].all()
    assert multiply_adds(lambda: predictor.model(pixels)) == multiply_adds(lambda: unchanged(pixels))


def test_both_forms_of_the_sliding_window_still_agree() -> None:
    model = as_trained(build_model(PARAMETERS.model("sliding_window"), backbone=BACKBONE, num_classes=5))
    images = torch.rand(1, 3, 24, 32)
    with torch.inference_mode():
        assert isinstance(model, Sliding)
        expected = model.slid_scores(images, stride=4)
        fold_batch_norms(model, device=CPU)
        torch.testing.assert_close(model.slid_scores(images, stride=4), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.scores(images, stride=4), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("encoder", ["resnet18", "vgg16_bn", "mobilenetv3_large_100", "resnetv2_50"])
def test_an_encoder_of_timm_has_the_same_features(encoder: str) -> None:
    model = as_trained(Backbone(encoder, weights="none"))
    folded = copy.deepcopy(model)
    fold_batch_norms(folded, device=CPU)
    assert len(norms(folded)) < len(norms(model))
    images = torch.rand(2, 3, 70, 90)
    with torch.inference_mode():
        for stride, expected in model(images).items():
            assert float((folded(images)[stride] - expected).abs().max()) < 1e-4 * float(expected.abs().max())


class Standardized(nn.Conv2d):
    """A convolution with zero-mean weights."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight - self.weight.mean(), self.bias)


class TwoUses(nn.Module):
    """How a forward pass uses a convolution and a batch norm."""

    def __init__(self, use: Callable[[nn.Module, nn.Module, Tensor], Tensor], convolution: nn.Conv2d) -> None:
        super().__init__()
        self.use = use
        self.convolution = convolution
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self.convolution, self.norm, x)


def added_to_its_norm(convolution: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    x = convolution(x)
    return x + norm(x)


@pytest.mark.parametrize(
    ("use", "convolution"),
    [
        pytest.param(added_to_its_norm, nn.Conv2d(3, 3, 1), id="the output has another use"),
        pytest.param(lambda conv, norm, x: norm(F.relu_(conv(x))), nn.Conv2d(3, 3, 1), id="changed in place before"),
        pytest.param(lambda conv, norm, x: conv(norm(conv(x))), nn.Conv2d(3, 3, 1), id="the convolution is used twice"),
        pytest.param(lambda conv, norm, x: norm(norm(conv(x))), nn.Conv2d(3, 3, 1), id="the norm is used twice"),
        pytest.param(lambda conv, norm, x: conv(norm(x)), nn.Conv2d(3, 3, 1), id="the norm comes first"),
        pytest.param(lambda conv, norm, x: norm(conv(x)), Standardized(3, 3, 1), id="another kind of convolution"),
    ],
)
def test_a_norm_stays_where_folding_would_change_the_result(
    use: Callable[[nn.Module, nn.Module, Tensor], Tensor], convolution: nn.Conv2d
) -> None:
    model = as_trained(TwoUses(use, convolution))
    images = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        expected = model(images)
        fold_batch_norms(model, device=CPU)
        assert torch.equal(model(images), expected)
    assert len(norms(model)) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="only a CPU is faster this way")
def test_a_predictors_atrous_depthwise_convolutions_are_subsampled() -> None:
    model = build_model(PARAMETERS.model("deeplab_v2"), backbone=BACKBONE, num_classes=5)
    assert any(isinstance(module, SubsampledConv2d) for module in Predictor(model, scale=1.0).model.modules())


def test_predicting_and_counting_operations_import_no_compiler() -> None:
    """Folding, counting and networks without numbers could each import it: 2 seconds of a core, and 70 MiB."""
    code = """
import sys
import numpy as np
from segbench import params
from segbench.models.build import build_model
from segbench.prediction.costs import multiply_adds
from segbench.prediction.predictor import Predictor
parameters = params.load()
backbone = parameters.backbone_for("deeplab_v1").model_copy(update={"weights": "none"})
predictor = Predictor(build_model(parameters.models["deeplab_v1"], backbone=backbone, num_classes=3), scale=1.0)
image = np.zeros((64, 64, 3), np.uint8)
print(predictor.label_map(image).shape, multiply_adds(lambda: predictor.label_map(image)) > 10**6)
print(*sorted({"torch._dynamo", "torch._inductor"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.split("\n") == ["(64, 64) True", "", ""]
