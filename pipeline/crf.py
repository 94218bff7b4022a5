"""Weights -> CRF parameters chosen on validation images, and the test images' label maps, refined with these."""

import statistics
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.command import run
from segbench import params
from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refined_label_map
from segbench.crf.memory import affordable_workers
from segbench.crf.search import tune
from segbench.crf.tiles import affordable_side_px, refined_by_tiles, tuning_window, uniform_strips
from segbench.crf.tuning import TuningImage
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json, write_nothing
from segbench.images import RGBImage, write_label_map
from segbench.labels import LabelMap
from segbench.models.weights import all_diverged, restore_seeds
from segbench.parallel import map_in_order
from segbench.prediction.predictor import Predictor, timed
from segbench.report.drawing.crf import write_search, write_steps

TIMED_IMAGES = 10


def main(
    *, dataset: str, model: str, prepared: Path, weights: Path, out: Path, choice: Path, search: Path, figure: Path
) -> None:
    """Tune on validation images with the first seed's network, then refine each seed's predictions of the test images.

    The tuning images stay in memory; of the test images, only a few at a time. Where networks predict by tiles, the CRF
    does so, too, and of each tuning image there is a window as large as the CRF's tiles.
    """
    parameters = params.load()
    if all_diverged(weights):
        write_nothing(out, choice, search, figure)
        return
    data = Prepared.open(prepared)
    backbone, seen = parameters.backbone_for(model), parameters.dataset(dataset).input
    section = parameters.model_for(dataset, model)
    networks = restore_seeds(section, backbone=backbone, num_classes=len(data.classes), folder=weights)
    predictors = {seed: Predictor.seeing(network, seen, data) for seed, network in networks}
    first = next(iter(predictors.values()))
    device = first.device.type

    tuning_rows = data.sample("val", parameters.crf.tuning_images)
    tile_px = affordable_side_px(num_classes=len(data.classes)) if first.tile_px else None
    rng = np.random.default_rng(parameters.crf.seed)
    tuning_images = [
        TuningImage(image, first.probabilities(image), data.label_map(row))
        if tile_px is None
        else tuning_window(image, first.strips(image), data.label_map(row), tile_px=tile_px, rng=rng)
        for row, image in zip(tuning_rows, map(data.image, tuning_rows), strict=True)
    ]
    num_pixels = max(example.truth.size for example in tuning_images)
    workers = affordable_workers(num_classes=len(data.classes), num_pixels=num_pixels) if device == "cpu" else 1
    found = tune(tuning_images, parameters.crf, device=device, workers=workers)
    write_search(search, found, title=f"{model} on {dataset}")
    named = {row.name: example for row, example in zip(tuning_rows, tuning_images, strict=True)}
    write_steps(figure, named, found, model=model, classes=data.classes, device=device)

    timed_images = map(data.image, data.sample("test", TIMED_IMAGES))
    latencies_ms = [
        _latency_ms(image, first, found.chosen, num_classes=len(data.classes), tile_px=tile_px)
        for image in timed_images
    ]
    rows = data.split("test")
    with replacing(out) as folder:
        for seed, predictor in predictors.items():
            images = map(data.image, rows)
            label_maps = _label_maps(images, predictor, found.chosen, tile_px=tile_px, workers=workers)
            progress = tqdm(label_maps, total=len(rows), desc=f"crf {model} {seed}", unit="image", disable=None)
            for row, label_map in zip(rows, progress, strict=True):
                write_label_map(folder / seed / f"{row.name}.png", label_map, data.classes)
    latency_ms = round(statistics.median(latencies_ms), 2) if found.chosen else 0
    write_json(choice, {**found.content(), "latency_ms": latency_ms})


def _latency_ms(
    image: RGBImage, predictor: Predictor, parameters: CRFParameters | None, *, num_classes: int, tile_px: int | None
) -> float:
    """Of the CRF alone, on one core of a CPU. By tiles, the network's strips would be made in between: others serve."""
    device = predictor.device.type
    if tile_px is None:
        refine = partial(refined_label_map, parameters=parameters, device=device)
        return timed(refine, image, predictor.probabilities(image))[1]
    strips = uniform_strips(image, num_classes=num_classes)
    by_tiles = partial(refined_by_tiles, parameters=parameters, tile_px=tile_px, workers=1, device=device)
    return timed(by_tiles, image, strips)[1]


def _label_maps(
    images: Iterable[RGBImage], predictor: Predictor, parameters: CRFParameters | None, *, tile_px: int | None,
    workers: int,
) -> Iterator[LabelMap]:  # fmt: skip
    """The refined ones. Workers share the images, or the tiles of one image."""
    device = predictor.device.type
    if tile_px is None:
        refine = partial(refined_label_map, parameters=parameters, device=device)
        pairs = ((image, predictor.probabilities(image)) for image in images)
        yield from map_in_order(lambda pair: refine(*pair), pairs, workers=workers)
        return
    for image in images:
        yield refined_by_tiles(
            image, predictor.strips(image), parameters, tile_px=tile_px, workers=workers, device=device
        )


if __name__ == "__main__":
    run(main)
