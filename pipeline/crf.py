"""Weights -> CRF parameters chosen on validation images, and the test images' label maps refined with them."""

import statistics
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.command import run
from segbench import params
from segbench.crf.inference import refine
from segbench.crf.search import TuningImage, tune
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json
from segbench.images import RGBImage, write_label_map
from segbench.labels import LabelMap
from segbench.models.weights import restore_seeds
from segbench.parallel import map_in_order, num_cores
from segbench.prediction.predictor import Predictor, Probabilities, timed
from segbench.report.drawing.crf import write_search, write_steps

TIMED_IMAGES = 10


def main(
    *, dataset: str, model: str, prepared: Path, weights: Path, out: Path, choice: Path, search: Path, figure: Path
) -> None:
    """Tune on validation with the first seed's network, refine every seed's test predictions.

    The tuning images stay in memory; of the others, a few at a time.
    """
    parameters = params.load()
    data = Prepared.open(prepared)
    networks = dict(
        restore_seeds(
            parameters.model(model),
            backbone=parameters.backbone_for(model),
            num_classes=len(data.classes),
            folder=weights,
        )
    )
    scale = parameters.dataset(dataset).input.scale
    predictors = {seed: Predictor(network, scale=scale) for seed, network in networks.items()}
    first = next(iter(predictors.values()))
    device = first.device.type
    workers = num_cores() if device == "cpu" else 1

    tuning_rows = data.sample("val", parameters.crf.tuning_images)
    tuning_images = [
        TuningImage(image, first.probabilities(image), data.label_map(row))
        for row, image in ((row, data.image(row)) for row in tuning_rows)
    ]
    found = tune(tuning_images, parameters.crf, device=device, workers=workers)
    write_search(search, found, title=f"{model} on {dataset}")
    write_steps(figure, tuning_images, found.best.parameters, classes=data.classes, device=device)

    def label_map(pair: tuple[RGBImage, Probabilities]) -> LabelMap:
        image, probabilities = pair
        if found.chosen is not None:
            probabilities = refine(image, probabilities, found.chosen, device=device)
        return probabilities.argmax(axis=0).astype(np.uint8)

    timed_images = [data.image(row) for row in data.sample("test", TIMED_IMAGES)]
    latencies_ms = [timed(label_map, (image, first.probabilities(image)))[1] for image in timed_images]
    rows = data.split("test")
    with replacing(out) as folder:
        for seed, predictor in predictors.items():
            images = (data.image(row) for row in rows)
            pairs = ((image, predictor.probabilities(image)) for image in images)
            label_maps = map_in_order(label_map, pairs, workers=workers)
            progress = tqdm(label_maps, total=len(rows), desc=f"crf {model} {seed}", unit="image", disable=None)
            for row, refined in zip(rows, progress, strict=True):
                write_label_map(folder / seed / f"{row.name}.png", refined, data.classes)
    result = {
        **asdict(found),
        "best": asdict(found.best),
        "chosen": asdict(found.chosen) if found.chosen else None,
        "latency_ms": round(statistics.median(latencies_ms), 2) if found.chosen else 0,
    }
    write_json(choice, result)


if __name__ == "__main__":
    run(main)
