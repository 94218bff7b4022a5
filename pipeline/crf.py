"""Weights -> CRF parameters chosen on validation images, and the test images' label maps refined with them."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.command import run
from segbench import params, zoo
from segbench.crf.energy import CRFParameters
from segbench.crf.refinement import refine, refine_after
from segbench.crf.tuning import TuningImage, tune
from segbench.datasets.prepared import Prepared
from segbench.files import RGBImage, replacing, write_json, write_label_map
from segbench.inference import Predictor, Probabilities, timed
from segbench.labels import Classes, LabelMap
from segbench.parallel import map_in_order, num_cores
from segbench.report.crf import write_search, write_steps

TIMED_IMAGES = 10
FIGURE_STEPS = (1, 2, 10)


def main(
    *, dataset: str, model: str, prepared: Path, weights: Path, out: Path, choice: Path, search: Path, figure: Path
) -> None:
    """Tune on validation, refine test. The tuning images stay in memory; of the others, a few at a time."""
    parameters = params.load()
    data = Prepared.open(prepared)
    network = zoo.restore(
        parameters.model(model), backbone=parameters.backbone_for(model), num_classes=len(data.classes), path=weights
    )
    predictor = Predictor(network, scale=parameters.dataset(dataset).input.scale)
    device = predictor.device.type
    workers = num_cores() if device == "cpu" else 1

    def predicted(image: RGBImage) -> tuple[RGBImage, Probabilities]:
        return image, predictor.probabilities(image)

    tuning_images = [
        TuningImage(*predicted(data.image(row)), data.label_map(row))
        for row in data.sample("val", parameters.crf.tuning_images)
    ]
    found = tune(tuning_images, parameters.crf, device=device, workers=workers)
    write_search(search, found, title=f"{model} on {dataset}")
    _write_figure(figure, tuning_images, found.best.parameters, classes=data.classes, device=device)

    def label_map(pair: tuple[RGBImage, Probabilities]) -> LabelMap:
        image, probabilities = pair
        if found.chosen is not None:
            probabilities = refine(image, probabilities, found.chosen, device=device)
        return probabilities.argmax(axis=0).astype(np.uint8)

    rows = data.split("test")
    latencies_ms = [timed(label_map, predicted(data.image(row)))[1] for row in data.sample("test", TIMED_IMAGES)]
    label_maps = map_in_order(label_map, (predicted(data.image(row)) for row in rows), workers=workers)
    with replacing(out) as folder:
        progress = tqdm(label_maps, total=len(rows), desc=f"crf {model}", unit="image", disable=None)
        for row, refined in zip(rows, progress, strict=True):
            write_label_map(folder / f"{row.name}.png", refined, data.classes)
    write_json(
        choice,
        {
            **asdict(found),
            "chosen": asdict(found.chosen) if found.chosen else None,
            "latency_ms": round(statistics.median(latencies_ms), 2) if found.chosen else 0,
        },
    )


def _write_figure(
    path: Path, images: Sequence[TuningImage], parameters: CRFParameters, *, classes: Classes, device: str
) -> None:
    """What the steps do to the tuning image whose share of right pixels grows by the median of them all."""

    def label_maps(one: TuningImage) -> list[LabelMap]:
        refined = refine_after(one.image, one.probabilities, parameters, steps=FIGURE_STEPS, device=device)
        return [probabilities.argmax(axis=0).astype(np.uint8) for probabilities in (one.probabilities, *refined)]

    def gain(one: TuningImage) -> float:
        before, *_, after = label_maps(one)
        return float((after == one.truth).mean() - (before == one.truth).mean())

    typical = sorted(images, key=gain)[len(images) // 2]
    plain, *after = label_maps(typical)
    write_steps(
        path,
        image=typical.image,
        truth=typical.truth,
        plain=plain,
        after=dict(zip(FIGURE_STEPS, after, strict=True)),
        classes=classes,
    )


if __name__ == "__main__":
    run(main)
