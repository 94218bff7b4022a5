"""A model's trainings on a dataset, one per seed: what each depends on, and what it leaves behind.

A finished training leaves its weights and its record beside its checkpoints, so that a kill during the training of
another seed does not cost them. One that diverged leaves its record alone.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from segbench import params
from segbench.checkpoints import RECORD, WEIGHTS, checkpoint_folder
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.files import read_json, write_csv, write_json
from segbench.machine import describe_machine, git_commit, peak_memory_mib
from segbench.models.build import build_model, num_parameters
from segbench.models.network import FittedOnPixels, Network
from segbench.models.weights import save_weights
from segbench.params.backbone import weights_file
from segbench.sources import source_digests
from segbench.training.curves import Epoch
from segbench.training.divergence import DivergenceError
from segbench.training.fit import fit, seed_everything
from segbench.training.losses import loss_class_weights
from segbench.training.precision import Precision, choose_precision, device_type
from segbench.training.processes import is_first_process, wait_for_all
from segbench.training.resume import training_key
from segbench.training.samples import AugmentedSamples, WholeImages

MACHINES = "machines.json"
"""In a training's folder: those at which it was, the first one first. A killed training may continue on another."""
MEDIANS = ("training_seconds", "training_images_per_second", "training_peak_memory_mib")


@dataclass(frozen=True)
class Training:
    """A model's training on a dataset with one seed. found: values of `train` that a search found for it."""

    dataset: str
    model: str
    seed: int
    parameters: params.Params
    data: Prepared
    samples: AugmentedSamples
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """All parameters and data that decide the result, for reports and for `key`."""
        schedule = self.schedule.model_dump(exclude={"search", "strategy"})
        if schedule["nodes"] == 1:
            del schedule["nodes"]  # keys of trainings on one machine are as they were before there were nodes
        return {
            "dataset": self.dataset,
            "dataset_fingerprint": self.data.fingerprint,
            "model": {
                "name": self.model,
                **self._network.model_dump(exclude=params.OF_TRAINING),
            },
            "backbone": self._backbone,
            "train": {**schedule, "seeds": [self.seed], "precision": self._precision},
            "samples": asdict(self.samples.recipe),
        }

    @cached_property
    def key(self) -> str:
        """A hash of the settings and of the code that training imports: the same key gives the same weights.

        Computed once, so that editing code during a training does not change its folder.
        """
        return training_key(self.settings, source_digests(__name__, self._network.network_module))

    @property
    def folder(self) -> Path:
        """Where the checkpoints are, and the weights and the record of a finished training."""
        return checkpoint_folder(self.key)

    @property
    def has_ended(self) -> bool:
        """Whether its record is there, and its weights unless it diverged."""
        if not (self.folder / RECORD).exists():
            return False
        return has_diverged(self.record) or (self.folder / WEIGHTS).exists()

    @property
    def record(self) -> dict[str, Any]:
        """What the training cost, and one row per epoch."""
        record: dict[str, Any] = read_json(self.folder / RECORD)
        return record

    def run(self, on_epoch: Callable[[Epoch], None]) -> None:
        """Train, or continue from the checkpoint of a killed training, and leave weights and a record.

        A training that diverges leaves no weights; its record has the epoch.
        """
        seed_everything(self.seed)
        machines = self._noted_machines() if is_first_process() else []
        network = build_model(
            self._network,
            backbone=self.parameters.backbone_for(self.model),
            num_classes=len(self.data.classes),
        )
        schedule = self.schedule
        start, rows, diverged_in = time.perf_counter(), [], None
        if isinstance(network, FittedOnPixels):
            network.fit(*self.samples.pixels(), seed=self.seed)
        else:
            assert isinstance(network, Network)
            try:
                rows = fit(
                    network,
                    self.samples,
                    WholeImages(self.data, "val", scale=self.samples.recipe.scale),
                    schedule=schedule,
                    seed=self.seed,
                    precision=self._precision,
                    class_weights=loss_class_weights(schedule.class_weights, self.samples.class_pixels),
                    num_classes=len(self.data.classes),
                    checkpoints=self.folder,
                    on_epoch=on_epoch,
                )
            except DivergenceError as diverged:
                rows, diverged_in = diverged.rows, diverged.epoch
        if is_first_process():
            seconds = sum(row.seconds for row in rows) if rows else time.perf_counter() - start
            self._leave(network, rows, seconds=seconds, diverged_in=diverged_in, machines=machines)
        wait_for_all()  # the others may need the record

    def _noted_machines(self) -> list[str]:
        """Those at which the training was, and this one, which is noted too."""
        path, before = self.folder / MACHINES, []
        with suppress(InputError):  # none before, or damaged: that is not worth the training
            before = read_json(path)
        machines = list(dict.fromkeys([*before, describe_machine()]))
        write_json(path, machines)
        return machines

    def _leave(
        self, network: nn.Module, rows: Sequence[Epoch], *, seconds: float, diverged_in: int | None, machines: list[str]
    ) -> None:
        """Write weights, unless the training diverged, and then the record."""
        if diverged_in is None:
            save_weights(network, self.folder / WEIGHTS)
        record = {
            "dataset": self.dataset,
            "seed": self.seed,
            "training_key": self.key,
            "commit": git_commit(),
            "machines": machines,
            "parameters": num_parameters(network),
            "backbone_parameters": num_parameters(getattr(network, "backbone", None)),
            "training_seconds": round(seconds, 1),
            "training_images_per_second": statistics.median(row.images_per_second for row in rows) if rows else None,
            "training_peak_memory_mib": round(peak_memory_mib()),
            "epochs": [asdict(row) for row in rows],
            "diverged_in_epoch": diverged_in,
        }
        write_json(self.folder / RECORD, record)

    @cached_property
    def _backbone(self) -> dict[str, Any]:
        """The section, with the digest of the weights' file if there is one, as it was when training began."""
        backbone = self.parameters.backbone_for(self.model)
        digests = [{"digest": digest} for digest in weights_file(backbone).values()]
        return {**backbone.model_dump(), **dict(*digests)}

    @property
    def _network(self) -> params.AnyModel:
        return self.parameters.model_for(self.dataset, self.model)

    @property
    def schedule(self) -> params.Train:
        """What params.yaml says for the model on the dataset, and what was found."""
        return params.with_values(self.parameters.train_for(self.dataset, self.model), self.found)

    @property
    def has_schedule(self) -> bool:
        """Whether the model is trained by epochs."""
        return self._network.has_schedule

    @property
    def _precision(self) -> Precision:
        return choose_precision(self.schedule.precision, device_type(self.schedule.accelerator))


