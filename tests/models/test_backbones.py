"""Encoders: strides, weights, and what goes wrong with them."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from segbench.errors import InputError
from segbench.models.backbones import Backbone
from tests.untrusted import MakesFolder


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18"])
def test_features_are_found_by_stride(name: str, output_stride: int) -> None:
    backbone = Backbone(name, weights="none", output_stride=output_stride)
    features = backbone(torch.rand(2, 3, 65, 97))
    assert max(features) == 32
    for stride, feature in features.items():
        actual = min(stride, output_stride)
        assert feature.shape == (2, backbone.channels[stride], -(-65 // actual), -(-97 // actual))


def test_bundled_weights_classify_as_the_same_network_of_timm() -> None:
    """Same weights, twice the input: the features follow only if each tensor stands where it belongs."""
    backbone = Backbone("tf_efficientnet_lite0", weights="bundled").eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.manual_seed(0))
    deepest = backbone(images)[32]
    assert deepest.isfinite().all()
    # Trained batch norms whiten what trained convolutions give; with one tensor out of place they do not.
    assert 0.1 < float(deepest.detach().std()) < 10
    untrained = Backbone("tf_efficientnet_lite0", weights="none").eval()
    assert not torch.allclose(deepest, untrained(images)[32])


def test_weights_from_a_file_are_loaded(tmp_path: Path) -> None:
    donor = timm.create_model("resnet18", pretrained=False)
    torch.save(donor.state_dict(), tmp_path / "resnet18.pth")
    backbone = Backbone("resnet18", weights=str(tmp_path / "resnet18.pth"))
    assert torch.equal(backbone.encoder.state_dict()["layer4.1.conv2.weight"], donor.layer4[1].conv2.weight)


@pytest.mark.parametrize("name", ["convnext_atto", "resnetv2_18"])
def test_weights_are_found_where_timm_takes_stages_apart(name: str, tmp_path: Path) -> None:
    donor = timm.create_model(name, pretrained=False).eval()
    save_file(donor.state_dict(), tmp_path / "weights.safetensors")
    backbone = Backbone(name, weights=str(tmp_path / "weights.safetensors"))
    restored = backbone.encoder.state_dict()
    plain = {name.replace("_", "."): tensor for name, tensor in donor.state_dict().items()}
    assert any(name not in donor.state_dict() for name in restored)
    for name, tensor in restored.items():
        assert torch.equal(tensor, plain[name.replace("_", ".")]), name


def test_a_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": MakesFolder(tmp_path / "made")}, tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match=r"resnet18\.pth, which holds no state dict"):
        Backbone("resnet18", weights=str(tmp_path / "resnet18.pth"))
    assert not (tmp_path / "made").exists()


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    for name in ("a.pth", "a.safetensors"):
        (tmp_path / name).write_text("no weights")
        with pytest.raises(InputError, match=rf"backbone\.weights is .*{name}, which holds no state dict"):
            Backbone("resnet18", weights=str(tmp_path / name))


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    state = timm.create_model("resnet18", pretrained=False).state_dict()
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(InputError, match=r"part\.pth: the weights have no layer1\.0\.conv1\.weight"):
        Backbone("resnet18", weights=str(tmp_path / "part.pth"))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet34", pretrained=False).state_dict(), tmp_path / "other.pth")
    with pytest.raises(InputError, match="the weights have no|do not fit"):
        Backbone("resnet50", weights=str(tmp_path / "other.pth"))


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(InputError, match=r"backbone\.name is resnet_x; it must be a model of timm"):
        Backbone("resnet_x", weights="none")


def test_normalisation_travels_with_the_weights() -> None:
    trained, restored = (Backbone("tf_efficientnet_lite0", weights=weights) for weights in ("bundled", "none"))
    assert not torch.equal(trained.mean, restored.mean)
    restored.load_state_dict(trained.state_dict())
    assert torch.equal(trained.mean, restored.mean)
    assert float(trained.mean[0, 0, 0]) == pytest.approx(127 / 255)
