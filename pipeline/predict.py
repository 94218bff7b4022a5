"""A model's weights -> one indexed PNG per test image, and the costs of a prediction."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json, write_nothing
from segbench.images import RGBImage, write_label_map
from segbench.machine import added_memory_mib, describe_machine, held_memory_mib
from segbench.models.network import Sliding
from segbench.models.weights import all_diverged, restore_seeds
from segbench.prediction.costs import compare_forms, multiply_adds
from segbench.prediction.predictor import Predictor, timed


def main(*, dataset: str, model: str, prepared: Path, weights: Path, out: Path, costs: Path) -> None:
    """Predict the test split of one dataset with one model, as trained from each seed; costs are of the first seed."""
    parameters = params.load()
    if all_diverged(weights):
        write_nothing(out, costs)
        return
    data = Prepared.open(prepared)
    rows = data.split("test")
    backbone, scale = parameters.backbone_for(model), parameters.dataset(dataset).input.scale
    networks = restore_seeds(parameters.model(model), backbone=backbone, num_classes=len(data.classes), folder=weights)
    held_mib = held_memory_mib()
    report: dict[str, Any] = {}
    with replacing(out) as folder:
        for seed, network in networks:
            predictor = Predictor(network, scale=scale)
            predictor.warm_up(data.image(rows[0]))
            latencies_ms = []
            for row in tqdm(rows, desc=f"predict {model} {seed}", unit="image", disable=None):
                label_map, latency_ms = timed(predictor.label_map, data.image(row))
                latencies_ms.append(latency_ms)
                write_label_map(folder / seed / f"{row.name}.png", label_map, data.classes)
            report = report or _costs(predictor, data.image(rows[0]), latencies_ms, held_mib=held_mib)
    write_json(costs, report)


def _costs(predictor: Predictor, image: RGBImage, latencies_ms: Sequence[float], *, held_mib: float) -> dict[str, Any]:
    report = {
        "latency_ms": round(statistics.median(latencies_ms), 2),
        "peak_memory_mib": round(added_memory_mib(held_mib=held_mib)),
        "multiply_adds": multiply_adds(lambda: predictor.label_map(image)),
        "num_images": len(latencies_ms),
        "device": predictor.device.type,
        "machine": describe_machine(),
    }
    if isinstance(predictor.model, Sliding):
        report["forms"] = [asdict(form) for form in compare_forms(predictor.model, predictor.input(image))]
    return report


if __name__ == "__main__":
    run(main)
