"""`segbench predict` for 10,000x10,000 px and 20 classes: memory and time. Run with `make bench`.

It needs the packages that `make reproduce` leaves. The network is an untrained FCN-8s, and the CRF that of a package of
`scenes`, so that each tile is refined.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.markdown import print_table
from benchmarks.views import mosaic
from segbench import params
from segbench.datasets.catalog import open_source
from segbench.datasets.preparation import prepare
from segbench.images import read_label_map
from segbench.machine import describe_machine
from segbench.models.build import build_model
from segbench.packages.card import Card
from segbench.packages.model import package_folder, write_package

SIDE_PX, NUM_CLASSES, MODEL = 10_000, 20, "fcn_8s"
MAX_MIB = 3 * 1024
RUNS = {"the network alone, label map": ("--no-crf", "--no-overlays"), "with the CRF and an overlay": ()}


def write_large_package(folder: Path, card: Card, parameters: params.Params) -> None:
    """A package of the untrained network. card: of the package whose CRF it takes."""
    names = tuple(f"class {index}" for index in range(NUM_CLASSES))
    colors = tuple((40 * (index % 6), 60 * (index // 6), 12 * index) for index in range(NUM_CLASSES))
    backbone = parameters.backbone.model_copy(update={"weights": "none"})
    section = parameters.models[MODEL]
    folder.mkdir()
    untrained = build_model(section, backbone=backbone, num_classes=NUM_CLASSES)
    known = {"class_names": names, "class_colors": colors, "architecture": section, "backbone": backbone.name}
    write_package(folder, untrained, card.model_copy(update=known))


def predict(package: Path, image: Path, *, out: Path, options: Sequence[str]) -> tuple[float, float]:
    """Peak MiB and seconds of `segbench predict`."""
    command = ["-c", "from segbench.cli import main; main()", "predict", package, image, "--out", out, "--overwrite"]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *map(str, command), *options], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    assert read_label_map(out / "label_maps" / f"{image.stem}.png").shape == (SIDE_PX, SIDE_PX)
    return usage.ru_maxrss / (2**10 if sys.platform == "linux" else 2**20), time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    root = Path(__file__).parent.parent
    parser.add_argument("--packages", type=Path, default=root / "data/packages/scenes", help="of dvc repro")
    arguments = parser.parse_args()
    parameters = params.load(root / "params.yaml")
    Image.MAX_IMAGE_PIXELS = None
    cards = [Card.read(package_folder(arguments.packages / model)) for model in parameters.benchmark.models]
    with tempfile.TemporaryDirectory() as temporary:
        image, package, out = (Path(temporary) / name for name in ("large.png", "package", "out"))
        part = mosaic(prepare(open_source(parameters.dataset("scenes").source), Path(temporary) / "prepared"))
        times = -(-SIDE_PX // part.shape[0])
        Image.fromarray(np.tile(part, (times, times, 1))[:SIDE_PX, :SIDE_PX]).save(image, compress_level=1)
        write_large_package(package, next(card for card in cards if card.crf), parameters)
        print(
            f"# A very large image\n\n{describe_machine()}. `segbench predict` for {SIDE_PX:,}x{SIDE_PX:,} px and",
            end=" ",
        )
        print(f"{NUM_CLASSES} classes, {MODEL}.\n")
        rows = []
        for name, options in RUNS.items():
            peak_mib, seconds = predict(package, image, out=out, options=options)
            rows.append([name, f"{peak_mib:.0f}", f"{seconds / 60:.1f}", "" if peak_mib < MAX_MIB else "TOO MUCH"])
        print_table(["", "peak MiB", "minutes", ""], rows)
    print(f"\nLimit: {MAX_MIB} MiB.")


if __name__ == "__main__":
    main()
