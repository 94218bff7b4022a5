"""Exported networks: the same logits and classes as torch's for every size, in the engines that others use."""

import copy
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from segbench.errors import InputError
from segbench.models.build import build_model
from segbench.models.color_clusters import ColorClusters
from segbench.prediction.export import OnnxPredictor, check_parity, export_onnx, export_torch
from segbench.prediction.exportable import ColorDifferences, FixedPadding, RegionAverages, exportable
from segbench.prediction.predictor import Predictor
from tests.parameters import PARAMETERS
from tests.prediction.test_folding import BACKBONE, as_trained

NUM_CLASSES = 5
SIZES = ((33, 65), (64, 32))
METADATA = {"classes": "road, sky", "scale": "0.5"}
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of the exporters' own libraries


@torch.no_grad()
def network_of(name: str) -> nn.Module:
    """With random weights, and several classes in an image."""
    torch.manual_seed(0)
    network = as_trained(build_model(PARAMETERS.model(name), backbone=BACKBONE, num_classes=NUM_CLASSES))
    images = torch.rand(2, 3, 64, 96)
    if isinstance(network, ColorClusters):
        network.centers.uniform_()
        network.log_frequencies.uniform_(-5, 0)
    else:
        biases = [bias for bias in network.parameters() if bias.shape == (NUM_CLASSES,)]
        biases[0].sub_(network(images).mean(dim=(0, 2, 3)))
    assert len(network(images).argmax(dim=1).unique()) > 1
    return network


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """One whose export is fast."""
    return network_of("color_clusters")


@pytest.fixture(scope="module")
def onnx_file(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "network.onnx"
    export_onnx(network, path=path, metadata=METADATA)
    return path


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("color_clusters", "sliding_window") else pytest.mark.long)
        for name in PARAMETERS.benchmark.models
    ],
)
def test_an_onnx_file_gives_the_networks_logits_and_classes(name: str, tmp_path: Path) -> None:
    network, path = network_of(name).to(memory_format=torch.channels_last), tmp_path / "network.onnx"  # as predicted
    export_onnx(network, path=path, metadata={})
    assert [(one.batch, one.height, one.width) for one in check_parity(network, path, sizes=SIZES)] == [
        (1, 33, 65), (2, 33, 65), (1, 64, 32), (2, 64, 32)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["color_clusters", "sliding_window", "pspnet"])
def test_a_program_of_torch_gives_the_networks_logits_and_classes(name: str, tmp_path: Path) -> None:
    network, path = network_of(name), tmp_path / "network.pt2"
    export_torch(network, path=path, metadata={})
    assert len(check_parity(network, path, sizes=((1, 1), *SIZES))) == 6


def test_an_onnx_file_says_what_goes_in_and_out(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key: entry.value for entry in model.metadata_props} == METADATA
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": ["N", 3, "H", "W"], "logits": ["N", 5, "H", "W"]}


def test_an_export_leaves_the_network_as_it_is(tmp_path: Path) -> None:
    network = network_of("fcn_8s").train()
    layers = [(name, type(module)) for name, module in network.named_modules()]
    exportable(network)
    assert network.training
    assert [(name, type(module)) for name, module in network.named_modules()] == layers


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_predictor_of_onnx_predicts_as_the_own_one(network: nn.Module, onnx_file: Path, scale: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (46, 62, 3), np.uint8)
    own, other = Predictor(copy.deepcopy(network), scale=scale), OnnxPredictor(onnx_file, scale=scale)
    np.testing.assert_allclose(other.probabilities(image), own.probabilities(image), atol=1e-4)
    assert (other.label_map(image) == own.label_map(image)).mean() >= 0.999
    assert other.label_map(image).dtype == np.uint8 and other.probabilities(image).dtype == np.float32
    assert len(np.unique(own.label_map(image))) > 1
    assert other.metadata == METADATA


def test_other_weights_than_the_files_are_seen(network: nn.Module, onnx_file: Path) -> None:
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.get_buffer("log_frequencies")[0] += 0.01
    with pytest.raises(InputError, match=r"network.onnx: differs from the network: 1 x 65x33 px: logits differ by up"):
        check_parity(changed, onnx_file, sizes=SIZES)


