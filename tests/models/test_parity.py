"""Our modules against other libraries' and against torch's own operations: weights copied, outputs equal.

Where a peer deviates from ours on purpose, the test says so and makes the rest comparable.
"""

from typing import TypeVar

import pytest
import torch
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP as SMPASPP
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPModule
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.segmentation.deeplabv3 import ASPP as TorchvisionASPP  # noqa: N811
from torchvision.models.segmentation.fcn import FCNHead

from segbench.models.backbones import Backbone
from segbench.models.deeplab_v1 import DeepLabV1
from segbench.models.deeplab_v2 import DeepLabV2
from segbench.models.deeplab_v3_plus import DeepLabV3Plus
from segbench.models.fcn import FCN
from segbench.models.layers import ASPP
from segbench.models.pspnet import PSPNet, PyramidPooling
from segbench.models.sliding_window import SlidingWindow
from segbench.models.subsampling import SubsampledConv2d
from segbench.models.unet import ExpandingStep, UNet

M = TypeVar("M", bound=nn.Module)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("rates", [(6, 12, 18), (1, 2, 3)])
@pytest.mark.parametrize("peer_library", ["torchvision", "segmentation_models_pytorch"])
def test_aspp_is_the_peers(peer_library: str, rates: tuple[int, ...]) -> None:
    """Both peers interpolate the pooled image's single pixel; ours repeats it."""
    ours = ready(ASPP(24, 16, atrous_rates=rates, image_pooling=True, dropout=0.5))
    if peer_library == "torchvision":
        peer = TorchvisionASPP(24, rates, 16)
    else:
        peer = SMPASPP(24, 16, rates, separable=False, dropout=0.5)
    copy_state(ours, peer)
    features = torch.randn(2, 24, 21, 27)
    assert_same(ours(features), peer(features))


def test_pspnets_two_heads_are_torchvisions_fcn_head() -> None:
    backbone = Backbone("resnet18", weights="none", output_stride=8)
    network = ready(
        PSPNet(
            backbone, num_classes=5, bins=[1, 2, 3, 6], dropout=0.1, auxiliary_weight=0.4,
            head_channels=2 * backbone.channels[32] // 4, auxiliary_channels=backbone.channels[16] // 4,
        )
    )  # fmt: skip
    main_head, auxiliary_head = FCNHead(2 * backbone.channels[32], 5), FCNHead(backbone.channels[16], 5)
    copy_state(network.head, main_head)
    copy_state(network.auxiliary_head, auxiliary_head)
    images = torch.rand(2, 3, 32, 64)
    features = backbone(images)
    main, auxiliary = network.loss_terms(images, torch.zeros(2, 32, 64))
    assert_same(main.logits, bilinear(main_head(network.pyramid(features[32])), (32, 64)))
    assert_same(auxiliary.logits, bilinear(auxiliary_head(features[16]), (32, 64)))
    assert auxiliary.weight == 0.4


