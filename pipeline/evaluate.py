"""Label maps, without and with the CRF -> pixel counts per image, and the metrics of the test split."""

from pathlib import Path

from pipeline.command import run
from segbench import params, tracking
from segbench.datasets.left_out import open_scored
from segbench.files import copy_files, read_json, write_json, write_nothing
from segbench.report.drawing.pictures import pictured, write_contact_sheet
from segbench.report.drawing.predictions import write_predictions
from segbench.scoring.counts import count_folders, predicted_label_map, write_counts
from segbench.scoring.metrics import SHORT_NAMES, average_scores

SHEETS = {"off": "label_maps.png", "on": "label_maps_crf.png"}
"""Data that `compare` reads, also in a clone without predictions; what people look at is PICTURES."""
PICTURES = "predictions.png"
COPIED = ("training.json", "curves.csv", "prediction.json", "crf.json", "crf_search.png", "crf_steps.png")
"""What the model's other stages wrote where DVC caches it."""


def main(*, dataset: str, model: str, prepared: Path, predicted: Path, refined: Path, records: Path, out: Path) -> None:
    """Score one model on the test split of one dataset, and complete the MLflow run of each training seed.

    What goes to `out` is all that `compare` needs, and small enough for git.
    """
    parameters = params.load()
    data = open_scored(prepared, parameters.dataset(dataset).leave_out, dataset=dataset)
    copy_files(COPIED, source=records, target=out)
    trainings = read_json(out / "training.json")["trainings"]
    if not trainings:  # all diverged
        names = ("counts.npz", *SHEETS.values(), PICTURES, "scores.json", "metrics.json")
        write_nothing(*(out / name for name in names))
        return
    seeds = [f"seed_{record['seed']}" for record in trainings]
    widths_px = parameters.evaluate.trimap_widths_px
    folders = {"off": predicted, "on": refined}
    counts = {
        crf: count_folders(data, [folder / seed for seed in seeds], widths_px=widths_px)
        for crf, folder in folders.items()
    }
    write_counts(out / "counts.npz", counts)
    rows = pictured(data)
    for crf, folder in folders.items():
        label_maps = [predicted_label_map(folder / seeds[0], row) for row in rows]
        write_contact_sheet(out / SHEETS[crf], label_maps, data.classes)
        if crf == "off":
            mean_ious = counts[crf].mean_ious(rows, of=data.split("test"))
            write_predictions(out / PICTURES, data, label_maps, mean_ious=mean_ious)

    reports = {crf: average_scores(split.scores()).as_report(data.classes.names) for crf, split in counts.items()}
    write_json(out / "scores.json", {f"crf_{crf}": report for crf, report in reports.items()})
    shown = (("", reports["off"]), ("_crf", reports["on"]))
    write_json(
        out / "metrics.json",
        {f"{short}{suffix}": report[name] for short, name in SHORT_NAMES.items() for suffix, report in shown},
    )

    from segbench.report.tracked import log_evaluation  # late, since matplotlib takes half a second to import

    for seed_index, record in enumerate(trainings):
        with tracking.evaluation_run(dataset=dataset, name=model, key=record["training_key"]) as tracked:
            log_evaluation(
                tracked, data, title=f"{model}, {dataset}", counts=counts, seed_index=seed_index,
                label_maps=predicted / seeds[seed_index], out=out,
                files=[out / "scores.json", out / "crf_search.png"],
            )  # fmt: skip


if __name__ == "__main__":
    run(main)
