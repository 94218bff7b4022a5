"""A package as a model of MLflow: what `mlflow models serve` and `mlflow.pyfunc.load_model` call.

MLflow imports this module from the copy of segbench that the model carries; it needs no working tree.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from segbench.errors import InputError
from segbench.images import label_map_png
from segbench.labels import class_shares
from segbench.packages.model import PackagedModel
from segbench.packages.photos import read_photo_bytes


class Labeller:
    """Labels images that come as files' bytes.

    Input: a column `image`, each a PNG, JPEG or other image file; over HTTP in base64. Output: `label_map`, an indexed
    PNG in base64, and `shares`, the share of the image's pixels by class.
    """

    def __init__(self, model: PackagedModel) -> None:
        self.model = model

    def predict(self, images: pd.DataFrame, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """One label map per row. params: `crf`, whether to refine with the CRF. InputError names a bad image's row."""
        crf = bool((params or {}).get("crf", True))
        return [self._answer(place, content, crf=crf) for place, content in enumerate(images["image"])]

    def _answer(self, place: int, content: bytes | str, *, crf: bool) -> dict[str, Any]:
        try:
            photo = content if isinstance(content, bytes) else base64.b64decode(content, validate=True)
        except ValueError:
            raise InputError(f"image {place}: neither bytes nor base64") from None
        image = read_photo_bytes(photo, name=f"image {place}", bits=self.model.card.bits)
        label_map = self.model.label_map(image, crf=crf)
        classes = self.model.card.classes
        file = base64.b64encode(label_map_png(label_map, classes)).decode()
        return {"label_map": file, "shares": class_shares(label_map, classes)}


def _load_pyfunc(data_path: str) -> Labeller:
    """What MLflow calls."""
    return Labeller(PackagedModel.open(Path(data_path)))
