"""Weights -> CRF parameters chosen on validation images, and the test images' label maps refined with them."""

import statistics
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from pipeline.command import run
from segbench import params, zoo
from segbench.crf import refine, tune
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json, write_label_map
from segbench.inference import Predictor, timed


def main(*, dataset: str, model: str, prepared: Path, weights: Path, out: Path, choice: Path) -> None:
    """Tune on validation, refine test; one image in memory at a time."""
    parameters = params.load()
    data = Prepared.open(prepared)
    network = zoo.restore(
        parameters.model(model), backbone=parameters.backbone_for(model), num_classes=len(data.classes), path=weights
    )
    predictor = Predictor(network, scale=parameters.dataset(dataset).input.scale)
    tuning = tune(predictor, data, parameters.crf)
    latencies_ms = [0.0]
    with replacing(out) as folder:
        for row in tqdm(data.split("test"), desc=f"crf {model}", unit="image", disable=None):
            image = data.image(row)
            probabilities = predictor.probabilities(image)
            if tuning.chosen is not None:
                probabilities, latency_ms = timed(refine, image, probabilities, tuning.chosen)
                latencies_ms.append(latency_ms)
            label_map = probabilities.argmax(axis=0).astype("uint8")
            write_label_map(folder / f"{row.name}.png", label_map, data.classes)
    latency_ms = statistics.median(latencies_ms[1:] or latencies_ms)
    write_json(choice, {**asdict(tuning), "latency_ms": round(latency_ms, 2)})


if __name__ == "__main__":
    run(main)
