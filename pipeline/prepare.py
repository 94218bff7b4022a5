"""Raw images -> audited, uniform PNG files, a manifest, and a contact sheet."""

from pathlib import Path

from pipeline.command import run
from segbench import params
from segbench.datasets.catalog import open_source
from segbench.datasets.prepared import prepare
from segbench.report.figures import write_grid

SHEET_IMAGES = 12
SHEET_COLUMNS = 3


def main(*, dataset: str, out: Path, contact_sheet: Path) -> None:
    """Prepare one dataset."""
    prepared = prepare(open_source(params.load().dataset(dataset).source), out)
    cells = [
        picture
        for row in prepared.sample("train", SHEET_IMAGES)
        for picture in (prepared.image(row), prepared.classes.colorize(prepared.label_map(row)))
    ]
    per_row = 2 * SHEET_COLUMNS
    write_grid(
        contact_sheet,
        [cells[start : start + per_row] for start in range(0, len(cells), per_row)],
        headers=["image", "truth"],
        classes=prepared.classes,
        cell_width_px=256,
    )


if __name__ == "__main__":
    run(main)
