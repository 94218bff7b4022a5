"""Every model of params.yaml, through the same tests."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segbench import params
from segbench.errors import InputError
from segbench.models.build import build_model
from segbench.models.color_clusters import ColorClusters
from segbench.models.network import Network
from segbench.models.sliding_window import SlidingWindow
from segbench.models.weights import restore_network, save_weights
from segbench.params.models import DeepLabV1Model
from segbench.params.rates import fitted
from segbench.scoring import metrics
from tests.parameters import PARAMETERS
from tests.untrusted import MakesFolder

UNTRAINED = params.Backbone(name="tf_efficientnet_lite0", weights="none")
LECTURE = [
    "color_clusters", "sliding_window", "fcn_32s", "fcn_16s", "fcn_8s", "unet", "pspnet", "deeplab_v1", "deeplab_v2",
    "deeplab_v3", "deeplab_v3_plus",
]  # fmt: skip
NETWORKS = LECTURE[1:]
VARIANTS = list(PARAMETERS.variants)


def network(name: str, *, backbone: params.Backbone = UNTRAINED, num_classes: int = 3) -> Network:
    built = build_model(PARAMETERS.model(name), backbone=backbone, num_classes=num_classes)
    assert isinstance(built, Network)
    return built


def loss_of(model: Network, images: torch.Tensor, label_maps: torch.Tensor) -> torch.Tensor:
    terms = model.loss_terms(images, label_maps)
    return torch.stack([weight * F.cross_entropy(logits, truth) for logits, truth, weight in terms]).sum()


def test_the_benchmark_runs_the_lectures_models_under_their_names() -> None:
    assert PARAMETERS.benchmark.models == LECTURE


@pytest.mark.parametrize("name", LECTURE + VARIANTS)
@pytest.mark.parametrize("size", [(65, 97), (32, 32), (96, 128)])
def test_logits_have_the_images_size(name: str, size: tuple[int, int]) -> None:
    model = build_model(PARAMETERS.model(name), backbone=UNTRAINED, num_classes=5).eval()
    with torch.inference_mode():
        assert model(torch.rand(2, 3, *size)).shape == (2, 5, *size)


@pytest.mark.parametrize("name", [*NETWORKS, *(name for name in VARIANTS if name != "pspnet_no_auxiliary")])
def test_gradients_reach_every_parameter_and_are_finite(name: str) -> None:
    torch.manual_seed(0)
    model = network(name)
    images, label_maps = torch.rand(2, 3, 65, 97), torch.randint(0, 3, (2, 65, 97))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):  # score layers start at zero and pass nothing on until the first step
        optimizer.zero_grad()
        loss_of(model, images, label_maps).backward()
        optimizer.step()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


def mean_iou(model: Network, images: torch.Tensor, label_maps: torch.Tensor) -> float:
    with torch.no_grad():
        predicted = model(images).argmax(dim=1)
    confusion = metrics.confusion_matrix(
        truth=label_maps.numpy().astype(np.uint8), predicted=predicted.numpy().astype(np.uint8), num_classes=3
    )
    return metrics.compute_scores(confusion).mean_iou


@pytest.mark.parametrize("name", NETWORKS)
def test_two_tiny_images_are_learnt_by_heart(name: str) -> None:
    torch.manual_seed(0)
    model = network(name, backbone=PARAMETERS.backbone)
    if isinstance(model, SlidingWindow):
        model.stride = 1  # interpolation between positions would cut the corners
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    label_maps = torch.zeros(2, 64, 64, dtype=torch.long)
    label_maps[0, 16:48, 20:52] = 1
    label_maps[1, :, 30:] = 2
    images = 0.5 + 0.3 * F.one_hot(label_maps, 3).permute(0, 3, 1, 2) + 0.05 * torch.randn(2, 3, 64, 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(1, 61):
        optimizer.zero_grad()
        loss_of(model, images, label_maps).backward()
        optimizer.step()
        if step % 10 == 0 and mean_iou(model, images, label_maps) > 0.95:
            return
    pytest.fail("not learnt in 60 steps")


@pytest.mark.parametrize("name", LECTURE)
def test_saved_weights_give_the_same_logits(name: str, tmp_path: Path) -> None:
    model, images = PARAMETERS.model(name), torch.rand(1, 3, 33, 47)
    trained = build_model(model, backbone=PARAMETERS.backbone, num_classes=4).eval()
    save_weights(trained, tmp_path / "weights.pt")
    save_weights(trained, tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == (tmp_path / "weights.pt").read_bytes()
    restored = restore_network(model, backbone=PARAMETERS.backbone, num_classes=4, path=tmp_path / "weights.pt").eval()
    assert torch.equal(trained(images), restored(images))


def test_weights_are_on_the_disk_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power failure, a name without content would be taken for a finished training."""
    path, flushed = tmp_path / "weights.pt", []

    def flush(descriptor: int) -> None:
        assert not path.exists()
        flushed.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", flush)
    save_weights(torch.nn.Linear(3, 2), path)
    assert flushed == [path.stat().st_size]


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    unet = build_model(PARAMETERS.model("unet"), backbone=UNTRAINED, num_classes=4)
    save_weights(unet, tmp_path / "unet.pt")
    with pytest.raises(InputError, match=r"unet\.pt: not the weights of this model"):
        restore_network(PARAMETERS.model("fcn_8s"), backbone=UNTRAINED, num_classes=4, path=tmp_path / "unet.pt")


