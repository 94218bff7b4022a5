"""A variant's label maps -> its counts. Its other stage trains and predicts it as any model."""

from pathlib import Path

from pipeline.command import run
from segbench import params, tracking
from segbench.datasets.prepared import Prepared
from segbench.files import copy_files, read_json, write_nothing
from segbench.scoring.counts import count_folders, write_counts

COPIED = ("training.json", "curves.csv", "prediction.json", "validation.json")
"""What the variant's other stage wrote where DVC caches it."""


def main(*, dataset: str, model: str, prepared: Path, predicted: Path, records: Path, out: Path) -> None:
    """Count the label maps of one variant on the test split, and complete the MLflow run of each training seed.

    Of all test images: those that scores leave out are left out by the stage `claims`, so that nothing is trained anew.
    """
    data = Prepared.open(prepared)
    copy_files(COPIED, source=records, target=out)
    trainings = read_json(out / "training.json")["trainings"]
    if not trainings:  # all diverged
        write_nothing(out / "counts.npz")
        return
    folders = [predicted / f"seed_{record['seed']}" for record in trainings]
    counts = {"off": count_folders(data, folders, widths_px=params.load().evaluate.trimap_widths_px)}
    write_counts(out / "counts.npz", counts)

    from segbench.report.tracked import log_evaluation  # late, since matplotlib takes half a second to import

    for seed_index, record in enumerate(trainings):
        with tracking.evaluation_run(dataset=dataset, name=model, key=record["training_key"]) as tracked:
            log_evaluation(
                tracked, data, title=f"{model}, {dataset}", counts=counts, seed_index=seed_index,
                label_maps=folders[seed_index], out=out, files=[],
            )  # fmt: skip


if __name__ == "__main__":
    run(main)
