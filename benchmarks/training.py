"""A training step of ours against segmentation_models_pytorch and torchvision. Run with `make bench`.

A step is the forward pass, the loss, the backward pass and the optimiser's step on a batch that is in memory, so that
neither side's loader counts. All networks stand on the same timm backbone, with the output stride, atrous rates and
widths of ours where the other library's arguments allow it; multiply-adds tell where the networks still differ. Steps
of ours and theirs are timed in turn in one process.

as run: theirs contiguous in memory and in float32, ours as the train stage has it: channels last, precision as
params.yaml's `auto` chooses it, subsampled atrous convolutions. alike: theirs with our memory format and precision.

`--precision float32` trains ours as a machine without bfloat16 does. With ONEDNN_MAX_CPU_ISA=AVX2 and
ATEN_CPU_CAPABILITY=avx2 in the environment, a processor computes as one that has nothing newer.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3, fcn

from benchmarks.markdown import print_table
from segbench import params
from segbench.labels import IGNORE_INDEX
from segbench.machine import describe_machine
from segbench.models.build import build_model
from segbench.models.network import Network
from segbench.params import models
from segbench.prediction.costs import multiply_adds
from segbench.training.depthwise import compile_depthwise
from segbench.training.losses import weighted_sum
from segbench.training.precision import Precision, choose_precision
from segbench.training.schedule import build_optimizer

DATASETS = ("scenes", "camvid")
"""Their crops: 96x128 and 160x224."""
BATCH_SIZE, NUM_CLASSES = 4, 11
WARM_UP_STEPS, STEPS_A_ROUND = 2, 2
MIN_RATIO = {True: 3.0, False: 2.0}
"""As run, by whether ours trains in less than float32."""
MIN_RATIO_ALIKE = 1.3
ENVIRONMENT = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")
"""Variables by which a processor hides what it can."""

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class TorchvisionBackbone(nn.Module):
    """A timm encoder as torchvision's networks take it."""

    def __init__(self, name: str, *, output_stride: int) -> None:
        super().__init__()
        self.encoder = timm.create_model(name, features_only=True, output_stride=output_stride, out_indices=[-1])

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) -> {"out": (N, C, H / output_stride, W / output_stride)}"""
        return {"out": self.encoder(images)[0]}


@dataclass(frozen=True)
class Peer:
    """Another library's network, and the model of ours that it is compared with."""

    library: str
    model: str
    build: Callable[[params.AnyModel, str], nn.Module]
    """From our section of params.yaml and the name of the backbone."""


def smp_unet(section: params.AnyModel, backbone: str) -> nn.Module:
    """U-Net with the same widths."""
    assert isinstance(section, models.UNetModel)
    return smp.Unet(
        f"tu-{backbone}", encoder_weights=None, classes=NUM_CLASSES, decoder_channels=section.decoder_channels
    )


def smp_pspnet(section: params.AnyModel, backbone: str) -> nn.Module:
    """PSPNet on the whole encoder at the same output stride; the library's default stops after three stages."""
    assert isinstance(section, models.PSPNetModel)
    stride = section.output_stride
    return smp.PSPNet(
        f"tu-{backbone}", encoder_weights=None, classes=NUM_CLASSES, encoder_depth=5, output_stride=stride,
        upsampling=stride, psp_out_channels=section.head_channels,
    )  # fmt: skip


def smp_deeplab_v3(section: params.AnyModel, backbone: str) -> nn.Module:
    """DeepLab v3 with the same output stride, rates and width."""
    assert isinstance(section, models.DeepLabV3Model)
    return smp.DeepLabV3(
        f"tu-{backbone}", encoder_weights=None, classes=NUM_CLASSES, encoder_output_stride=section.output_stride,
        decoder_channels=section.head_channels, decoder_atrous_rates=section.atrous_rates,
    )  # fmt: skip


def smp_deeplab_v3_plus(section: params.AnyModel, backbone: str) -> nn.Module:
    """DeepLab v3+ with the same output stride, rates and width, and as dense an ASPP."""
    assert isinstance(section, models.DeepLabV3PlusModel)
    return smp.DeepLabV3Plus(
        f"tu-{backbone}", encoder_weights=None, classes=NUM_CLASSES, encoder_output_stride=section.output_stride,
        decoder_channels=section.head_channels, decoder_atrous_rates=section.atrous_rates, decoder_aspp_separable=False,
    )  # fmt: skip


