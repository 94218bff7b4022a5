"""Writing and opening a packaged model."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from segbench import params
from segbench.crf.inference import refined_label_map
from segbench.crf.tiles import affordable_side_px, refined_by_tiles
from segbench.errors import InputError
from segbench.images import RGBImage
from segbench.labels import LabelMap
from segbench.models.build import build_model
from segbench.packages.card import CARD, IN_MLFLOW, Card
from segbench.prediction.export import OnnxPredictor, export_onnx, export_torch
from segbench.prediction.predictor import Predictor, Probabilities
from segbench.prediction.tiles import tile_px_of_large

WEIGHTS = "weights.safetensors"
"""Holds tensors alone: reading it cannot run code."""
ONNX, CARD_PROPERTY = ".onnx", "segbench.card"
"""An exported network has the card in its metadata."""
LARGE_IMAGES_CRF_TILE_PX = 512
"""Large images of a model that was evaluated with smaller ones are refined by tiles of this side.

So 10,000x10,000 px with 20 classes need less than 3 GiB; see reports/benchmarks/large_image.md.
"""


@dataclass(frozen=True)
class PackagedModel:
    """A network that labels images, and its card.

    whole: labels the images that need no tiles in the predictor's place.
    """

    card: Card
    predictor: Predictor | OnnxPredictor
    whole: OnnxPredictor | None = None

    @classmethod
    def open(
        cls, path: Path, *, tile_px: int | None = None, flip: bool | None = None, scales: Sequence[float] = ()
    ) -> "PackagedModel":
        """Open a package, an MLflow model that holds one, or an ONNX file of one, which ONNX Runtime then computes.

        tile_px, flip, scales: instead of what the card says of tiles and views; an ONNX file sees whole images once.
        InputError if it is none of the three, or damaged.
        """
        if path.suffix == ONNX:
            onnx = OnnxPredictor(path, scale=1)
            card = Card.parse(onnx.metadata.get(CARD_PROPERTY, "{}"), where=path)
            onnx.scale = card.scale
            return cls(card, onnx)
        folder = package_folder(path)
        card = Card.read(folder)
        predictor = Predictor(
            open_network(folder, card), scale=card.scale, tile_px=tile_px or card.tile_px,
            flip=card.flip if flip is None else flip, scales=scales or card.scales,
        )  # fmt: skip
        return cls(card, predictor)

    def probabilities(self, image: RGBImage) -> Probabilities:
        """(H, W, 3) uint8 RGB -> (num_classes, H, W) float32 of the network, before any CRF."""
        return self._predictor_for(image).probabilities(image)

    def tile_px(self, image: RGBImage) -> int | None:
        """The side of the tiles by which an image is labelled, as the card says; large ones always are."""
        if isinstance(self.predictor, OnnxPredictor):
            return None
        height, width = image.shape[:2]
        largest_scale = self.predictor.scale * max(view.scale for view in self.predictor.views)
        return self.predictor.tile_px or tile_px_of_large((height, width), scale=largest_scale)

    def _predictor_for(self, image: RGBImage) -> Predictor | OnnxPredictor:
        tile_px = self.tile_px(image)
        if tile_px and isinstance(self.predictor, Predictor):
            return self.predictor.by_tiles(tile_px)
        return self.whole or self.predictor

    def label_map(self, image: RGBImage, *, crf: bool) -> LabelMap:
        """(H, W, 3) uint8 RGB -> (H, W) label map. crf: refined, if a CRF was better on validation images."""
        parameters = self.card.crf_parameters if crf else None
        predictor = self._predictor_for(image)
        if parameters is None:
            return predictor.label_map(image)
        device = predictor.device.type
        if isinstance(predictor, Predictor) and predictor.tile_px:
            side_px = affordable_side_px(num_classes=len(self.card.class_names))
            if not self.card.tile_px:  # with the side that images were evaluated with, else with less memory
                side_px = min(side_px, LARGE_IMAGES_CRF_TILE_PX)
            strips = predictor.strips(image)
            return refined_by_tiles(image, strips, parameters, tile_px=side_px, workers=1, device=device)
        return refined_label_map(image, predictor.probabilities(image), parameters, device=device)


def package_folder(folder: Path) -> Path:
    """The folder that has the card: this one, or the one within an MLflow model. InputError if there is none."""
    for candidate in (folder, folder / IN_MLFLOW):
        if (candidate / CARD).is_file():
            return candidate
    what = "no such folder" if not folder.is_dir() else f"no packaged model, which has a {CARD}"
    raise InputError(f"{folder}: {what}; `dvc repro` writes them to data/packages/DATASET/MODEL")


def open_network(folder: Path, card: Card) -> nn.Module:
    """The network of a package, with its weights. InputError if they are missing, damaged or of another network."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"{path}: no such file; package the model again")
    if _digest(path) != card.weights_digest:
        raise InputError(f"{path}: damaged: its sha256 is not the one in {CARD}; package the model again")
    untrained = params.Backbone(name=card.backbone, weights="none")
    network = build_model(card.architecture, backbone=untrained, num_classes=len(card.class_names))
    try:
        network.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise InputError(f"{path}: not the weights of this network ({str(error).splitlines()[0]})") from None
    return network


def write_package(folder: Path, network: nn.Module, card: Card) -> None:
    """Write weights and card to an existing folder. The card's digest is set to that of the weights."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    card.model_copy(update={"weights_digest": _digest(folder / WEIGHTS)}).write(folder)


def export_package(network: nn.Module, card: Card, *, path: Path) -> None:
    """Write a package's network as a file for other programs, .onnx or .pt2, that has the card in it.

    InputError if a package is missing or the network cannot be exported.
    """
    export = export_onnx if path.suffix == ONNX else export_torch
    export(network, path=path, metadata={CARD_PROPERTY: card.model_dump_json()})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
