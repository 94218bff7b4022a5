"""Metrics of all models -> the benchmark table and the qualitative figure. Nothing is computed anew."""

from pathlib import Path
from typing import Any

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.files import read_json, read_label_map, replacing
from segbench.report.figures import write_grid
from segbench.report.table import BenchmarkRow, markdown, write_csv

SCORES = {"aAcc": "pixel_accuracy", "mAcc": "mean_accuracy", "mIoU": "mean_iou", "mDice": "mean_dice"}


def main(*, dataset: str, prepared: Path, predictions: Path, results: Path, csv: Path, markdown_page: Path, figure: Path) -> None:  # noqa: E501  # fmt: skip
    """Compare the models of one dataset."""
    parameters = params.load()
    data = Prepared.open(prepared)
    models = parameters.benchmark.models
    found = {model: {path.stem: read_json(path) for path in (results / model).glob("*.json")} for model in models}
    rows = [_row(model, crf, found[model]) for model in models for crf in ("off", "on")]
    write_csv(csv, rows)
    page = markdown(
        rows,
        title=f"Benchmark on {dataset}",
        protocol=_protocol(dataset, data, [found[model]["training"] for model in models]),
        notes=[_crf_note(model, found[model]["crf"]) for model in models],
    )
    with replacing(markdown_page) as temporary:
        temporary.write_text(page)

    write_grid(
        figure,
        [
            [data.image(row), data.classes.colorize(data.label_map(row))]
            + [data.classes.colorize(read_label_map(predictions / model / f"{row.name}.png")) for model in models]
            for row in data.sample("test", parameters.compare.figure_images)
        ],
        headers=["image", "truth", *models],
        classes=data.classes,
        cell_width_px=240,
    )


def _row(model: str, crf: str, found: dict[str, Any]) -> BenchmarkRow:
    scores, training = found["metrics"][f"crf_{crf}"], found["training"]
    ends_with_crf = training["settings"]["model"]["architecture"] in params.ENDS_WITH_CRF
    crf_latency_ms = found["crf"]["latency_ms"] if crf == "on" else 0
    return BenchmarkRow(
        model=model,
        crf=crf,
        as_in_paper=ends_with_crf == (crf == "on"),
        **{short: scores[name] for short, name in SCORES.items()},
        num_classes_averaged=scores["num_classes_averaged"],
        parameters=training["parameters"],
        latency_ms=found["prediction"]["latency_ms"] + crf_latency_ms,
        training_seconds=training["training_seconds"],
        deviations=", ".join(f"{name} {value}" for name, value in training["deviations"].items()),
    )


def _crf_note(model: str, crf: dict[str, Any]) -> str:
    """What the search on validation images found: the CRF's parameters and gain, or that none helps."""
    objective, num_images = crf["objective"], crf["num_images"]
    gain = 100 * (max(candidate["score"] for candidate in crf["candidates"]) - crf["score_without"])
    searched = f"{gain:+.2f} points of {objective} on {num_images} validation images"
    if crf["chosen"] is None:
        return f"- {model}: CRF left out, since its best candidate gave {searched}"
    chosen = ", ".join(f"{name} {value:.3g}" for name, value in crf["chosen"].items())
    return f"- {model}: CRF gave {searched}, with {chosen}"


def _protocol(dataset: str, data: Prepared, trainings: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """What all rows have in common, as the stages wrote it."""
    settings = next((t for t in trainings if not t["deviations"]), trainings[0])["settings"]
    samples, schedule, backbone = settings["samples"], settings["train"], settings["backbone"]
    sizes = ", ".join(sorted({f"{row.width_px}x{row.height_px}" for row in data.split("test")}))
    crop_height, crop_width = samples["crop_px"]
    optimizer = f"{schedule['optimizer']}, lr {schedule['lr']:g} (backbone {schedule['backbone_lr_factor']:g} of it)"
    versions = {", ".join(f"{name} {number}" for name, number in t["versions"].items()) for t in trainings}
    return [
        ("dataset", f"{dataset}, fingerprint {data.fingerprint}"),
        ("images", ", ".join(f"{split} {len(data.split(split))}" for split in SPLITS)),
        ("scores", f"test split at {sizes}, one confusion matrix, whole images, no test-time augmentation"),
        ("network input", f"images at {samples['scale']:g} of their size, training crops {crop_width}x{crop_height}"),
        ("backbone", f"{backbone['name']}, weights {backbone['weights']}"),
        ("schedule", f"{schedule['epochs']} epochs, batch {schedule['batch_size']}, {optimizer}"),
        ("class weights", schedule["class_weights"]),
        ("checkpoint", schedule["checkpoint"]),
        ("precision", f"training {schedule['precision']}, prediction float32"),
        ("seed", schedule["seed"]),
        ("machine", "; ".join(sorted({training["machine"] for training in trainings}))),
        ("versions", "; ".join(sorted(versions))),
    ]


if __name__ == "__main__":
    run(main)