def torchvision_fcn(section: params.AnyModel, backbone: str) -> nn.Module:
    """torchvision's FCN has no skips: its backbone is atrous down to the stride of our finest scores."""
    assert isinstance(section, models.FCNModel)
    encoder = TorchvisionBackbone(backbone, output_stride=section.stride)
    return fcn.FCN(encoder, fcn.FCNHead(channels_of(encoder), NUM_CLASSES))


def torchvision_deeplab_v3(section: params.AnyModel, backbone: str) -> nn.Module:
    """DeepLab v3 with the same output stride, rates and width; it has one more 3x3 convolution."""
    assert isinstance(section, models.DeepLabV3Model)
    encoder = TorchvisionBackbone(backbone, output_stride=section.output_stride)
    return deeplabv3.DeepLabV3(encoder, deeplabv3.DeepLabHead(channels_of(encoder), NUM_CLASSES, section.atrous_rates))


def channels_of(encoder: TorchvisionBackbone) -> int:
    """Of the last feature."""
    return int(encoder.encoder.feature_info.channels()[-1])


SMP = "segmentation_models_pytorch"
PEERS = (
    Peer(SMP, "unet", smp_unet),
    Peer(SMP, "pspnet", smp_pspnet),
    Peer(SMP, "deeplab_v3", smp_deeplab_v3),
    Peer(SMP, "deeplab_v3_plus", smp_deeplab_v3_plus),
    Peer("torchvision", "fcn_8s", torchvision_fcn),
    Peer("torchvision", "deeplab_v3", torchvision_deeplab_v3),
)


def finished() -> None:
    """Wait for the GPU, if there is one."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def mixed(precision: Precision) -> AbstractContextManager[object]:
    """Autocast as Lightning's plugin for the precision has it."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(DEVICE.type, torch.float16 if precision == "float16" else torch.bfloat16)


class Ours:
    """A network of ours, trained as the train stage does, without Lightning's loop."""

    def __init__(self, section: params.AnyModel, parameters: params.Params, precision: Precision) -> None:
        network = build_model(section, backbone=parameters.backbone, num_classes=NUM_CLASSES)
        assert isinstance(network, Network)
        self.network = network.to(DEVICE).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        if DEVICE.type == "cpu":
            compile_depthwise(self.network, in_bfloat16=precision == "bfloat16")
        self.schedule = parameters.train
        self.precision = precision
        self.optimizer = build_optimizer(self.network, self.schedule)
        self.scaler = torch.amp.GradScaler(DEVICE.type, enabled=precision == "float16")

    def __call__(self, images: Tensor, label_maps: Tensor) -> None:
        """One step. images: (N, 3, H, W) uint8; label_maps: (N, H, W) uint8."""
        pixels = images.float().div(255).contiguous(memory_format=torch.channels_last)
        self.optimizer.zero_grad()
        with mixed(self.precision):
            losses = [
                term.weight
                * weighted_sum(term.logits.float(), term.label_maps, terms=self.schedule.loss, class_weights=None)
                for term in self.network.loss_terms(pixels, label_maps)
            ]
        self.scaler.scale(torch.stack(losses).sum()).backward()
        if self.schedule.gradient_clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.gradient_clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()


class Theirs:
    """Another library's network in a plain training loop with AdamW.

    precision: None for a contiguous network in float32; else that of ours, and channels last.
    """

    def __init__(self, network: nn.Module, precision: Precision | None) -> None:
        self.layout = torch.contiguous_format if precision is None else torch.channels_last
        self.network = network.to(DEVICE).to(memory_format=self.layout).train()  # type: ignore[call-overload]
        self.precision: Precision = precision or "float32"
        self.optimizer = torch.optim.AdamW(self.network.parameters())
        self.scaler = torch.amp.GradScaler(DEVICE.type, enabled=precision == "float16")

    def __call__(self, images: Tensor, label_maps: Tensor) -> None:
        """One step. images: (N, 3, H, W) float; label_maps: (N, H, W) int64."""
        self.optimizer.zero_grad()
        with mixed(self.precision):
            output = self.network(images.contiguous(memory_format=self.layout))
            logits = output["out"] if isinstance(output, dict) else output
            loss = F.cross_entropy(logits.float(), label_maps, ignore_index=IGNORE_INDEX)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


def gmac(network: nn.Module, images: Tensor) -> float:
    """Multiply-adds of a prediction, in 10^9 per image. images: (N, 3, H, W) float."""
    network.eval()
    with torch.no_grad():
        total = multiply_adds(lambda: network(images))
    network.train()
    return total / len(images) / 1e9


