"""What the stages wrote of one model, as the reports need it."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.files import read_json
from segbench.report.table.assemble import Contender
from segbench.report.table.content import Costs, Curve, Estimate, Published
from segbench.scoring.counts import SplitCounts, read_counts


@dataclass(frozen=True, eq=False)
class ModelResults:
    """The stages' reports, counts by CRF off and on, and a row an epoch of the learning curves."""

    name: str
    training: dict[str, Any]
    prediction: dict[str, Any]
    crf: dict[str, Any]
    counts: dict[str, SplitCounts]
    epochs: tuple[dict[str, str], ...]
    ends_with_crf: bool

    @classmethod
    def read(cls, name: str, reports: Path, *, ends_with_crf: bool) -> "ModelResults":
        """reports: the model's folder, with what the stages wrote. ends_with_crf: its paper reports it with a CRF."""
        with (reports / "curves.csv").open(newline="") as file:
            epochs = tuple(csv.DictReader(file))
        return cls(
            name=name,
            training=read_json(reports / "training.json"),
            prediction=read_json(reports / "prediction.json"),
            crf=read_json(reports / "crf.json"),
            counts=read_counts(reports / "counts.npz"),
            epochs=epochs,
            ends_with_crf=ends_with_crf,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the training was told."""
        settings: dict[str, Any] = self.training["settings"]
        return settings

    @property
    def curve(self) -> Curve:
        """The first seed's, empty for what is not trained by epochs."""
        rows = [row for row in self.epochs if row["seed"] == self.epochs[0]["seed"]]
        return Curve(
            self.name,
            epochs=tuple(int(row["epoch"]) for row in rows),
            mean_iou=tuple(float(row["val_mean_iou"]) if row["val_mean_iou"] else None for row in rows),
        )

    def scored(self, published: Published | None = None) -> list[Contender]:
        """The model with its CRF off and on. published: goes with the one that its paper reports."""
        deviations = tuple(f"{name} {value}" for name, value in self.training["deviations"].items())
        return [
            Contender(
                model=self.name,
                crf=crf == "on",
                confusions=self.counts[crf].confusions,
                trimap=self.counts[crf].trimap,
                as_in_paper=self.ends_with_crf == (crf == "on"),
                published=published if self.ends_with_crf == (crf == "on") else None,
                costs=self._costs(crf_ms=self.crf["latency_ms"] if crf == "on" else 0),
                deviations=deviations,
                protocol=self._protocol(self.crf["chosen"] if crf == "on" else None),
            )
            for crf in ("off", "on")
        ]

    def _costs(self, *, crf_ms: float) -> Costs:
        return Costs(
            parameters=self.training["parameters"],
            multiply_adds=self.prediction["multiply_adds"],
            latency_ms=Estimate(self.prediction["latency_ms"] + crf_ms),
            peak_memory_mib=self.prediction["peak_memory_mib"],
            training_images_per_second=self.training["training_images_per_second"],
            training_seconds=self.training["training_seconds"],
        )

    def _protocol(self, crf: dict[str, float] | None) -> tuple[tuple[str, str], ...]:
        has_none = self.training["deviations"].get("backbone") == "none"
        backbone, schedule = self.settings["backbone"], self.settings["train"]
        return (
            ("backbone", "none" if has_none else backbone["name"]),
            ("weights", "none" if has_none else backbone["weights"]),
            ("epochs", str(schedule["epochs"]) if self.epochs else ""),
            ("seeds", " ".join(map(str, schedule["seeds"]))),
            ("input_scale", f"{self.settings['samples']['scale']:g}"),
            ("crop_px", "{}x{}".format(*reversed(self.settings["samples"]["crop_px"]))),
            ("crf_parameters", ", ".join(f"{name} {value:.3g}" for name, value in crf.items()) if crf else ""),
        )
