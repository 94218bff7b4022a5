"""Engines that compute predictions: how fast, and whether the label maps are the same. Run with `make bench`.

For every network of params.yaml, on test images of `scenes` as they are and enlarged to the size of photos: the time
for one image, and per image in batches, from pixels to label map. Engines are timed in turn. Without the weights of
`dvc repro`, networks are untrained, and whether label maps agree is not said. An engine that is not installed, or
fails, is `-`: `pip install openvino` adds one.

eager: the network as trained. predictor: as the pipeline predicts, see segbench.prediction.predictor. frozen: traced
and frozen by TorchScript, which PyTorch deprecates. compiled: by torch.compile with frozen weights; a compilation takes
up to a minute, so of a few networks only.
"""

import argparse
import copy
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.markdown import print_table
from segbench import params
from segbench.datasets.catalog import open_source
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.machine import describe_machine
from segbench.models.build import build_model
from segbench.models.weights import restore_seeds
from segbench.prediction.export import OnnxPredictor, export_onnx
from segbench.prediction.predictor import Predictor

DATASET, TIMED_IMAGES = "scenes", 10
COMPILED = ("fcn_8s", "unet", "deeplab_v3_plus")
MIN_AGREEMENT = 0.9999
MIN_RATIO = 1.0
"""Of the predictor, against eager."""
CONTROL = "color_clusters"
"""Has no convolution, so that the predictor computes what eager does: their ratio shows what chance does."""


@dataclass(frozen=True)
class ImageSet:
    """Images of one size: so many of the test images at most, enlarged, and the engines that are left out there."""

    times_larger: int
    num_images: int
    batch_size: int
    without: tuple[str, ...]

    def of(self, images: list[Tensor]) -> list[Tensor]:
        """images: (1, 3, H, W) each"""
        some = images[: self.num_images]
        return [F.interpolate(one, scale_factor=self.times_larger, mode="bilinear") for one in some]


SETS = (
    ImageSet(times_larger=1, num_images=60, batch_size=16, without=()),
    ImageSet(times_larger=4, num_images=8, batch_size=4, without=("frozen", "compiled")),
)

Engine = Callable[[Tensor], Tensor]
"""Images (N, 3, H, W) float RGB -> logits (N, C, H, W), for the N, H and W that it was made for."""


def eager(network: nn.Module, images: Tensor) -> Engine:
    """The network as it is."""
    return network


def predictor(network: nn.Module, images: Tensor) -> Engine:
    """As the pipeline predicts."""
    return Predictor(copy.deepcopy(network), scale=1.0).model


