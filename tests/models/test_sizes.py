"""Sizes of features and logits at odd image sizes, and of the papers' own networks."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from segbench import params
from segbench.models.backbones import Backbone
from segbench.models.build import build_model
from segbench.models.network import Network
from tests.parameters import PARAMETERS

SIZE = HEIGHT, WIDTH = 65, 97
SHARED = params.Backbone(name="tf_efficientnet_lite0", weights="none")
PAPERS = [name for name in PARAMETERS.models if name.startswith("paper_")]
OTHERS = [name for name in PARAMETERS.models if name not in PAPERS]
ENCODERS = ["tf_efficientnet_lite0", "resnet18", "resnet50", "vgg16_bn", "mobilenetv3_large_100", "convnext_tiny"]


def models_and_output_strides() -> Iterator[tuple[str, int]]:
    for name in OTHERS:
        is_atrous = hasattr(PARAMETERS.model(name), "output_stride")
        yield from ((name, stride) for stride in ((8, 16, 32) if is_atrous else (32,)))


@pytest.mark.parametrize(("name", "output_stride"), models_and_output_strides())
def test_any_output_stride_gives_logits_of_the_images_size(name: str, output_stride: int) -> None:
    torch.manual_seed(0)
    model = PARAMETERS.model(name)
    if hasattr(model, "output_stride"):
        model = model.model_copy(update={"output_stride": output_stride})
    network = build_model(model, backbone=SHARED, num_classes=5).eval()
    images = torch.rand(2, 3, *SIZE)
    with torch.inference_mode():
        logits = network(images)
        assert logits.shape == (2, 5, *SIZE)
        assert logits.isfinite().all()
        if isinstance(model, params.BackboneModel):
            deepest = network.get_submodule("backbone")(images)[32]
            assert deepest.shape[-2:] == (ceil_divide(HEIGHT, output_stride), ceil_divide(WIDTH, output_stride))


@pytest.mark.parametrize("name", [name for name in OTHERS if isinstance(PARAMETERS.model(name), params.BackboneModel)])
def test_an_image_is_scored_as_with_a_grey_border_up_to_whole_strides(name: str) -> None:
    """So that strided convolutions put the features of all images, and of all crops, at the same pixels."""
    torch.manual_seed(0)
    network = build_model(PARAMETERS.model(name), backbone=SHARED, num_classes=5).eval()
    assert isinstance(network, Network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # scores may start at zero
    images = torch.rand(1, 3, *SIZE)
    bordered = torch.full((1, 3, 96, 128), 127 / 255)
    bordered[..., :HEIGHT, :WIDTH] = images
    with torch.inference_mode():
        logits = network(images)
        torch.testing.assert_close(logits, network(bordered)[..., :HEIGHT, :WIDTH])
        (term, *_) = network.loss_terms(images, torch.zeros(1, *SIZE, dtype=torch.uint8))
    assert logits.std() > 0.01
    torch.testing.assert_close(term.logits, logits)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_features_have_the_images_size_by_their_stride_rounded_up(encoder: str, output_stride: int) -> None:
    backbone = Backbone(encoder, weights="none", output_stride=output_stride).eval()
    assert list(backbone.channels)[-3:] == [8, 16, 32]
    for height, width in (SIZE, (64, 95)):
        with torch.inference_mode():
            features = backbone(torch.rand(1, 3, height, width))
        assert features.keys() == backbone.channels.keys()
        for stride, feature in features.items():
            actual = min(stride, output_stride)
            size = ceil_divide(height, actual), ceil_divide(width, actual)
            assert feature.shape == (1, backbone.channels[stride], *size)
            assert feature.isfinite().all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_image_smaller_than_the_deepest_stride_has_features(encoder: str) -> None:
    """The models take any size, and params.yaml crops from 16 px on."""
    with torch.device("meta"):
        features = Backbone(encoder, weights="none").eval()(torch.rand(1, 3, 16, 31))
    assert [feature.shape[-2:] for feature in features.values()][-3:] == [(2, 4), (1, 2), (1, 1)]


@pytest.mark.parametrize("name", ["unet", "fcn_8s", "deeplab_v3_plus"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_any_encoder_gives_logits_of_the_images_size(encoder: str, name: str) -> None:
    torch.manual_seed(0)
    chosen = params.Backbone(name=encoder, weights="none")
    network = build_model(PARAMETERS.model(name), backbone=chosen, num_classes=5).eval()
    with torch.inference_mode():
        logits = network(torch.rand(1, 3, *SIZE))
    assert logits.shape == (1, 5, *SIZE)
    assert logits.isfinite().all()


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_atrous_convolution_costs_no_parameters(encoder: str, output_stride: int) -> None:
    with torch.device("meta"):
        strided = Backbone(encoder, weights="none")
        atrous = Backbone(encoder, weights="none", output_stride=output_stride)
    assert shapes(atrous) == shapes(strided)


# In the others a stride is no mere subsampling: VGG pools, MobileNet squeezes, ConvNeXt strides by patches.
@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("encoder", ["tf_efficientnet_lite0", "resnet18", "resnet50"])
def test_an_atrous_backbone_gives_the_strided_ones_features(encoder: str, output_stride: int) -> None:
    """The same weights at a rate in place of a stride (Chen et al. 2016, sec. 3.1): more of them, none different."""
    torch.manual_seed(0)
    strided = Backbone(encoder, weights="none")
    for norm in strided.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0  # its statistics are those of the images below, which keeps the features large
            nn.init.uniform_(norm.weight, 0.5, 1.0)  # in a residual branch, the last would start at zero
    atrous = Backbone(encoder, weights="none", output_stride=output_stride)
    images = torch.rand(1, 3, *SIZE)  # of this size, no layer pads to one side only
    with torch.inference_mode():
        strided(images)
        atrous.load_state_dict(strided.state_dict())
        expected, features = strided.eval()(images), atrous.eval()(images)
    for stride in (16, 32):
        step = max(1, stride // output_stride)
        assert expected[stride].std() > 0.1
        torch.testing.assert_close(features[stride][..., ::step, ::step], expected[stride], atol=1e-3, rtol=1e-3)


def test_vgg_at_output_stride_8_is_that_of_deeplab_v1() -> None:
    """Chen et al. 2015, sec. 3.1: the last two poolings do not subsample, so conv5 has rate 2.

    Rate 4, for what follows both, is nowhere: only fc6 does, whose rate LargeFOV chooses.
    """
    backbone = Backbone("vgg16_bn", weights="none", output_stride=8).eval()
    convolutions = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    assert [convolution.dilation for convolution in convolutions] == 10 * [(1, 1)] + 3 * [(2, 2)]
    pools = [module for module in backbone.modules() if isinstance(module, nn.MaxPool2d)]
    with torch.inference_mode():
        assert [pool(torch.rand(1, 1, 12, 20)).shape[-2:] for pool in pools] == 3 * [(6, 10)] + 2 * [(12, 20)]


C = 21
"""The classes of PASCAL VOC, with background: what the papers count with."""


def convolution(in_channels: int, out_channels: int, kernel_px: int) -> int:
    """Weights of a convolution with a bias."""
    return kernel_px**2 * in_channels * out_channels + out_channels


def normed(in_channels: int, out_channels: int, kernel_px: int) -> int:
    """Weights of a convolution without a bias, and the two of batch norm a channel."""
    return kernel_px**2 * in_channels * out_channels + 2 * out_channels


def double(in_channels: int, out_channels: int) -> int:
    """U-Net's two 3x3 convolutions."""
    return convolution(in_channels, out_channels, 3) + convolution(out_channels, out_channels, 3)


