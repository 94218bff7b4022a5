"""Augmented samples -> a model's weights and learning curves."""

import csv
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.command import run
from segbench import fitting, params, tracking, zoo
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json
from segbench.machine import describe_machine, package_versions, peak_memory_mib
from segbench.models.color_clusters import ColorClusters
from segbench.resume import checkpoint_folder, training_key
from segbench.samples import AugmentedSamples, WholeImages


def main(
    *, dataset: str, model: str, prepared: Path, augmented: Path, weights: Path, training: Path, curves: Path
) -> None:
    """Train one model on one dataset; a killed training continues where it was."""
    parameters = params.load()
    entry, schedule = parameters.dataset(dataset), parameters.train_for(model)
    precision = fitting.choose_precision(schedule.precision, fitting.device_type(schedule.accelerator))
    data = Prepared.open(prepared)
    samples = AugmentedSamples(augmented, data)
    settings = {
        "dataset": dataset,
        "dataset_fingerprint": data.fingerprint,
        "model": {"name": model, **parameters.model(model).model_dump()},
        "backbone": parameters.backbone_for(model).model_dump(),
        "train": {**schedule.model_dump(), "epochs": entry.epochs, "precision": precision},
        "samples": asdict(samples.recipe),
    }
    fitting.seed_everything(schedule.seed)
    network = zoo.build(parameters.model(model), backbone=parameters.backbone_for(model), num_classes=len(data.classes))
    key = training_key(settings)
    checkpoints = checkpoint_folder(key)

    def train(on_epoch: Callable[[fitting.Epoch], None]) -> list[fitting.Epoch]:
        if isinstance(network, ColorClusters):
            network.fit(*samples.pixels(), seed=schedule.seed)
            return []
        class_pixels = np.array([row.class_pixels for row in data.split("train")])
        return fitting.fit(
            network,
            samples,
            WholeImages(data, "val", scale=entry.input.scale),
            schedule=schedule,
            epochs=entry.epochs,
            precision=precision,
            weights=fitting.class_weights(schedule.class_weights, class_pixels),
            num_classes=len(data.classes),
            checkpoints=checkpoints,
            on_epoch=on_epoch,
        )

    if not fitting.is_first_process():
        train(lambda row: None)
        return
    machine, versions = describe_machine(), package_versions()
    with tracking.training_run(dataset=dataset, model=model, key=key, checkpoints=checkpoints) as tracked:
        tracked.log_parameters(settings)
        tracked.set_tags({"machine": machine, "dataset_fingerprint": data.fingerprint, **versions})
        start = time.perf_counter()
        rows = train(lambda row: tracked.log_metrics(row.metrics(), step=row.epoch))
        seconds = sum(row.seconds for row in rows) if rows else time.perf_counter() - start
        costs = {
            "training_seconds": round(seconds, 1),
            "parameters": zoo.num_parameters(network),
            "backbone_parameters": zoo.num_parameters(getattr(network, "backbone", None)),
            "peak_memory_mib": round(peak_memory_mib()),
        }
        zoo.save(network, weights)
        _write_curves(curves, rows)
        provenance = {"training_key": key, "machine": machine, "versions": versions}
        deviations = parameters.deviations(model)
        write_json(training, {**costs, **provenance, "deviations": deviations, "settings": settings})
        tracked.log_metrics({name: costs[name] for name in ("training_seconds", "parameters")})
        tracked.log_file(curves)
    shutil.rmtree(checkpoints)


def _write_curves(path: Path, rows: list[fitting.Epoch]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fitting.Epoch.__dataclass_fields__, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    run(main)