def bfloat16(network: nn.Module, images: Tensor) -> Engine:
    """Autocast to bfloat16."""

    def compute(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits: Tensor = network(images)
        return logits.float()

    return compute


def frozen(network: nn.Module, images: Tensor) -> Engine:
    """Traced, and its weights made constants, by TorchScript."""
    return torch.jit.freeze(torch.jit.trace(network, images, check_trace=False).eval())


def compiled(network: nn.Module, images: Tensor) -> Engine:
    """By torch.compile, with the weights made constants."""
    torch.compiler.reset()
    return torch.compile(network, dynamic=False, options={"freezing": True})


def onnx_runtime(network: nn.Module, images: Tensor) -> Engine:
    """A file of `segbench export`, for images of every size, in ONNX Runtime on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        path.write_bytes(exported(network))
        session = OnnxPredictor(path, scale=1.0).session
    return lambda images: torch.from_numpy(session.run(None, {"images": images.contiguous().numpy()})[0])


def openvino(network: nn.Module, images: Tensor) -> Engine:
    """The same file in OpenVINO in float32, for images of this shape, on the CPU."""
    import openvino

    core = openvino.Core()
    options = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = core.read_model(exported(network))
    model.reshape(list(images.shape))
    of_openvino = core.compile_model(model, "CPU", options)
    return lambda images: torch.from_numpy(of_openvino({"images": images.contiguous().numpy()})[0].copy())


@lru_cache(maxsize=1)
def exported(network: nn.Module) -> bytes:
    """The network as an ONNX file, made once for all engines and sizes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(network, path=path, metadata={})
        return path.read_bytes()


ENGINES = {
    "eager": eager,
    "predictor": predictor,
    "bfloat16": bfloat16,
    "frozen": frozen,
    "compiled": compiled,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
}
CPU_ONLY = ("ONNX Runtime", "OpenVINO")


@dataclass
class Found:
    """What was measured of a network's engine. agreement: share of the pixels with eager's class, if it is known."""

    ready_s: float
    image_ms: list[float] = field(default_factory=list)
    batch_ms: list[float] = field(default_factory=list)
    """Per image."""
    agreement: float | None = None


@torch.inference_mode()
def label_maps(engine: Engine, images: Tensor) -> Tensor:
    """(N, H, W) most probable classes, on the CPU."""
    logits = F.interpolate(engine(images), size=images.shape[-2:], mode="bilinear", align_corners=False)
    return logits.argmax(dim=1).cpu()


def milliseconds(engine: Engine, images: list[Tensor]) -> float:
    """Per call."""
    start = time.perf_counter()
    for one in images:
        label_maps(engine, one)
    return 1000 * (time.perf_counter() - start) / len(images)


def made(name: str, network: nn.Module, images: Tensor) -> Engine | None:
    """An engine that is warm for images of this shape; None if it is not installed or cannot compute the network."""
    if name in CPU_ONLY and torch.cuda.is_available():
        return None
    try:
        with warnings.catch_warnings(), torch.no_grad(), redirect_stdout(sys.stderr):  # torch prints whole graphs
            warnings.simplefilter("ignore")
            engine = ENGINES[name](network, images)
            for _ in range(3):
                label_maps(engine, images)
    except Exception as error:  # each engine raises types of its own
        print(f"- {name} failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}")
        return None
    return engine


def measure(
    network: nn.Module, images: list[Tensor], *, batch_size: int, names: list[str], is_trained: bool, rounds: int
) -> dict[str, Found]:
    """Time the engines of a network in turn. images: (1, 3, H, W) each."""
    batch = torch.cat(images[:batch_size]).contiguous(memory_format=torch.channels_last)
    engines: dict[str, tuple[Engine, Engine]] = {}
    found: dict[str, Found] = {}
    for name in names:
        start = time.perf_counter()
        of_one = made(name, network, images[0])
        ready_s = time.perf_counter() - start
        of_batch = made(name, network, batch)
        if of_one is not None and of_batch is not None:
            engines[name] = of_one, of_batch
            found[name] = Found(ready_s)
    order = random.Random(0)
    for _ in range(rounds):
        # So that no engine always follows ONNX Runtime or OpenVINO: what follows these is up to 1.6 times as slow.
        for name in order.sample(sorted(engines), len(engines)):
            of_one, of_batch = engines[name]
            label_maps(of_one, images[0])
            found[name].image_ms.append(milliseconds(of_one, images[:TIMED_IMAGES]))
            label_maps(of_batch, batch)
            found[name].batch_ms.append(milliseconds(of_batch, [batch]) / len(batch))
    if is_trained:
        expected = [label_maps(network, one) for one in images]
        for name, (engine, _) in engines.items():
            equal = [label_maps(engine, one) == truth for one, truth in zip(images, expected, strict=True)]
            found[name].agreement = float(torch.cat(equal).float().mean())
    return found


def print_times(title: str, found: Mapping[str, Mapping[str, Found]], times: Callable[[Found], list[float]]) -> None:
    """A table of the medians of networks (rows) and engines (columns)."""
    print(f"\n## {title}\n")
    rows = []
    for model, of_engine in found.items():
        medians = {name: statistics.median(times(one)) for name, one in of_engine.items()}
        ratio = medians["eager"] / medians["predictor"]
        cells = [f"{medians[name]:.2f}" if name in medians else "-" for name in ENGINES]
        rows.append([model, *cells, f"{ratio:.2f}", "" if ratio >= MIN_RATIO or model == CONTROL else "TOO SLOW"])
    print_table(["ms per image", *ENGINES, "eager / predictor", ""], rows)


def print_agreement(title: str, found: Mapping[str, Mapping[str, Found]]) -> None:
    """A table of networks (rows) and engines (columns)."""
    print(f"\n## {title}\n")
    rows = []
    for model, of_engine in found.items():
        known = {name: one.agreement for name, one in of_engine.items() if one.agreement is not None}
        cells = [f"{100 * known[name]:.4f}" if name in known else "-" for name in ENGINES]
        rows.append([model, *cells, "DIFFERS" if known.get("predictor", 1.0) < MIN_AGREEMENT else ""])
    print_table(["%", *ENGINES, ""], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parent.parent / "data", help="of dvc repro")
    parser.add_argument("--models", nargs="+", help="the benchmark's by default")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=[*ENGINES], help="beside the first two")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    parameters = params.load(Path(__file__).parent.parent / "params.yaml")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print("# Engines of predictions\n")
    with tempfile.TemporaryDirectory() as temporary:
        data = prepare(open_source(parameters.dataset(DATASET).source), Path(temporary) / "prepared")
        images = [pixels(data, index, device) for index in range(len(data.split("test")))]
    print(f"{describe_machine()}, {torch.get_num_threads()} threads. Medians of {arguments.rounds} rounds in turn.")
    print(f"Limits: the predictor is no slower than eager, and has its class at {100 * MIN_AGREEMENT} % of the pixels.")
    print(f"In {CONTROL} the predictor changes nothing: how far its ratio is from 1 is chance.")
    sets = {each: each.of(images) for each in SETS}
    found: dict[ImageSet, dict[str, dict[str, Found]]] = {each: {} for each in SETS}
    for model in arguments.models or parameters.benchmark.models:
        section, backbone = parameters.model_for(DATASET, model), parameters.backbone_for(model)
        weights = arguments.data / "weights" / DATASET / model
        if is_trained := weights.exists():
            _, network = next(restore_seeds(section, backbone=backbone, num_classes=len(data.classes), folder=weights))
        else:
            network = build_model(section, backbone=backbone, num_classes=len(data.classes))
        network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for each, some in sets.items():
            wanted = {"eager", "predictor", *arguments.engines}.difference(each.without)
            names = [name for name in ENGINES if name in wanted and (name != "compiled" or model in COMPILED)]
            found[each][model] = measure(
                network, some, batch_size=each.batch_size, names=names, is_trained=is_trained, rounds=arguments.rounds
            )
    for each, some in sets.items():
        height, width = some[0].shape[-2:]
        size = f"{width}x{height} px"
        print_times(f"One image of {size}", found[each], lambda one: one.image_ms)
        print_times(f"Batches of {each.batch_size} images of {size}", found[each], lambda one: one.batch_ms)
        print_agreement(f"Pixels with eager's class, {len(some)} images of {size}", found[each])
    print("\nSeconds until an engine is ready, medians over networks:", end=" ")
    ready = {name: [of[name].ready_s for of in found[SETS[0]].values() if name in of] for name in ENGINES}
    print(", ".join(f"{name} {statistics.median(seconds):.1f}" for name, seconds in ready.items() if seconds), end="")
    print("; ONNX Runtime's time has the export in it, which OpenVINO shares.")


def pixels(data: Prepared, index: int, device: torch.device) -> Tensor:
    """A test image, (1, 3, H, W) float RGB in 0..1."""
    image = torch.from_numpy(np.array(data.image(data.split("test")[index]))).permute(2, 0, 1)[None]
    return image.float().div(255).to(device).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
