"""Augmented samples -> a model's weights and learning curves, one training for each seed."""

import shutil
from pathlib import Path

from pipeline.command import run
from segbench import params, tracking
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json
from segbench.machine import describe_machine, package_versions
from segbench.models.weights import weights_name
from segbench.training.fit import is_first_process
from segbench.training.samples import AugmentedSamples
from segbench.training.training import WEIGHTS, Training, summary, validation_mean_iou, write_curves


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
    for each in [each for each in trainings if not each.has_ended]:
        if not is_first_process():
            each.run(lambda row: None)
            continue
        name = model if len(seeds) == 1 else f"{model}, seed {each.seed}"
        with tracking.training_run(dataset=dataset, name=name, key=each.key, checkpoints=each.folder) as tracked:
            tracked.log_parameters(each.settings)
            tracked.set_tags({"machine": machine, "dataset_fingerprint": data.fingerprint, **versions})
            each.run(lambda row, tracked=tracked: tracked.log_metrics(row.metrics(), step=row.epoch))  # type: ignore[misc]
            write_curves(each.folder / "curves.csv", [each.record])
            tracked.log_file(each.folder / "curves.csv")
            tracked.log_metrics({name: each.record[name] for name in ("training_seconds", "parameters")})
    if not is_first_process():
        return
    with replacing(weights) as folder:
        folder.mkdir()
        for each in trainings:
            shutil.copyfile(each.folder / WEIGHTS, folder / weights_name(each.seed))
    records = [each.record for each in trainings]
    write_curves(curves, records)
    score = validation_mean_iou(records, checkpoint=parameters.train_for(dataset, model).checkpoint)
    write_json(validation, {"val": {dataset: {} if score is None else {model: score}}})
    settings = trainings[0].settings
    settings["train"]["seeds"] = seeds
    provenance = {"machine": machine, "versions": versions, "deviations": parameters.deviations(dataset, model)}
    write_json(training, {**summary(records), **provenance, "settings": settings})
    for each in trainings:
        shutil.rmtree(each.folder)


if __name__ == "__main__":
    run(main)
