"""Label maps, without and with the CRF -> pixel counts per image, and the metrics of the test split."""

from pathlib import Path

from pipeline.command import run
from segbench import params, tracking
from segbench.datasets.left_out import open_scored
from segbench.files import read_json, write_json, write_nothing
from segbench.report.drawing.pictures import pictured, write_contact_sheet
from segbench.scoring.counts import count_folders, predicted_label_map, write_counts
from segbench.scoring.metrics import SHORT_NAMES, average_scores


def main(
    *, dataset: str, model: str, prepared: Path, predicted: Path, refined: Path, training: Path, costs: Path,
    choice: Path, search: Path, confusions: Path, sheet: Path, refined_sheet: Path, scores: Path, summary: Path,
) -> None:  # fmt: skip
    """Score one model on the test split of one dataset, and complete the MLflow run of each training seed.

    The counts and the contact sheets of label maps are all that `compare` needs, and small enough for git.
    """
    parameters = params.load()
    data = open_scored(prepared, parameters.dataset(dataset).leave_out, dataset=dataset)
    trainings = read_json(training)["trainings"]
    if not trainings:  # all diverged
        write_nothing(confusions, sheet, refined_sheet, scores, summary)
        return
    seeds = [f"seed_{record['seed']}" for record in trainings]
    widths_px = parameters.evaluate.trimap_widths_px
    counts = {
        crf: count_folders(data, [folder / seed for seed in seeds], widths_px=widths_px)
        for crf, folder in (("off", predicted), ("on", refined))
    }
    write_counts(confusions, counts)
    for path, folder in ((sheet, predicted), (refined_sheet, refined)):
        label_maps = [predicted_label_map(folder / seeds[0], row) for row in pictured(data)]
        write_contact_sheet(path, label_maps, data.classes)

    reports = {crf: average_scores(split.scores()).as_report(data.classes.names) for crf, split in counts.items()}
    write_json(scores, {f"crf_{crf}": report for crf, report in reports.items()})
    shown = (("", reports["off"]), ("_crf", reports["on"]))
    write_json(
        summary,
        {f"{short}{suffix}": report[name] for short, name in SHORT_NAMES.items() for suffix, report in shown},
    )

    from segbench.report.tracked import log_evaluation  # late, since matplotlib takes half a second to import

    for seed_index, record in enumerate(trainings):
        with tracking.evaluation_run(dataset=dataset, name=model, key=record["training_key"]) as tracked:
            log_evaluation(
                tracked, data, title=f"{model}, {dataset}", counts=counts, seed_index=seed_index,
                label_maps=predicted / seeds[seed_index], reports=[costs, choice], files=[scores, search],
            )  # fmt: skip


if __name__ == "__main__":
    run(main)
