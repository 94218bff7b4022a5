"""Augmented samples -> a model's weights and learning curves, one training per seed."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.command import refuse_changes, run
from segbench import params, tracking
from segbench.checkpoints import WEIGHTS, hold, remove_checkpoints
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.files import read_json, replacing, write_json
from segbench.machine import describe_machine, package_versions
from segbench.models.weights import DIVERGED, weights_name
from segbench.training.curves import Epoch
from segbench.training.divergence import likely_causes
from segbench.training.processes import is_first_process
from segbench.training.samples import AugmentedSamples
from segbench.training.search import found_before, outcome, trials_of
from segbench.training.training import (
    Training,
    has_diverged,
    summary,
    summary_of_failed,
    validation_mean_iou,
    write_curves,
)


def main(
    *, dataset: str, model: str, prepared: Path, augmented: Path, weights: Path, training: Path, curves: Path,
    validation: Path, failure: Path,
) -> None:  # fmt: skip
    """Search for the model's schedule, then train it with each seed; what was killed continues where it was.

    A training that diverges ends early and is reported; it does not end the stage, so that DVC goes on with the other
    models and does not train this one again. So is one that failed on a cluster, as the file `failure` says.
    """
    parameters = params.load()
    data = Prepared.open(prepared)
    samples = AugmentedSamples(augmented, data)
    versions = package_versions()
    tags = {"machine": describe_machine(), "dataset_fingerprint": data.fingerprint, **versions}
    schedule = parameters.train_for(dataset, model)
    trainings = [Training(dataset, model, seed, parameters, data, samples) for seed in schedule.seeds]
    provenance = {"versions": versions, "deviations": parameters.deviations(dataset, model)}
    if what := read_json(failure)["failed"]:
        with replacing(weights) as folder:
            folder.mkdir()
            write_json(folder / DIVERGED, {f"seed_{seed}": None for seed in schedule.seeds})
        write_curves(curves, [])
        write_json(validation, {"val": {dataset: {}}})
        told = {"search": None, "settings": _settings(trainings)}
        write_json(training, {**summary_of_failed(schedule.seeds, what), **provenance, **told})
        return
    trials = trials_of(trainings[0])
    held = hold({each.key for each in trials or trainings} if is_first_process() else ())
    for place, trial in enumerate(trials, start=1):
        _run(trial, name=f"{model}, trial {place}", tags=tags)
    search = outcome(trials) or found_before(trainings[0])
    if search:
        trainings = [replace(of_seed, found=search["best"]) for of_seed in trainings]
        keys = {each.key for each in trainings} - {each.key for each in trials}
        held.enter_context(hold(keys if is_first_process() else ()))
    for of_seed in trainings:
        _run(of_seed, name=model if len(trainings) == 1 else f"{model}, seed {of_seed.seed}", tags=tags)
    if not is_first_process():
        return
    refuse_changes()  # while what was trained is there to continue from
    records = [of_seed.record for of_seed in trainings]
    with replacing(weights) as folder:
        folder.mkdir()
        for of_seed, record in zip(trainings, records, strict=True):
            if not has_diverged(record):
                shutil.copyfile(of_seed.folder / WEIGHTS, folder / weights_name(of_seed.seed))
        if diverged := {f"seed_{r['seed']}": r["diverged_in_epoch"] for r in records if has_diverged(r)}:
            write_json(folder / DIVERGED, diverged)
    write_curves(curves, records)
    score = validation_mean_iou(records, checkpoint=schedule.checkpoint)
    write_json(validation, {"val": {dataset: {} if score is None else {model: score}}})
    told = {"search": search, "settings": _settings(trainings)}
    write_json(training, {**summary(records), **provenance, **told})
    for each in (*trials, *trainings):
        remove_checkpoints(each.key)
    held.close()


def _settings(trainings: Sequence[Training]) -> dict[str, Any]:
    """What all of them were told: the same, but for the seed."""
    settings = trainings[0].settings
    settings["train"]["seeds"] = [training.seed for training in trainings]
    return settings


def _run(training: Training, *, name: str, tags: Mapping[str, str]) -> None:
    """Train unless that is done, and log settings, learning curves and costs to the training's MLflow run.

    A training may have been killed when it was done but not all of it was logged.
    """
    if training.has_ended and not tracking.has_begun(training.folder):
        return
    if not is_first_process():
        if not training.has_ended:
            training.run(lambda row: None)
        return
    with tracking.training_run(
        dataset=training.dataset, name=name, key=training.key, checkpoints=training.folder
    ) as tracked:
        tracked.log_parameters(training.settings)
        data = training.data
        num_images = {split: len(data.split(split)) for split in SPLITS}
        tracked.log_dataset(name=training.dataset, digest=data.fingerprint, folder=data.root, num_images=num_images)
        tracked.set_tags(tags)
        if not training.has_ended:
            training.run(lambda row: _log_epoch(row, tracked))
        for row in training.record["epochs"]:
            tracked.log_epoch(Epoch(**row).metrics(), step=row["epoch"])
        write_curves(training.folder / "curves.csv", [training.record])
        tracked.log_file(training.folder / "curves.csv")
        tracked.log_metrics(tracking.resources(training.record))
        if has_diverged(training.record):
            _report_divergence(training, tracked)


def _log_epoch(row: Epoch, tracked: tracking.Run) -> None:
    """An epoch that has just ended, and what the machine did meanwhile."""
    tracked.log_epoch(row.metrics(), step=row.epoch)
    tracked.log_metrics(tracking.machine_load(), step=row.epoch)


def _report_divergence(training: Training, tracked: tracking.Run) -> None:
    """One line on stderr, and the MLflow run ends as failed."""
    what = f"the loss was not finite in epoch {training.record['diverged_in_epoch']}"
    causes = likely_causes(training.settings["train"])
    print(
        f"warning: {training.dataset}: the training of {training.model} with seed {training.seed} has stopped: {what}; "
        f"likely causes: {causes}",
        file=sys.stderr,
    )
    tracked.fail(f"{what}; likely causes: {causes}")


if __name__ == "__main__":
    run(main)
