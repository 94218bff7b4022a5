"""A model's weights -> one indexed PNG a test image, and what a prediction costs."""

import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json
from segbench.images import write_label_map
from segbench.machine import describe_machine, peak_memory_mib
from segbench.models.network import Sliding
from segbench.models.weights import restore_seeds
from segbench.prediction.costs import compare_forms, multiply_adds
from segbench.prediction.predictor import Predictor, timed


def main(*, dataset: str, model: str, prepared: Path, weights: Path, out: Path, costs: Path) -> None:
    """Predict the test split of one dataset with one model, as each seed trained it; costs are the first seed's."""
    parameters = params.load()
    data = Prepared.open(prepared)
    rows = data.split("test")
    report: dict[str, Any] = {}
    with replacing(out) as folder:
        for seed, network in restore_seeds(
            parameters.model(model),
            backbone=parameters.backbone_for(model),
            num_classes=len(data.classes),
            folder=weights,
        ):
            predictor = Predictor(network, scale=parameters.dataset(dataset).input.scale)
            predictor.warm_up(data.image(rows[0]))
            latencies_ms = []
            for row in tqdm(rows, desc=f"predict {model} {seed}", unit="image", disable=None):
                label_map, latency_ms = timed(predictor.label_map, data.image(row))
                latencies_ms.append(latency_ms)
                write_label_map(folder / seed / f"{row.name}.png", label_map, data.classes)
            if report:
                continue
            report = {
                "latency_ms": round(statistics.median(latencies_ms), 2),
                "peak_memory_mib": round(peak_memory_mib()),
                "multiply_adds": multiply_adds(lambda: predictor.label_map(data.image(rows[0]))),  # noqa: B023
                "num_images": len(rows),
                "device": predictor.device.type,
                "machine": describe_machine(),
            }
            if isinstance(network, Sliding):
                forms = compare_forms(network, predictor.input(data.image(rows[0])))
                report["forms"] = [asdict(form) for form in forms]
    write_json(costs, report)


if __name__ == "__main__":
    run(main)