def has_diverged(record: dict[str, Any]) -> bool:
    """Whether a training's loss became NaN or infinite, so that it has no weights."""
    return record["diverged_in_epoch"] is not None


def summary(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What training the model once costs, as medians over its seeds; the machines; and the key, commit and time of each
    training.

    A training that diverged is under `failed`, with the epoch, and does not count for the medians.
    """
    ended = [record for record in records if not has_diverged(record)]
    costs = {name: records[0][name] for name in ("parameters", "backbone_parameters")}
    for name in MEDIANS:
        known = [record[name] for record in ended if record[name] is not None]
        costs[name] = round(statistics.median(known), 2) if known else None
    kept = ("seed", "training_key", "commit", "training_seconds")
    return {
        **costs,
        "machines": list(dict.fromkeys(machine for record in records for machine in record["machines"])),
        "trainings": [{name: record[name] for name in kept} for record in ended],
        "failed": [
            {"seed": record["seed"], "epoch": record["diverged_in_epoch"], "commit": record["commit"]}
            for record in records
            if has_diverged(record)
        ],
    }


def summary_of_failed(seeds: Sequence[int], what: str) -> dict[str, Any]:
    """As `summary`, of a model whose stages failed on a cluster, by the words that say why."""
    return {
        **dict.fromkeys(("parameters", "backbone_parameters", *MEDIANS)),
        "machines": [describe_machine()],
        "trainings": [],
        "failed": [{"seed": seed, "epoch": None, "commit": git_commit(), "why": what} for seed in seeds],
    }


def validation_mean_iou(records: Sequence[dict[str, Any]], *, checkpoint: str) -> float | None:
    """Mean IoU of the kept weights on the validation split, averaged over the seeds; None without epochs.

    Trainings that diverged kept no weights, and do not count.
    """
    curves = [[row["val_mean_iou"] for row in record["epochs"]] for record in records if not has_diverged(record)]
    curves = [[value for value in curve if value is not None] for curve in curves]
    kept = [max(curve) if checkpoint == "best" else curve[-1] for curve in curves if curve]
    return statistics.fmean(kept) if kept else None


def write_curves(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """The learning curves of all seeds as CSV: one row per seed and epoch."""
    names = ["seed", *(field.name for field in fields(Epoch))]
    rows = [{"seed": record["seed"], **epoch} for record in records for epoch in record["epochs"]]
    write_csv(path, pd.DataFrame(rows, columns=names))
