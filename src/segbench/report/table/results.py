"""What the stages wrote about one model, or about the predictions of another program, as the reports need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from segbench.datasets.prepared import Row
from segbench.files import read_csv, read_json
from segbench.params.models import section_of
from segbench.report.drawing.pictures import read_contact_sheet, reduced_label_map
from segbench.report.table.comparison import Contender
from segbench.report.table.content import Costs, Curve
from segbench.report.table.failures import deviation_of
from segbench.report.table.numbers import setting
from segbench.scoring.counts import SplitCounts, predicted_label_map, read_counts

LABEL_MAPS = {"off": "label_maps.png", "on": "label_maps_crf.png"}
"""The contact sheets, by CRF off and on."""


def machines_of(training: Mapping[str, Any]) -> str:
    """The machine that trained a model, or those that its trainings moved over. training: the report of `train`."""
    return ", then ".join(training["machines"])


@dataclass(frozen=True, eq=False)
class ModelResults:
    """The reports of the stages train, predict and crf, the counts by CRF off and on, and the learning curves.

    folder: where the stages wrote them. epochs: one row per seed and epoch, none for what is not trained by epochs.
    ends_with_crf: the model's paper reports it with a CRF behind it.
    """

    name: str
    folder: Path
    training: dict[str, Any]
    prediction: dict[str, Any]
    crf: dict[str, Any]
    latency: Mapping[str, Any]
    counts: dict[str, SplitCounts]
    epochs: pd.DataFrame
    ends_with_crf: bool

    @classmethod
    def read(cls, name: str, folder: Path, *, latency: Mapping[str, Any]) -> "ModelResults":
        """All but the label maps. latency: of the model, by the stage `latency`."""
        training = read_json(folder / "training.json")
        return cls(
            name=name,
            folder=folder,
            training=training,
            prediction=read_json(folder / "prediction.json"),
            crf=read_json(folder / "crf.json"),
            latency=latency,
            counts=read_counts(folder / "counts.npz"),
            epochs=read_csv(folder / "curves.csv"),
            ends_with_crf=section_of(training["settings"]["model"]["architecture"]).ends_with_crf,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the training was told."""
        settings: dict[str, Any] = self.training["settings"]
        return settings

    @property
    def searched(self) -> dict[str, Any]:
        """The values of the schedule that the search found best for the model; empty without a search."""
        return self.training["search"]["best"] if self.training["search"] else {}

    @property
    def backbone(self) -> dict[str, str] | None:
        """Name and weights of the backbone, None for a model without one."""
        has_none = self.training["deviations"].get("backbone") == "none"
        return None if has_none else self.settings["backbone"]

    @property
    def seeds(self) -> list[int]:
        """One per training."""
        return [training["seed"] for training in self.training["trainings"]]

    @property
    def trained_on(self) -> str:
        """The machine, or those that the trainings moved over."""
        return machines_of(self.training)

    @property
    def curves(self) -> list[Curve]:
        """One per seed; empty ones for what is not trained by epochs."""
        columns = ["epoch", "val_mean_iou", "train_loss"]
        of_seeds = [self.epochs.loc[self.epochs["seed"] == seed, columns] for seed in self.seeds]
        return [Curve(self.name, *(tuple(found[column].tolist()) for column in columns)) for found in of_seeds]

    def contenders(self, pictured: Sequence[Row]) -> list[Contender]:
        """The model with the CRF off and on. pictured: the images that reports show."""
        deviations = tuple(f"{name} {setting(value)}" for name, value in self.training["deviations"].items())
        if of_seeds := deviation_of(self.training):
            deviations += (of_seeds,)
        found = []
        for crf, counts in self.counts.items():
            found.append(
                Contender(
                    model=self.name,
                    crf=crf == "on",
                    counts=counts,
                    label_maps=read_contact_sheet(self.folder / LABEL_MAPS[crf], pictured),
                    as_in_paper=self.ends_with_crf == (crf == "on"),
                    costs=self._costs(crf_ms=self.crf["latency_ms"] if crf == "on" else None),
                    deviations=deviations,
                    protocol=self._protocol(self.crf["chosen"] if crf == "on" else None),
                )
            )
        return found

    def _costs(self, *, crf_ms: float | None) -> Costs:
        measured = dict(self.latency)
        if crf_ms is not None:  # the CRF is timed in its own stage
            measured["latency_ms"] += crf_ms
            measured["latency_low_ms"] = measured["latency_high_ms"] = None
        return Costs(
            parameters=self.training["parameters"],
            multiply_adds=self.prediction["multiply_adds"],
            peak_memory_mib=self.prediction["peak_memory_mib"],
            training_images_per_second=self.training["training_images_per_second"],
            training_seconds=self.training["training_seconds"],
            trained_on=self.trained_on,
            predicted_on=self.prediction["machine"],
            **measured,
        )

    def _protocol(self, crf: dict[str, float] | None) -> dict[str, str]:
        backbone, schedule, samples = self.backbone, self.settings["train"], self.settings["samples"]
        crop_height, crop_width = samples["crop_px"]
        return {
            "backbone": backbone["name"] if backbone else "none",
            "weights": backbone["weights"] if backbone else "none",
            "searched": ", ".join(f"{name} {value}" for name, value in self.searched.items()),
            "epochs": "" if self.epochs.empty else str(schedule["epochs"]),
            "seeds": " ".join(map(str, self.seeds)),
            "input_scale": f"{samples['scale']:g}",
            "crop_px": f"{crop_width}x{crop_height}",
            "crf_parameters": ", ".join(f"{name} {value:.3g}" for name, value in crf.items()) if crf else "",
        }


def external_contender(name: str, folder: Path, pictured: Sequence[Row]) -> Contender:
    """The predictions of another program, as the stage `external` left them in `folder`."""
    label_maps = [reduced_label_map(predicted_label_map(folder / name, row)) for row in pictured]
    counts = read_counts(folder / f"{name}.npz")["off"]
    return Contender(name, crf=False, counts=counts, is_trained=False, label_maps=label_maps)
