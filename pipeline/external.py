"""Predictions of other programs -> indexed PNG files and counts, in the form that the models' predictions have."""

from pathlib import Path

from pipeline.command import run
from segbench import params
from segbench.datasets.left_out import open_scored
from segbench.files import replacing
from segbench.prediction.external import adopt
from segbench.scoring.counts import count_folders, write_counts


def main(*, dataset: str, prepared: Path, out: Path) -> None:
    """Adopt and count the label maps of every folder that the dataset's `predictions` names."""
    parameters = params.load()
    entry = parameters.dataset(dataset)
    data = open_scored(prepared, entry.leave_out, dataset=dataset)
    with replacing(out) as folder:
        folder.mkdir()
        for name, source in entry.predictions.items():
            adopt(source, data, folder / name)
            counts = count_folders(data, [folder / name], widths_px=parameters.evaluate.trimap_widths_px)
            write_counts(folder / f"{name}.npz", {"off": counts})


if __name__ == "__main__":
    run(main)