def test_a_file_for_one_size_is_seen(tmp_path: Path) -> None:
    network = nn.Conv2d(3, 2, 1)
    path = tmp_path / "fixed.pt2"
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, 33, 65),)), path)
    with pytest.raises(InputError, match=r"fixed.pt2: fails for 2 x 65x33 px: "):
        check_parity(network, path, sizes=SIZES)
    path = tmp_path / "fixed.onnx"
    torch.onnx.export(network, (torch.zeros(2, 3, 64, 32),), path, dynamo=True, input_names=["images"], verbose=False)
    with pytest.raises(InputError, match=r"fixed.onnx: fails for 1 x 65x33 px: "):
        check_parity(network, path, sizes=SIZES)


class Scaled(nn.Module):
    """Logits so small that a difference of them says nothing, of classes that `sign` exchanges."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 2, H, W)"""
        return 1e-5 * self.sign * (images[:, :2] - 0.5)


def test_other_classes_are_seen_where_logits_are_small(tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    export_torch(Scaled(1), path=path, metadata={})
    assert len(check_parity(Scaled(1), path, sizes=SIZES)) == 4
    with pytest.raises(InputError, match=r"0.000 % of pixels have the same class; 99.9 % must"):
        check_parity(Scaled(-1), path, sizes=SIZES)


class Asking(nn.Module):
    """What it computes depends on the colours."""

    def forward(self, images: Tensor) -> Tensor:
        return images if images.mean() > 0.5 else -images


def test_a_network_that_cannot_be_exported_is_told_in_one_line(tmp_path: Path) -> None:
    for export in (
        lambda path: export_torch(Asking(), path=path, metadata={}),
        lambda path: export_onnx(Asking(), path=path, metadata={}),
    ):
        with pytest.raises(InputError, match=r"^[^\n]*network: the network cannot be exported \([^\n]+\)$"):
            export(tmp_path / "network")
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_exported_networks(network: nn.Module, tmp_path: Path) -> None:
    for name, message in (
        ("network.onnx", "not an ONNX file that can be run"),
        ("network.pt2", "not a program of torch.export"),
        ("network.pt", "the name of an exported network ends in .onnx or .pt2"),
    ):
        path = tmp_path / name
        path.write_bytes(b"nothing")
        with pytest.raises(InputError, match=f"{name}: {message}"):
            check_parity(network, path)
    for name in ("missing.onnx", "missing.pt2"):
        with pytest.raises(InputError, match=f"{name}: no such file"):
            check_parity(network, tmp_path / name)


def test_missing_packages_are_named_with_how_to_install_them(
    network: nn.Module, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            message = r"onnx, onnxruntime and onnxscript: pip install onnx onnxruntime onnxscript$"
            with pytest.raises(InputError, match=f"exporting to ONNX needs the packages {message}"):
                export_onnx(network, path=tmp_path / "network.onnx", metadata={})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        InputError, match=r"running an ONNX file needs the package onnxruntime: pip install onnxruntime$"
    ):
        OnnxPredictor(onnx_file, scale=1.0)


@pytest.mark.parametrize("num_bins", [1, 2, 3, 6, 8])
def test_averages_of_regions_are_those_of_adaptive_pooling(num_bins: int) -> None:
    for height, width in ((1, 2), (4, 7), (12, 16), (13, 29)):
        x = torch.rand(2, 3, height, width)
        torch.testing.assert_close(RegionAverages(num_bins)(x), nn.AdaptiveAvgPool2d(num_bins)(x))


@pytest.mark.parametrize(
    ("kernel_px", "stride", "rate"), [(3, 2, 1), (5, 2, 1), (3, 1, 2), (5, 1, 4), (1, 2, 1), (2, 4, 1)]
)
def test_fixed_padding_is_that_of_timm_for_whole_strides(kernel_px: int, stride: int, rate: int) -> None:
    layer = Conv2dSame(4, 4, kernel_px, stride=stride, dilation=rate, groups=2)
    for height, width in ((8, 20), (12, 4)):
        x = torch.rand(1, 4, height, width)
        assert torch.equal(FixedPadding(layer)(x), layer(x))


def test_colours_between_two_clusters_go_to_the_same_one() -> None:
    clusters = ColorClusters(num_classes=3, num_clusters=27)
    levels = torch.tensor([0.0, 100, 255]) / 255
    clusters.centers.copy_(torch.cartesian_prod(levels, levels, levels))
    clusters.log_frequencies.uniform_()
    images = torch.randint(0, 256, (1, 3, 64, 96)) / 255
    images[..., :32, :] = torch.tensor([50.0, 177.5])[torch.randint(0, 2, (1, 3, 32, 96))] / 255
    assert torch.equal(ColorDifferences(clusters)(images), clusters(images))
