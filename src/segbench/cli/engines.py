"""Which engine computes a packaged network: PyTorch, or ONNX Runtime where it is faster."""

import statistics
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import platformdirs

from segbench.cli.commands import Engine
from segbench.errors import InputError
from segbench.packages.model import ONNX, PackagedModel, export_package, open_network, package_folder
from segbench.prediction.export import EXPORTERS, PARITY_SIZES_PX, OnnxPredictor, check_parity
from segbench.prediction.predictor import Predictor

FASTER_IN_ONNX = ("pspnet", "deeplab_v1", "deeplab_v2", "deeplab_v3")
"""Architectures with which ONNX Runtime may be faster than PyTorch on a CPU.

It labels photos 1.25 to 1.54 times as fast on an Intel processor with AMX, and 0.89 to 1.07 times on an AMD EPYC with
AVX-512, so it is timed before it is used. With the others it was faster on neither; see
reports/benchmarks/inference.md.
"""
PAYS_FROM_IMAGES, PAYS_WITH_COPY_FROM_IMAGES = 400, 50
"""On about so many photos of 512x384 px ONNX Runtime saves, at best, what an export takes, and what timing takes."""
TIMED_PX, TIMED_IMAGES = (384, 512), 3


def with_engine(model: PackagedModel, where: Path, engine: Engine, *, num_images: int) -> PackagedModel:
    """The same model, computed by an engine. where: the folder or the ONNX file that it was opened from.

    ONNX Runtime runs a copy of the network that is exported once and kept in the user's folder for caches; it is
    compared with the network each time. auto: ONNX Runtime, if it is installed, the device is a CPU, each image is seen
    whole and once, the copy pays for so many images, and ONNX Runtime then is the faster one of the two.

    Raises InputError if the engine that was asked for cannot be used.
    """
    is_auto, own = engine is Engine.auto, model.predictor
    if isinstance(own, OnnxPredictor):
        if engine is Engine.torch:
            raise InputError(f"{where}: ONNX Runtime alone computes it; for --engine torch name the packaged model")
        return model
    if engine is Engine.torch or (is_auto and own.device.type != "cpu"):
        return model
    if not own.sees_whole_images_once:
        if is_auto:
            return model
        raise InputError("--engine onnx: ONNX Runtime sees whole images once; leave out --tile-px, --flip and scales")
    copy = platformdirs.user_cache_path("segbench") / f"{model.card.weights_digest}{ONNX}"
    is_installed = all(find_spec(package) for package in EXPORTERS)
    enough = PAYS_WITH_COPY_FROM_IMAGES if copy.is_file() else PAYS_FROM_IMAGES
    pays = model.card.architecture.architecture in FASTER_IN_ONNX and num_images >= enough
    if is_auto and not (is_installed and pays):
        return model
    try:
        _export_once(model, package_folder(where), copy)
    except (InputError, OSError) as error:
        if not is_auto:
            raise
        print(f"note: PyTorch computes the network, since it could not be exported: {error}", file=sys.stderr)
        return model
    other = OnnxPredictor(copy, scale=model.card.scale)
    if is_auto and not is_faster(other, own):
        print("note: PyTorch computes the network, since it is faster here than ONNX Runtime", file=sys.stderr)
        return model
    return replace(model, whole=other)


def is_faster(one: Predictor | OnnxPredictor, other: Predictor | OnnxPredictor) -> bool:
    """Whether it labels a photo in less time than the other, by medians of TIMED_IMAGES in turn."""
    image = np.random.default_rng(0).integers(0, 256, (*TIMED_PX, 3), np.uint8)
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(1 + TIMED_IMAGES):
        for predictor, taken in zip((one, other), seconds, strict=True):
            start = time.perf_counter()
            predictor.label_map(image)
            taken.append(time.perf_counter() - start)
    first, second = (statistics.median(taken[1:]) for taken in seconds)  # without the first image, which warms up
    return first < second


def _export_once(model: PackagedModel, folder: Path, copy: Path) -> None:
    """Make the copy, unless one that computes the same is there."""
    network = open_network(folder, model.card)
    if copy.is_file():
        try:
            check_parity(network, copy, sizes=PARITY_SIZES_PX[:1])
            return
        except InputError as error:
            print(f"note: {error}; it is made anew", file=sys.stderr)
    print(f"note: exporting {model.card.name} for ONNX Runtime, once", file=sys.stderr)
    copy.parent.mkdir(parents=True, exist_ok=True)
    export_package(network, model.card, path=copy)
    check_parity(network, copy)
