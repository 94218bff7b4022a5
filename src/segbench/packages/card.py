"""A packaged model's card: what its network is, what it was trained on, and how good it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segbench import params
from segbench.crf.energy import CRFParameters
from segbench.errors import InputError
from segbench.files import read_json, write_json
from segbench.labels import RGB, Classes

FORMAT = 1
"""Changes when packages of an earlier version can no longer be read."""
CARD, IN_MLFLOW = "model.json", Path("data/model")
"""The file's name, and where an MLflow model that `segbench.tracking` wrote has the package."""


class Card(BaseModel):
    """What stands in CARD, beside the weights.

    architecture: the section of `models`, as it was built. scale: images are resized by it first. image_px: width and
    height of most training images, before that. tile_px, flip, scales: how the predictor sees images; packages without
    them are of whole images, each seen once. crf: the parameters that were chosen on validation images, None if no CRF
    was better there. bits: of 16 per channel, how many the training images used. weights_digest: sha256 of the file of
    weights. scores: by split, with their intervals. image_licence: of the training images, on which the use of the
    model may depend. origin: where it comes from: commit, machine, versions, fingerprint of the dataset, key of the
    training.
    """

    model_config = ConfigDict(frozen=True)

    format: int
    dataset: str
    model: str
    seed: int
    architecture: Annotated[params.AnyModel, Field(discriminator="architecture")]
    backbone: str
    scale: float
    image_px: tuple[int, int]
    class_names: tuple[str, ...]
    class_colors: tuple[RGB, ...]
    crf: Mapping[str, float] | None
    bits: int
    weights_digest: str
    scores: Mapping[str, Any]
    image_licence: str
    origin: Mapping[str, Any]
    tile_px: int | None = None
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    @property
    def name(self) -> str:
        """Such as `scenes/unet`."""
        return f"{self.dataset}/{self.model}"

    @property
    def classes(self) -> Classes:
        """Names and colours."""
        return Classes(self.class_names, self.class_colors)

    @property
    def crf_parameters(self) -> CRFParameters | None:
        """None if no CRF was better on validation images."""
        if self.crf is None:
            return None
        sigmas_and_weights = {name: value for name, value in self.crf.items() if name != "steps"}
        return CRFParameters(**sigmas_and_weights, steps=int(self.crf["steps"]))

    @classmethod
    def read(cls, folder: Path) -> "Card":
        """Read a package's card. InputError if it is missing, damaged or of another version of segbench."""
        return cls._of(read_json(folder / CARD), where=folder / CARD)

    @classmethod
    def parse(cls, text: str, *, where: Path) -> "Card":
        """The card in a text of JSON, as an exported file has it. InputError as `read`."""
        try:
            content = json.loads(text)
        except ValueError:
            raise InputError(f"{where}: its card is damaged; export the model again") from None
        return cls._of(content, where=where)

    @classmethod
    def _of(cls, content: Any, *, where: Path) -> "Card":
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise InputError(
                f"{where}: its format is {found}, and this version of segbench reads {FORMAT}; package the model "
                "again, or install the version that wrote it"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            mistake = error.errors()[0]
            field = ".".join(map(str, mistake["loc"]))
            raise InputError(
                f"{where}: {field}: {mistake['msg']}; it was written by another version of segbench, or edited"
            ) from None

    def write(self, folder: Path) -> None:
        """Write CARD."""
        write_json(folder / CARD, self.model_dump(mode="json"))
