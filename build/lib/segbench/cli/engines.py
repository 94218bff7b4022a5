"""Which engine computes a packaged network: PyTorch, or ONNX Runtime where it is faster."""

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from segbench.cli.commands import Engine
from segbench.errors import InputError
from segbench.packages.model import ONNX, PackagedModel, export_package, open_network, package_folder
from segbench.prediction.export import EXPORTERS, PARITY_SIZES_PX, OnnxPredictor, check_parity

FASTER_IN_ONNX = ("pspnet", "deeplab_v1", "deeplab_v2", "deeplab_v3")
"""Architectures with which ONNX Runtime labels photos 1.25 to 1.54 times as fast as PyTorch on a CPU.

With the others it is no faster, or slower; see reports/benchmarks/inference.md.
"""
PAYS_FROM_IMAGES = 400
"""An export takes as long as ONNX Runtime saves on about so many photos of 512x384 px."""


def with_engine(model: PackagedModel, where: Path, engine: Engine, *, num_images: int) -> PackagedModel:
    """The same model, computed by an engine. where: the folder or the ONNX file that it was opened from.

    ONNX Runtime runs a copy of the network that is exported once and kept in the user's folder for caches; it is
    compared with the network each time. auto: ONNX Runtime, if it is installed and faster with this architecture, the
    device is a CPU, each image is seen whole and once, and the copy is there already or pays for so many images.

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
    pays = model.card.architecture.architecture in FASTER_IN_ONNX and (copy.is_file() or num_images >= PAYS_FROM_IMAGES)
    if is_auto and not (is_installed and pays):
        return model
    try:
        _export_once(model, package_folder(where), copy)
    except (InputError, OSError) as error:
        if not is_auto:
            raise
        print(f"note: PyTorch computes the network, since it could not be exported: {error}", file=sys.stderr)
        return model
    return replace(model, whole=OnnxPredictor(copy, scale=model.card.scale))


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
