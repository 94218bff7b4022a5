"""What tiles and several views do to predictions. Run with `make bench`.

With the packages of `scenes` that `dvc repro` leaves:

- an image of 1024x1024 px, put together from test and validation images, by tiles and whole: the share of the pixels
  with the same class, and the processor time;
- a part of it refined by the CRF, by tiles and whole, for the networks that have a CRF;
- validation images seen once, also mirrored, and mirrored at three scales: mean IoU, and the processor time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.markdown import print_table
from segbench import params
from segbench.crf.inference import refined_label_map
from segbench.crf.tiles import refined_by_tiles
from segbench.datasets.catalog import open_source
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.images import RGBImage
from segbench.machine import describe_machine
from segbench.packages.model import PackagedModel
from segbench.prediction.predictor import Predictor
from segbench.scoring.metrics import compute_scores, confusion_matrix

SIDE_PX, CRF_SIDE_PX = 1024, 768
TILES_PX = (256, 512, 768)
"""The networks'. The last must give nearly the whole image's label map."""
CRF_TILES_PX = (256, 512, 640)
MIN_AGREEMENT = 0.995
VIEWS: dict[str, tuple[bool, tuple[float, ...]]] = {
    "as it is": (False, (1.0,)),
    "also mirrored": (True, (1.0,)),
    "both at 3 scales": (True, (0.75, 1.0, 1.25)),
}


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """The function's result, and its processor time in s."""
    start = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start


def mosaic(data: Prepared) -> RGBImage:
    """(SIDE_PX, SIDE_PX, 3) uint8 RGB: test and validation images side by side."""
    images = [data.image(row) for split in ("test", "val") for row in data.split(split)]
    height, width = images[0].shape[:2]
    in_row, in_column = -(-SIDE_PX // width), -(-SIDE_PX // height)
    rows = [
        np.concatenate([images[(row * in_row + column) % len(images)] for column in range(in_row)], axis=1)
        for row in range(in_column)
    ]
    return np.ascontiguousarray(np.concatenate(rows)[:SIDE_PX, :SIDE_PX])


def network(folder: Path, *, tile_px: int | None = None, view: str = "as it is") -> Predictor:
    """A package's, seeing images so."""
    flip, scales = VIEWS[view]
    predictor = PackagedModel.open(folder, tile_px=tile_px, flip=flip, scales=scales).predictor
    assert isinstance(predictor, Predictor)
    return predictor


def compare_tiles(folder: Path, image: RGBImage) -> list[str]:
    """By TILES_PX: % of the pixels with the whole image's class, and times its processor time."""
    whole, whole_s = timed(network(folder).label_map, image)
    cells, agreement = [], 1.0
    for tile_px in TILES_PX:
        tiled, tiled_s = timed(network(folder, tile_px=tile_px).label_map, image)
        agreement = np.mean(tiled == whole)
        cells += [f"{100 * agreement:.2f}", f"{tiled_s / whole_s:.2f}"]
    return [*cells, "" if agreement > MIN_AGREEMENT else "DIFFERS"]


def compare_crf_tiles(folder: Path, image: RGBImage) -> list[str] | None:
    """By CRF_TILES_PX, as `compare_tiles`; None without a CRF."""
    model = PackagedModel.open(folder)
    parameters = model.card.crf_parameters
    if parameters is None:
        return None
    probabilities = model.probabilities(image)
    whole, whole_s = timed(refined_label_map, image, probabilities, parameters)
    cells = [f"{parameters.appearance_sigma_xy * np.hypot(*image.shape[:2]):.0f}"]
    for tile_px in CRF_TILES_PX:
        by_tiles = partial(refined_by_tiles, tile_px=tile_px, workers=1)
        tiled, tiled_s = timed(by_tiles, image, iter([(0, probabilities)]), parameters)
        cells += [f"{100 * np.mean(tiled == whole):.2f}", f"{tiled_s / whole_s:.2f}"]
    return cells


def compare_views(folder: Path, data: Prepared) -> list[str]:
    """By VIEWS: mean IoU on the validation images in %, and times the processor time of the first."""
    cells, first_s = [], None
    for view in VIEWS:
        predictor = network(folder, view=view)
        label_maps, seconds = timed(list, map(predictor.label_map, map(data.image, data.split("val"))))
        first_s = first_s or seconds
        counts = [
            confusion_matrix(truth=data.label_map(row), predicted=label_map, num_classes=len(data.classes))
            for row, label_map in zip(data.split("val"), label_maps, strict=True)
        ]
        score = compute_scores(np.sum(counts, axis=0)).mean_iou
        cells += [f"{100 * score:.2f}", f"{seconds / first_s:.1f}"]
    return cells


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    root = Path(__file__).parent.parent
    parser.add_argument("--packages", type=Path, default=root / "data/packages/scenes", help="of dvc repro")
    arguments = parser.parse_args()
    parameters = params.load(root / "params.yaml")
    folders = [arguments.packages / model for model in parameters.benchmark.models]
    with tempfile.TemporaryDirectory() as temporary:
        data = prepare(open_source(parameters.dataset("scenes").source), Path(temporary) / "prepared")
        image = mosaic(data)
        print(f"# Tiles and views\n\n{describe_machine()}. `x` is times the processor time.")
        print(f"\n## {SIDE_PX}x{SIDE_PX} px by tiles: % of the pixels with the whole image's class\n")
        columns = [cell for tile_px in TILES_PX for cell in (f"{tile_px} px", "x")]
        print_table(["network", *columns, ""], [[each.name, *compare_tiles(each, image)] for each in folders])
        print(f"\n## {CRF_SIDE_PX}x{CRF_SIDE_PX} px refined by the CRF by tiles: the same\n")
        columns = [cell for tile_px in CRF_TILES_PX for cell in (f"{tile_px} px", "x")]
        part = np.ascontiguousarray(image[:CRF_SIDE_PX, :CRF_SIDE_PX])
        refined = [(each.name, compare_crf_tiles(each, part)) for each in folders]
        rows = [[name, *cells] for name, cells in refined if cells]
        print_table(["network", "appearance kernel's width in px", *columns], rows)
        print("\n## Validation images in several views: mean IoU in %\n")
        columns = [cell for view in VIEWS for cell in (view, "x")]
        print_table(["network", *columns], [[each.name, *compare_views(each, data)] for each in folders])
    print(
        f"\nLimit: by tiles of {TILES_PX[-1]} px more than {100 * MIN_AGREEMENT} % of the pixels have the same class."
    )


if __name__ == "__main__":
    main()