def bottlenecks(in_channels: int, channels: int, count: int) -> int:
    """A stage of ResNet-101: 1x1, 3x3, 1x1 of four times the channels, the first block's shortcut."""
    first = normed(in_channels, channels, 1) + normed(channels, channels, 3) + normed(channels, 4 * channels, 1)
    other = normed(4 * channels, channels, 1) + normed(channels, channels, 3) + normed(channels, 4 * channels, 1)
    return first + normed(in_channels, 4 * channels, 1) + (count - 1) * other


def separable(in_channels: int, out_channels: int) -> int:
    """3x3 depthwise and 1x1 convolution, each with batch norm."""
    return 9 * in_channels + 2 * in_channels + normed(in_channels, out_channels, 1)


def xception_block(in_channels: int, *channels: int) -> int:
    """Three separable convolutions and the shortcut's 1x1 convolution."""
    first, second, third = channels
    layers = separable(in_channels, first) + separable(first, second) + separable(second, third)
    return layers + normed(in_channels, third, 1)


VGG16 = (
    convolution(3, 64, 3) + convolution(64, 64, 3)
    + convolution(64, 128, 3) + convolution(128, 128, 3)
    + convolution(128, 256, 3) + 2 * convolution(256, 256, 3)
    + convolution(256, 512, 3) + 2 * convolution(512, 512, 3)
    + 3 * convolution(512, 512, 3)
)  # fmt: skip
FC6_FC7_SCORE = convolution(512, 4096, 7) + convolution(4096, 4096, 1) + convolution(4096, C, 1)
RESNET101 = (
    normed(3, 64, 7)
    + bottlenecks(64, 64, 3) + bottlenecks(256, 128, 4) + bottlenecks(512, 256, 23) + bottlenecks(1024, 512, 3)
)  # fmt: skip
XCEPTION65 = (
    normed(3, 32, 3) + normed(32, 64, 3)
    + xception_block(64, 128, 128, 128) + xception_block(128, 256, 256, 256) + xception_block(256, 728, 728, 728)
    + 16 * 3 * separable(728, 728)  # shortcuts without weights
    + xception_block(728, 728, 1024, 1024)
    + separable(1024, 1536) + separable(1536, 1536) + separable(1536, 2048)  # no shortcut
)  # fmt: skip
ASPP = (
    normed(2048, 256, 1) + 3 * normed(2048, 256, 3)  # 1x1 and three rates
    + normed(2048, 256, 1)  # image pooling
    + normed(5 * 256, 256, 1)
)  # fmt: skip