def test_weights_with_a_flipped_bit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seed_0.pt"
    save_weights(build_model(PARAMETERS.model("fcn_8s"), backbone=UNTRAINED, num_classes=4), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"seed_0\.pt: damaged \(.*\); `python -m pipeline.mend` looks at DVC's copy"):
        restore_network(PARAMETERS.model("fcn_8s"), backbone=UNTRAINED, num_classes=4, path=path)


def test_weights_that_would_run_something_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": MakesFolder(tmp_path / "made")}, tmp_path / "seed_0.pt")
    with pytest.raises(InputError, match=r"seed_0\.pt: holds more than weights, which is not loaded; train again$"):
        restore_network(PARAMETERS.model("fcn_8s"), backbone=UNTRAINED, num_classes=4, path=tmp_path / "seed_0.pt")
    assert not (tmp_path / "made").exists()


def test_without_its_weight_the_auxiliary_loss_moves_nothing() -> None:
    torch.manual_seed(0)
    model = network("pspnet_no_auxiliary")
    loss_of(model, torch.rand(2, 3, 64, 64), torch.randint(0, 3, (2, 64, 64))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.any()) != name.startswith("auxiliary_head"), name


def count(name: str) -> int:
    return sum(parameter.numel() for parameter in network(name).parameters())


def test_a_variant_has_as_many_parameters_as_its_idea_leaves() -> None:
    for name in ("deeplab_v1_strided", "deeplab_v2_one_rate", "deeplab_v3_one_rate", "pspnet_no_auxiliary"):
        assert count(name) == count(PARAMETERS.variants[name].of)
    channels = 320  # of the backbone's last feature
    pyramid = 4 * (channels * channels // 4 + 2 * channels // 4)
    assert count("pspnet") - count("pspnet_no_pyramid") == pyramid + 9 * channels * 256
    assert count("deeplab_v3") - count("deeplab_v3_no_image_pooling") == channels * 256 + 2 * 256 + 256 * 256
    transposed = 3 * 3 * (4 * 4 + 4 * 4 + 16 * 16)
    assert count("fcn_8s") - count("fcn_8s_bilinear") == transposed
    skips = 9 * (112 * 256 + 40 * 128 + 24 * 64 + 16 * 48)  # channels of the backbone's features by those of the steps
    assert count("unet") - count("unet_no_skips") == skips


def test_without_skips_unet_sees_the_deepest_feature_alone() -> None:
    torch.manual_seed(0)
    for name, sees_more in (("unet", True), ("unet_no_skips", False)):
        model = network(name).eval()
        features = {stride: torch.rand(1, channels, 64 // stride, 64 // stride)
                    for stride, channels in ((2, 16), (4, 24), (8, 40), (16, 112), (32, 320))}  # fmt: skip
        changed = {stride: feature + (stride < 32) for stride, feature in features.items()}
        logits = []
        for given in (features, changed):
            model.backbone.forward = lambda images, given=given: given  # type: ignore[union-attr, assignment]
            with torch.inference_mode():
                logits.append(model(torch.rand(1, 3, 64, 64)))
        assert torch.equal(*logits) != sees_more


def test_at_output_stride_32_a_quarter_of_the_rate_has_the_same_field_of_view() -> None:
    """In pixels of the image, since a feature's pixel is four times as large there."""
    strided, atrous = (
        fitted(PARAMETERS.model(name), crop_px=[96, 128]) for name in ("deeplab_v1_strided", "deeplab_v1")
    )
    assert isinstance(strided, DeepLabV1Model) and isinstance(atrous, DeepLabV1Model)
    assert strided.output_stride * strided.atrous_rate == atrous.output_stride * atrous.atrous_rate == 32


def test_deeplab_v3_is_deeplab_v3_plus_without_its_decoder() -> None:
    """So that both make a one-factor pair: the same features, ASPP and classifier give the same scores."""
    torch.manual_seed(0)
    with_decoder, without = network("deeplab_v3_plus").eval(), network("deeplab_v3").eval()
    state = with_decoder.state_dict()
    decoder = {name for name in state if name.startswith(("reduce.", "refine."))}
    without.load_state_dict({name: tensor for name, tensor in state.items() if name not in decoder})
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        context = with_decoder.get_submodule("aspp")(with_decoder.get_submodule("backbone")(images)[32])
        scores = F.interpolate(with_decoder.get_submodule("score")(context), (64, 96), mode="bilinear")
        torch.testing.assert_close(without(images), scores)


@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_fcn_sums_scores_down_to_its_stride(stride: int, upsampling: str) -> None:
    fcn = PARAMETERS.model("fcn_8s").model_copy(update={"stride": stride, "upsampling": upsampling})
    model = build_model(fcn, backbone=UNTRAINED, num_classes=3)
    assert len(model.get_submodule("skip_scores")._modules) == {32: 0, 16: 1, 8: 2}[stride]
    assert model(torch.rand(1, 3, 65, 97)).shape == (1, 3, 65, 97)


def test_color_clusters_learn_colours_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 5000).astype(np.uint8)
    colors = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]], np.uint8)[classes]
    classes[:100] = 255
    models = [ColorClusters(num_classes=3, num_clusters=8) for _ in range(2)]
    for model in models:
        model.fit(colors, classes, seed=0)
    assert torch.equal(models[0].centers, models[1].centers)
    image = torch.tensor([[[250.0, 0, 0], [0, 0, 250]]]).permute(2, 0, 1)[None] / 255
    assert models[0](image).argmax(dim=1).tolist() == [[[0, 2]]]
    probabilities = models[0](image).softmax(dim=1)
    torch.testing.assert_close(probabilities.log(), models[0](image))
