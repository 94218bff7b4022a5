"""Weights -> CRF parameters chosen on validation images, and the test images' label maps, refined with these."""

import statistics
from functools import partial
from pathlib import Path

from tqdm import tqdm

from pipeline.command import run
from segbench import params
from segbench.crf.inference import refined_label_map
from segbench.crf.memory import affordable_workers
from segbench.crf.search import TuningImage, tune
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json, write_nothing
from segbench.images import write_label_map
from segbench.models.weights import all_diverged, restore_seeds
from segbench.parallel import map_in_order
from segbench.prediction.predictor import Predictor, timed
from segbench.report.drawing.crf import write_search, write_steps

TIMED_IMAGES = 10


def main(
    *, dataset: str, model: str, prepared: Path, weights: Path, out: Path, choice: Path, search: Path, figure: Path
) -> None:
    """Tune on validation images with the first seed's network, then refine each seed's predictions of the test images.

    The tuning images stay in memory; of the test images, only a few at a time.
    """
    parameters = params.load()
    if all_diverged(weights):
        write_nothing(out, choice, search, figure)
        return
    data = Prepared.open(prepared)
    backbone, scale = parameters.backbone_for(model), parameters.dataset(dataset).input.scale
    section = parameters.model_for(dataset, model)
    networks = restore_seeds(section, backbone=backbone, num_classes=len(data.classes), folder=weights)
    predictors = {seed: Predictor(network, scale=scale) for seed, network in networks}
    first = next(iter(predictors.values()))
    device = first.device.type

    tuning_rows = data.sample("val", parameters.crf.tuning_images)
    tuning_images = [
        TuningImage(image, first.probabilities(image), data.label_map(row))
        for row, image in zip(tuning_rows, map(data.image, tuning_rows), strict=True)
    ]
    num_pixels = max(example.truth.size for example in tuning_images)
    workers = affordable_workers(num_classes=len(data.classes), num_pixels=num_pixels) if device == "cpu" else 1
    found = tune(tuning_images, parameters.crf, device=device, workers=workers)
    write_search(search, found, title=f"{model} on {dataset}")
    write_steps(figure, tuning_images, found.best.parameters, classes=data.classes, device=device)

    label_map = partial(refined_label_map, parameters=found.chosen, device=device)
    timed_images = [data.image(row) for row in data.sample("test", TIMED_IMAGES)]
    latencies_ms = [timed(label_map, image, first.probabilities(image))[1] for image in timed_images]
    rows = data.split("test")
    with replacing(out) as folder:
        for seed, predictor in predictors.items():
            pairs = ((image, predictor.probabilities(image)) for image in map(data.image, rows))
            label_maps = map_in_order(lambda pair: label_map(*pair), pairs, workers=workers)
            progress = tqdm(label_maps, total=len(rows), desc=f"crf {model} {seed}", unit="image", disable=None)
            for row, refined in zip(rows, progress, strict=True):
                write_label_map(folder / seed / f"{row.name}.png", refined, data.classes)
    latency_ms = round(statistics.median(latencies_ms), 2) if found.chosen else 0
    write_json(choice, {**found.content(), "latency_ms": latency_ms})


if __name__ == "__main__":
    run(main)
