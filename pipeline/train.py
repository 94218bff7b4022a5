"""Augmented samples -> a model's weights and learning curves, of one training a seed."""

import shutil
from pathlib import Path

from pipeline.command import run
from segbench import fitting, params, tracking, zoo
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json
from segbench.machine import describe_machine, package_versions
from segbench.samples import AugmentedSamples
from segbench.trainings import WEIGHTS, Training, summary, validation_mean_iou, write_curves


def main(
    *, dataset: str, model: str, prepared: Path, augmented: Path, weights: Path, training: Path, curves: Path,
    validation: Path,
) -> None:  # fmt: skip
    """Train one model on one dataset with each seed; what was killed continues where it was."""
    parameters = params.load()
    data = Prepared.open(prepared)
    samples = AugmentedSamples(augmented, data)
    machine, versions = describe_machine(), package_versions()
    seeds = parameters.train_for(dataset, model).seeds
    trainings = [Training(dataset, model, seed, parameters, data, samples) for seed in seeds]
    for one in [one for one in trainings if not one.has_ended]:
        if not fitting.is_first_process():
            one.run(lambda row: None)
            continue
        name = model if len(seeds) == 1 else f"{model}, seed {one.seed}"
        with tracking.training_run(dataset=dataset, name=name, key=one.key, checkpoints=one.folder) as tracked:
            tracked.log_parameters(one.settings)
            tracked.set_tags({"machine": machine, "dataset_fingerprint": data.fingerprint, **versions})
            one.run(lambda row, tracked=tracked: tracked.log_metrics(row.metrics(), step=row.epoch))  # type: ignore[misc]
            write_curves(one.folder / "curves.csv", [one.record])
            tracked.log_file(one.folder / "curves.csv")
            tracked.log_metrics({name: one.record[name] for name in ("training_seconds", "parameters")})
    if not fitting.is_first_process():
        return
    with replacing(weights) as folder:
        folder.mkdir()
        for one in trainings:
            shutil.copyfile(one.folder / WEIGHTS, folder / zoo.weights_name(one.seed))
    records = [one.record for one in trainings]
    write_curves(curves, records)
    score = validation_mean_iou(records, checkpoint=parameters.train_for(dataset, model).checkpoint)
    write_json(validation, {"val": {dataset: {} if score is None else {model: score}}})
    settings = trainings[0].settings
    settings["train"]["seeds"] = seeds
    provenance = {"machine": machine, "versions": versions, "deviations": parameters.deviations(dataset, model)}
    write_json(training, {**summary(records), **provenance, "settings": settings})
    for one in trainings:
        shutil.rmtree(one.folder)


if __name__ == "__main__":
    run(main)
