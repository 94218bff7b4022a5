"""A model's weights -> one indexed PNG per test image, and the memory and multiply-adds of a prediction."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.files import replacing, write_json, write_nothing
from segbench.images import RGBImage, write_label_map
from segbench.machine import added_memory_mib, describe_machine, device_name, held_memory_mib
from segbench.models.network import Sliding
from segbench.models.weights import all_diverged, restore_seeds
from segbench.parallel import num_cores
from segbench.prediction.costs import compare_forms, cut_middle, middle, multiply_adds
from segbench.prediction.predictor import Predictor


def main(*, dataset: str, model: str, prepared: Path, weights: Path, out: Path, costs: Path) -> None:
    """Predict the test split of one dataset with one model, as trained from each seed; costs are of the first seed."""
    parameters = params.load()
    if all_diverged(weights):
        write_nothing(out, costs)
        return
    data = Prepared.open(prepared)
    rows = data.split("test")
    backbone, seen = parameters.backbone_for(model), parameters.dataset(dataset).input
    section = parameters.model_for(dataset, model)
    networks = restore_seeds(section, backbone=backbone, num_classes=len(data.classes), folder=weights)
    held_mib = held_memory_mib()
    report: dict[str, Any] = {}
    with replacing(out) as folder:
        for seed, network in networks:
            predictor = Predictor.seeing(network, seen, data)
            for row in tqdm(rows, desc=f"predict {model} {seed}", unit="image", disable=None):
                label_map = predictor.label_map(data.image(row))
                write_label_map(folder / seed / f"{row.name}.png", label_map, data.classes)
            report = report or {**_costs(predictor, data.image(rows[0]), held_mib=held_mib), **_how(predictor, seen)}
    write_json(costs, report)


def _how(predictor: Predictor, seen: params.ModelInput) -> dict[str, Any]:
    """How predictions differ from those of whole images, each seen once."""
    tiles = {"tile_px": predictor.tile_px} if predictor.tile_px else {}
    return tiles | ({"test_time": seen.test_time.model_dump()} if seen.test_time.are_several else {})


def _costs(predictor: Predictor, image: RGBImage, *, held_mib: float) -> dict[str, Any]:
    report: dict[str, Any] = {
        "peak_memory_mib": round(added_memory_mib(held_mib=held_mib)),
        "multiply_adds": multiply_adds(lambda: predictor.label_map(image)),
        "machine": describe_machine(),
    }
    if isinstance(predictor.model, Sliding):
        part = cut_middle(image, scale=predictor.scale) if predictor.tile_px else image
        pixels = middle(predictor.input(part))
        report["forms"] = [asdict(form) for form in compare_forms(predictor.model, pixels)]
        report["device"], report["cores"] = device_name(predictor.device.type), num_cores()
        report["input_px"] = f"{pixels.shape[-1]}x{pixels.shape[-2]}"
    return report


if __name__ == "__main__":
    run(main)