@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
def test_fcn_8s_sums_enlarged_scores_as_in_its_figure(upsampling: str) -> None:
    """Against torch's own operations: no peer library has the skips."""
    backbone = Backbone("resnet18", weights="none")
    network = ready(
        FCN(
            backbone, num_classes=5, stride=8, upsampling=upsampling, fc6_kernel_px=3, head_channels=32, dropout=0.5,
            batch_norm=True, skip_scales=[0.5, 0.25],
        )
    )  # fmt: skip
    for parameter in [*network.score.parameters(), *network.skip_scores.parameters()]:
        parameter.normal_(std=0.1)  # they start at zero, where all would be the same
    up_twice, up_twice_again, up_8_times = [*network.skip_ups, network.last_up]
    if upsampling == "transposed":
        for up in (up_twice, up_twice_again, up_8_times):
            next(up.parameters()).add_(0.1 * torch.randn(()))  # no longer bilinear, and each its own

    def enlarged(x: Tensor, up: nn.Module, factor: int, size: tuple[int, int]) -> Tensor:
        if upsampling == "bilinear":
            return bilinear(x, size)
        kernel = next(up.parameters())
        assert kernel.shape == (5, 5, 2 * factor, 2 * factor)
        return F.conv_transpose2d(x, kernel, stride=factor, padding=factor // 2)[..., : size[0], : size[1]]

    images = torch.rand(2, 3, 64, 96)
    features = backbone(images)
    score_16, score_8 = network.skip_scores
    scores = network.score(network.head(features[32]))
    scores = enlarged(scores, up_twice, 2, (4, 6)) + score_16(0.5 * features[16])
    scores = enlarged(scores, up_twice_again, 2, (8, 12)) + score_8(0.25 * features[8])
    assert_same(network(images), enlarged(scores, up_8_times, 8, (64, 96)))


def test_unets_expanding_path_is_smps() -> None:
    """Deviation: SMP enlarges by nearest neighbour where ours has the paper's 2x2 up-convolution, of fewer channels.

    An up-convolution of four equal weights is a 1x1 convolution, then enlargement by nearest neighbour; the former
    goes into the first of SMP's two convolutions.
    """
    backbone = Backbone("resnet18", weights="none")
    decoder_channels = [32, 24, 16, 8, 12]
    network = ready(UNet(backbone, num_classes=3, decoder_channels=decoder_channels, batch_norm=True, skips=True))
    peer = UnetDecoder([3, *backbone.channels.values()], decoder_channels).eval()
    for step, block in zip(network.steps, peer.blocks, strict=True):
        assert isinstance(step, ExpandingStep)
        step.up.weight[:] = step.up.weight[:, :, :1, :1]
        assert step.up.bias is not None
        step.up.bias.zero_()
        kernel, *others = step.mix.state_dict().values()
        of_enlarged, of_skip = kernel.split([step.up.out_channels, kernel.shape[1] - step.up.out_channels], dim=1)
        of_deeper = torch.einsum("omhw,im->oihw", of_enlarged, step.up.weight[:, :, 0, 0])
        load(nn.Sequential(block.conv1, block.conv2), [torch.cat([of_deeper, of_skip], dim=1), *others])
    images = torch.rand(2, 3, 64, 96)
    assert_same(network(images), network.score(peer([images, *backbone(images).values()])))


@pytest.mark.parametrize("size", [(6, 6), (9, 13), (5, 4)])
def test_pyramid_pooling_is_smps_up_to_its_interpolation(size: tuple[int, int]) -> None:
    """Deviations: SMP has no norm at bin 1 (ours goes into its convolution) and aligns corners (redone here)."""
    ours, peer = pyramids(channels=16, bins=(1, 2, 3, 6))
    features = torch.randn(2, 16, *size)
    levels = [bilinear(block.pool(features), size) for block in peer.blocks]
    assert_same(ours(features), torch.cat([features, *levels], dim=1))


def test_pyramid_pooling_is_smps_where_corners_do_not_matter() -> None:
    """One bin, or as many as pixels. Deviations: no norm at bin 1; SMP puts the feature last, ours first."""
    ours, peer = pyramids(channels=16, bins=(1, 6))
    features = torch.randn(2, 16, 6, 6)
    assert_same(ours(features), peer(features).roll(16, dims=1))


def test_deeplab_v3_plus_decodes_as_smp() -> None:
    """Deviations: SMP has one of the two separable convolutions before it enlarges, so ours loses its second here;
    within the other it has no norm and ReLU, so ours get weights that leave all as it is; it aligns corners (redone).
    """
    backbone = Backbone("resnet18", weights="none", output_stride=16)
    network = ready(
        DeepLabV3Plus(
            backbone, num_classes=5, atrous_rates=[1, 2, 3], image_pooling=True, head_channels=32,
            low_level_channels=48, dropout=0.1,
        )
    )  # fmt: skip
    network.refine[1] = nn.Identity()
    first = network.refine[0]
    assert isinstance(first, nn.Sequential)
    depthwise, pointwise = first
    assert isinstance(depthwise, nn.Sequential)
    convolution, norm, _ = depthwise
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    convolution.weight.abs_()  # the input has passed a ReLU: with such weights, so does the output
    norm.load_state_dict({**nn.BatchNorm2d(80).state_dict(), "running_var": torch.full((80,), 1 - norm.eps)})

    peer = DeepLabV3PlusDecoder(
        [3, *backbone.channels.values()], 5, 32, [1, 2, 3], 16, aspp_separable=False, aspp_dropout=0.1
    )
    peer.eval()
    copy_state(network.aspp, peer.aspp[0])
    copy_state(network.reduce, peer.block1)
    separable, *norm_and_relu = peer.block2
    load(separable[0], [convolution.weight])
    copy_state(pointwise, nn.Sequential(separable[1], *norm_and_relu))

    images = torch.rand(2, 3, 64, 96)
    features = backbone(images)
    low_level = peer.block1(features[4])
    context = bilinear(peer.aspp[0](features[32]), (16, 24))
    expected = network.score(peer.block2(torch.cat([context, low_level], dim=1)))
    assert_same(network(images), bilinear(expected, (64, 96)))


def test_deeplab_v2_sums_the_scores_of_all_rates() -> None:
    rates = [6, 12, 18, 24]
    backbone = Backbone("tf_efficientnet_lite0", weights="none", output_stride=8)
    network = ready(DeepLabV2(backbone, num_classes=5, atrous_rates=rates))
    images = torch.rand(1, 3, 224, 256)  # 28 x 32 positions: the largest rate has neighbours within
    features = backbone(images)[32]
    assert features.shape[-2:] == (28, 32)
    expected = torch.zeros(1, 5, 28, 32)
    for rate, branch in zip(rates, network.branches, strict=True):
        assert isinstance(branch, nn.Conv2d)
        expected += F.conv2d(features, branch.weight, branch.bias, padding=rate, dilation=rate)
    assert_same(network(images), bilinear(expected, (224, 256)))


def test_deeplab_v1_has_a_large_field_of_view() -> None:
    """fc6: 3x3 at rate 12 on features of output stride 8; fc7 and scores: 1x1."""
    backbone = Backbone("tf_efficientnet_lite0", weights="none", output_stride=8)
    network = ready(DeepLabV1(backbone, num_classes=5, atrous_rate=12, head_channels=32, dropout=0.5, batch_norm=False))
    fc6, fc6_bias, fc7, fc7_bias = (*network.fc6.parameters(), *network.fc7.parameters())
    assert fc6.shape == (32, backbone.channels[32], 3, 3)
    assert fc7.shape == (32, 32, 1, 1)
    images = torch.rand(1, 3, 160, 192)
    features = backbone(images)[32]
    assert features.shape[-2:] == (20, 24)
    x = F.relu(F.conv2d(features, fc6, fc6_bias, padding=12, dilation=12))
    x = F.relu(F.conv2d(x, fc7, fc7_bias))
    assert_same(network(images), bilinear(F.conv2d(x, network.score.weight, network.score.bias), (160, 192)))


@pytest.mark.parametrize("is_depthwise", [False, True])
@pytest.mark.parametrize("kernel_px", [3, 5])
@pytest.mark.parametrize("rate", [2, 3, 4, 6])
@pytest.mark.parametrize("size", [(13, 9), (12, 24), (5, 3), (1, 1)])  # the last two below the larger rates
def test_atrous_convolution_is_subsample_convolve_interleave(
    size: tuple[int, int], rate: int, kernel_px: int, is_depthwise: bool
) -> None:
    convolution = nn.Conv2d(
        4, 4 if is_depthwise else 6, kernel_px, padding=rate * (kernel_px // 2), dilation=rate,
        groups=4 if is_depthwise else 1, dtype=torch.float64,
    )  # fmt: skip
    x = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    inputs = [x, *convolution.parameters()]
    direct, subsampled = convolution(x), SubsampledConv2d.sharing(convolution)(x)
    torch.testing.assert_close(subsampled, direct)
    weights = torch.randn_like(direct)  # a plain sum would weigh all positions alike
    for actual, expected in zip(
        torch.autograd.grad((weights * subsampled).sum(), inputs),
        torch.autograd.grad((weights * direct).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
def test_the_convolutional_form_gives_the_sliding_windows_scores(stride: int) -> None:
    network, images = sliding_window(), torch.rand(2, 3, 37, 53)
    scores = network.scores(images, stride=stride)
    assert scores.shape == (2, 3, -(-37 // stride), -(-53 // stride))
    assert_same(scores, network.slid_scores(images, stride=stride))


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_sliding_window_positions_are_the_centres_of_squares(stride: int) -> None:
    network, images = sliding_window(), torch.rand(2, 3, 37, 53)
    centres = network.scores(images, stride=1)[..., stride // 2 :: stride, stride // 2 :: stride]
    height, width = centres.shape[-2:]  # without the last squares where the image ends before their centre
    assert_same(network.scores(images, stride=stride)[..., :height, :width], centres)


@pytest.mark.parametrize(("stride", "shape"), [(2, (2, 18, 26)), (4, (2, 9, 13)), (8, (2, 9, 13))])
def test_sliding_window_trains_on_the_scores_of_labelled_positions(stride: int, shape: tuple[int, ...]) -> None:
    """They are at most 4 px apart, the first at the middle of a stride."""
    network, images = sliding_window(), torch.rand(2, 3, 37, 53)
    network.stride = stride
    label_maps = torch.arange(2 * 37 * 53).view(2, 37, 53)  # a pixel's label is its number: it tells where it was
    (term,) = network.loss_terms(images, label_maps)
    dense = network.scores(images, stride=1).permute(0, 2, 3, 1).flatten(0, 2)  # (N * H * W, C)
    assert term.label_maps.shape == shape
    assert_same(term.logits, dense[term.label_maps].permute(0, 3, 1, 2))


def test_a_pixel_changes_the_scores_of_the_patches_around_it_only() -> None:
    network, images = sliding_window(patch_px=16), torch.rand(1, 3, 45, 61)
    changed = images.clone()
    changed[..., 20, 30] = 1 - changed[..., 20, 30]
    change = network.scores(changed, stride=1) - network.scores(images, stride=1)
    differs = (change.abs() > 1e-6).any(dim=1)[0]
    assert differs[20, 30]
    # A position's patch begins 8 px before it and ends 7 px after it.
    outside = torch.ones(45, 61, dtype=torch.bool)
    outside[13:29, 23:39] = False
    assert not differs[outside].any()
    assert differs[13:29, 23:39].any(dim=0).all()
    assert differs[13:29, 23:39].any(dim=1).all()


def sliding_window(patch_px: int = 32) -> SlidingWindow:
    return ready(SlidingWindow(num_classes=3, patch_px=patch_px, stride=4, channels=8, hidden_channels=16))


def pyramids(*, channels: int, bins: tuple[int, ...]) -> tuple[PyramidPooling, PSPModule]:
    """Ours and SMP's, of equal weights; SMP has no norm at bin 1, so our norm is made part of its convolution."""
    ours, peer = ready(PyramidPooling(channels, bins)), PSPModule(channels, bins).eval()
    for num_bins, level, block in zip(bins, ours.levels, peer.blocks, strict=True):
        assert isinstance(level, nn.Sequential)
        _, layer = level
        assert isinstance(layer, nn.Sequential)
        convolution, norm, _ = layer
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        copy_state(fuse_conv_bn_eval(convolution, norm) if num_bins == 1 else layer, block.pool[1])
    return ours, peer


def ready(module: M) -> M:
    """The module in eval mode, without gradients, its norms far from doing nothing."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.data.uniform_(0.5, 1.5)
            norm.bias.data.uniform_(-0.5, 0.5)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 1.5)
    return module.requires_grad_(False).eval()


def copy_state(ours: nn.Module, peer: nn.Module) -> None:
    load(peer, list(ours.state_dict().values()))


def load(peer: nn.Module, tensors: list[Tensor]) -> None:
    """Both hold the same tensors in the same order, under different names."""
    peer.eval().load_state_dict(dict(zip(peer.state_dict(), tensors, strict=True)))


def bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """Equal to 1e-4 of how much they vary over the positions: (N, C, H, W) each."""
    spread = float(expected.detach().std(dim=(-2, -1)).mean())
    assert spread > 1e-3  # or there is nothing to compare
    torch.testing.assert_close(actual, expected, atol=1e-4 * min(spread, 1), rtol=1e-4)