def median_ms(steps: dict[str, Callable[[], None]], *, rounds: int) -> dict[str, float]:
    """Milliseconds per image of each step: the medians of rounds in turn, after a warm-up."""
    times_ms: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(WARM_UP_STEPS):
            step()
    for _ in range(rounds):
        for name, step in steps.items():
            finished()
            start = time.perf_counter()
            for _ in range(STEPS_A_ROUND):
                step()
            finished()
            times_ms[name].append(1000 * (time.perf_counter() - start) / STEPS_A_ROUND / BATCH_SIZE)
    return {name: statistics.median(values) for name, values in times_ms.items()}


def compare(peer: Peer, dataset: str, parameters: params.Params, *, precision: Precision, rounds: int) -> list[str]:
    """A row of the table."""
    section, backbone = parameters.model_for(dataset, peer.model), parameters.backbone.name
    torch.manual_seed(0)
    images = torch.randint(256, (BATCH_SIZE, 3, *parameters.dataset(dataset).input.crop_px), dtype=torch.uint8)
    label_maps = torch.randint(NUM_CLASSES, (BATCH_SIZE, *images.shape[-2:]), dtype=torch.uint8)
    images, label_maps = images.to(DEVICE), label_maps.to(DEVICE)
    pixels, targets = images.float().div(255), label_maps.long()
    ours = Ours(section, parameters, precision)
    plain, alike = (Theirs(peer.build(section, backbone), wanted) for wanted in (None, precision))
    medians = median_ms(
        {
            "ours": lambda: ours(images, label_maps),
            "plain": lambda: plain(pixels, targets),
            "alike": lambda: alike(pixels, targets),
        },
        rounds=rounds,
    )
    as_counted = build_model(section, backbone=parameters.backbone, num_classes=NUM_CLASSES).to(DEVICE)
    ours_gmac, theirs_gmac = gmac(as_counted, pixels), gmac(plain.network, pixels)
    plain_ratio, alike_ratio = (medians[name] / medians["ours"] for name in ("plain", "alike"))
    too_slow = plain_ratio < MIN_RATIO[precision != "float32"] or alike_ratio < MIN_RATIO_ALIKE
    return [
        f"{peer.library} {peer.model}, {images.shape[-2]}x{images.shape[-1]}",
        *(f"{medians[name]:.2f}" for name in ("ours", "plain", "alike")),
        f"{plain_ratio:.2f}",
        f"{alike_ratio:.2f}",
        f"{ours_gmac:.3f}",
        f"{theirs_gmac:.3f}",
        *(f"{ratio * ours_gmac / theirs_gmac:.2f}" for ratio in (plain_ratio, alike_ratio)),
        "TOO SLOW" if too_slow else "",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    parameters = params.load(Path(__file__).parent.parent / "params.yaml")
    precision = choose_precision(arguments.precision, DEVICE.type)
    rows = []
    for dataset in DATASETS:
        for peer in PEERS:
            rows.append(compare(peer, dataset, parameters, precision=precision, rounds=arguments.rounds))
            print(" ".join(rows[-1]), file=sys.stderr)
    hidden = [f"{name}={os.environ[name]}" for name in ENVIRONMENT if name in os.environ]
    print("# A training step against other libraries\n")
    print(", ".join([describe_machine(), f"{torch.get_num_threads()} threads", *hidden]) + ".", end=" ")
    print(f"Ours trains in {precision}.", end=" ")
    print(f"Milliseconds per image at batches of {BATCH_SIZE}, medians of {arguments.rounds} rounds in turn,", end=" ")
    print(f"{parameters.backbone.name}, {NUM_CLASSES} classes. As run: theirs contiguous and in float32. Alike: theirs")
    print("with our memory format and precision. Ratio: how many times faster ours is. GMAC: multiply-adds of an")
    print("image's forward pass, in 10^9. At equal GMAC: the ratio, divided by that of the multiply-adds.\n")
    header = [
        "theirs, crop", "ours", "as run", "alike", "ratio as run", "ratio alike", "our GMAC", "their GMAC",
        "as run at equal GMAC", "alike at equal GMAC", "",
    ]  # fmt: skip
    print_table(header, rows)
    limit = MIN_RATIO[precision != "float32"]
    print(f"\nLimits: a ratio of {limit:.0f} as run, and of {MIN_RATIO_ALIKE} alike.")


if __name__ == "__main__":
    main()
