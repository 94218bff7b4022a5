"""All models of a dataset -> how long each takes for an image, measured in turn in one process."""

import sys
from dataclasses import asdict
from pathlib import Path

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.files import write_json
from segbench.images import scaled_size
from segbench.machine import device_name
from segbench.models.build import build_model
from segbench.parallel import num_cores
from segbench.prediction.latency import ROUNDS, measure_latencies
from segbench.prediction.predictor import Predictor

TIMED_IMAGES = 10


def main(*, dataset: str, prepared: Path, out: Path) -> None:
    """Time the networks on a few test images. Their weights do not matter, so untrained ones serve.

    A network that cannot be built has no training either: it is named and left out, and the others are timed.
    """
    parameters = params.load()
    data = Prepared.open(prepared)
    seen = parameters.dataset(dataset).input
    predictors = {}
    for name in (*parameters.benchmark.models, *parameters.benchmark.variants):
        untrained = parameters.backbone_for(name).model_copy(update={"weights": "none"})
        try:
            network = build_model(
                parameters.model_for(dataset, name), backbone=untrained, num_classes=len(data.classes)
            )
        except Exception as error:  # of a network's own code
            print(f"warning: {name} is not timed: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        predictors[name] = Predictor.seeing(network, seen, data)
    images = [data.image(row) for row in data.sample("test", TIMED_IMAGES)]
    first = next(iter(predictors.values()))
    height_px, width_px = scaled_size(images[0], scale=seen.scale)
    found = measure_latencies({name: predictor.label_map for name, predictor in predictors.items()}, images)
    conditions = {
        "latency_device": device_name(first.device.type),
        "latency_cores": num_cores(),
        "latency_input_px": f"{width_px}x{height_px}",
    }
    models = {name: {**asdict(latency), **conditions} for name, latency in found.items()}
    write_json(out, {"rounds": ROUNDS, "num_images": len(images), "models": models})


if __name__ == "__main__":
    run(main)
