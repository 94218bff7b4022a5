"""How fast images are prepared, and whether memory grows with their number. Run with `make bench`.

A folder dataset of 128x128 px JPEG images and PNG masks, made here; each preparation is a process of its own.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.markdown import print_table
from segbench import params
from segbench.datasets import folder
from segbench.datasets.preparation import prepare
from segbench.machine import describe_machine
from segbench.parallel import num_cores

NUM_IMAGES = (1_000, 20_000)
SIDE_PX, NUM_CLASSES = 128, 10
LIMIT_IMAGES_S, LIMIT_MIB_A_THOUSAND = 100.0, 5.0


def write_images(root: Path, num_images: int) -> None:
    """Blurred noise, and masks of a few rectangles."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    (root / "classes.csv").write_text(
        "name,value\n" + "".join(f"class {i},{i}\n" for i in range(NUM_CLASSES)), encoding="utf-8"
    )
    for index in range(num_images):
        image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE_PX, SIDE_PX))
        mask = Image.fromarray(rng.integers(0, NUM_CLASSES, (6, 6), np.uint8))
        image.save(root / "images" / f"{index:06d}.jpg")
        mask.resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST).save(root / "masks" / f"{index:06d}.png")


def measure(root: Path) -> None:
    """Prepare a folder in this process, and print seconds and peak MiB."""
    split = params.RatioSplit(by="ratio", val=0.1, test=0.1, seed=0)
    start = time.perf_counter()
    prepare(folder.open_source(root, groups=None, bits=8, split=split), root.with_name(f"{root.name}_prepared"))
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print images/s and memory beside their limits."""
    rates, peaks_mib = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for num_images in NUM_IMAGES:
            root = Path(temporary) / str(num_images)
            write_images(root, num_images)
            command = [sys.executable, "-m", "benchmarks.prepare", str(root)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            seconds, peak_mib = map(float, output.split())
            rates.append(num_images / seconds)
            peaks_mib.append(peak_mib)
    print("# Preparing many images\n")
    print(f"{describe_machine()}. {SIDE_PX}x{SIDE_PX} px, {num_cores()} cores used.\n")
    rows = [
        [str(num_images), f"{rate:.0f}", f"{peak_mib:.0f}", "" if rate >= LIMIT_IMAGES_S else "TOO SLOW"]
        for num_images, rate, peak_mib in zip(NUM_IMAGES, rates, peaks_mib, strict=True)
    ]
    print_table(["images", "images per second", "MiB", ""], rows)
    growth = 1_000 * (peaks_mib[1] - peaks_mib[0]) / (NUM_IMAGES[1] - NUM_IMAGES[0])
    print(f"\n{growth:.2f} MiB more per thousand images{'' if growth <= LIMIT_MIB_A_THOUSAND else ': TOO MUCH'}.")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        main()