# Transposed convolutions of FCN are learnt, without a bias: C x C x kernel x kernel, of 4 px for x2, else twice the
# stride. Skip scores are of 512 channels at stride 8 too, of conv4_3: the paper has pool3's 256 there.
PAPERS_PARAMETERS = {
    "paper_fcn_32s": VGG16 + FC6_FC7_SCORE + C * C * 64 * 64,
    "paper_fcn_16s": VGG16 + FC6_FC7_SCORE + convolution(512, C, 1) + C * C * (4 * 4 + 32 * 32),
    "paper_fcn_8s": VGG16 + FC6_FC7_SCORE + 2 * convolution(512, C, 1) + C * C * (2 * 4 * 4 + 16 * 16),
    "paper_unet": (
        double(3, 64) + double(64, 128) + double(128, 256) + double(256, 512) + double(512, 1024)
        + convolution(1024, 512, 2) + double(1024, 512)
        + convolution(512, 256, 2) + double(512, 256)
        + convolution(256, 128, 2) + double(256, 128)
        + convolution(128, 64, 2) + double(128, 64)
        + convolution(64, C, 1)
    ),
    "paper_pspnet": (
        RESNET101
        + 4 * normed(2048, 512, 1)  # 1, 2, 3 and 6 bins
        + normed(4096, 512, 3) + convolution(512, C, 1)
        + normed(1024, 256, 3) + convolution(256, C, 1)  # auxiliary
    ),
    "paper_deeplab_v1": VGG16 + convolution(512, 1024, 3) + convolution(1024, 1024, 1) + convolution(1024, C, 1),
    "paper_deeplab_v2": RESNET101 + 4 * convolution(2048, C, 3),
    "paper_deeplab_v3": RESNET101 + ASPP + convolution(256, C, 1),
    "paper_deeplab_v3_plus": (
        XCEPTION65 + ASPP
        + normed(256, 48, 1)
        + separable(256 + 48, 256) + separable(256, 256)
        + convolution(256, C, 1)
    ),
}  # fmt: skip


def test_the_sums_agree_with_what_is_published() -> None:
    """ImageNet networks without their 1000 classes; the papers' own tables."""
    assert 138_357_544 - convolution(512, 4096, 7) - convolution(4096, 4096, 1) - convolution(4096, 1000, 1) == VGG16
    assert 44_549_160 - convolution(2048, 1000, 1) == RESNET101
    assert round(VGG16 + FC6_FC7_SCORE, -5) == 134_300_000  # Chen et al. 2015, "Effect of Field-Of-View": 7x7
    assert round(PAPERS_PARAMETERS["paper_deeplab_v1"], -5) == 20_500_000  # the same: LargeFOV


def test_the_papers_unet_has_23_convolutions() -> None:
    """Ronneberger et al. 2015, sec. 2."""
    with torch.device("meta"):
        modules = list(paper_network("paper_unet").modules())
    assert sum(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in modules) == 23


def test_every_papers_network_is_summed_up() -> None:
    assert set(PAPERS) == set(PAPERS_PARAMETERS)


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_network_has_its_layers_sizes(name: str) -> None:
    with torch.device("meta"):  # no numbers: 550 MB of them in an FCN
        network = paper_network(name)
        logits = network(torch.rand(2, 3, *SIZE))
    assert sum(parameter.numel() for parameter in network.parameters()) == PAPERS_PARAMETERS[name]
    assert logits.shape == (2, C, *SIZE)


@pytest.mark.parametrize("name", ["paper_fcn_8s", "paper_unet", "paper_deeplab_v2", "paper_deeplab_v3_plus"])
def test_a_papers_network_runs(name: str) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        logits = paper_network(name)(torch.rand(1, 3, 33, 47))
    assert logits.shape == (1, C, 33, 47)
    assert logits.isfinite().all()


def paper_network(name: str) -> torch.nn.Module:
    untrained = PARAMETERS.backbone_for(name).model_copy(update={"weights": "none"})
    return build_model(PARAMETERS.model(name), backbone=untrained, num_classes=C).eval()


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def ceil_divide(side: int, stride: int) -> int:
    return -(-side // stride)
