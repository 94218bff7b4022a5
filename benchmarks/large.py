"""How long `compare` takes on a large benchmark, how much memory, and how large its files are. Run with `make bench`.

The stage itself, in a folder of its own, on made counts: 11 models with and without the CRF, on as many images and
classes as COCO's validation split has. What the other stages tell of the models is of the committed run on scenes.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.markdown import print_limits
from benchmarks.statistics import LIMIT_MIB, LIMIT_S, NUM_CLASSES, NUM_IMAGES, NUM_MODELS, random_counts
from segbench import params
from segbench.datasets.prepared import Prepared, Row, write_manifest
from segbench.files import read_json, write_json
from segbench.images import write_image, write_label_map
from segbench.labels import Classes, LabelMap
from segbench.machine import describe_machine
from segbench.report.drawing.pictures import pictured, write_contact_sheet
from segbench.report.table.results import LABEL_MAPS
from segbench.scoring.counts import SplitCounts, write_counts
from segbench.scoring.metrics import ClassPixels, Counts

PROJECT = Path(__file__).resolve().parents[1]
SCENES = PROJECT / "reports/scenes"
HEIGHT_PX, WIDTH_PX, REGION_PX = 480, 640, 80
WIDTHS_PX = (1, 2, 4, 8, 16)
LIMIT_FILE_MB = 5.0


def make_prepared(root: Path, true: NDArray[np.integer], *, fingerprint: str) -> Prepared:
    """A dataset of one training and many test images, of which only those that reports show are on disk."""
    rng = np.random.default_rng(1)
    entries = [(f"class {index}", color) for index, color in enumerate(rng.integers(0, 256, (NUM_CLASSES, 3)).tolist())]
    content = {"classes": [{"name": name, "color": color} for name, color in entries], "fingerprint": fingerprint}
    write_json(root / "dataset.json", content)
    classes = Classes.of(entries)
    write_manifest(root / "manifest.csv", _rows(true), classes)
    data = Prepared.open(root)
    for row in pictured(data):
        write_image(root / f"test/images/{row.name}.png", rng.integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8))
        write_label_map(root / f"test/label_maps/{row.name}.png", regions(rng), classes)
    return data


def _rows(true: NDArray[np.integer]) -> Iterator[Row]:
    """true: (num_images, num_classes) pixels."""
    for index, class_pixels in enumerate([true[0], *true]):
        name = f"{index:06}"
        yield Row(
            split="test" if index else "train", name=name, group="", block=name, height_px=HEIGHT_PX, width_px=WIDTH_PX,
            class_pixels=tuple(class_pixels.tolist()), ignored_pixels=0, image_digest=name, label_digest=name,
            perceptual_hash=index,
        )  # fmt: skip


def regions(rng: np.random.Generator) -> LabelMap:
    """A label map of square regions."""
    coarse = rng.integers(0, NUM_CLASSES, (HEIGHT_PX // REGION_PX, WIDTH_PX // REGION_PX), np.uint8)
    return np.kron(coarse, np.ones((REGION_PX, REGION_PX), np.uint8))


def whole(images: ClassPixels) -> SplitCounts:
    """Counts of the split with these pixels of each image: every wrong class in every true one's place."""
    total = images.total().seed(0)
    near = (np.arange(1, len(WIDTHS_PX) + 1) / 10)[:, np.newaxis]
    boundaries = ClassPixels(
        *(
            np.rint(near * pixels).astype(np.int64)[(np.newaxis,) * of_seeds]
            for pixels, of_seeds in ((total.true, 0), (total.predicted, 1), (total.correct, 1))
        )
    )
    return SplitCounts(images, _confusion(total)[np.newaxis], boundaries)


def _confusion(total: ClassPixels) -> Counts:
    missed, wrong = total.true - total.correct, total.predicted - total.correct
    off_diagonal = np.rint(np.outer(missed, wrong / max(1, wrong.sum()))).astype(np.int64)
    np.fill_diagonal(off_diagonal, total.correct)
    return off_diagonal


def make_project(root: Path) -> list[str]:
    """All that `compare` reads, in `root`. Returns the models' names."""
    tree = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    models = [name for name in tree["models"] if (SCENES / f"models/{name}/training.json").exists()][:NUM_MODELS]
    tree["benchmark"] = {"datasets": ["scenes"], "models": models, "variants": []}
    tree["datasets"]["scenes"].update(leave_out=[], predictions={})
    tree["evaluate"]["trimap_widths_px"] = list(WIDTHS_PX)
    (root / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    params.load(root / "params.yaml")
    counts = random_counts(np.random.default_rng(0))
    training = read_json(SCENES / f"models/{models[0]}/training.json")
    true = next(iter(counts.values())).true
    data = make_prepared(root / "prepared", true, fingerprint=training["settings"]["dataset_fingerprint"])
    rng = np.random.default_rng(2)
    by_model = zip(models, zip(*[iter(counts.values())] * 2, strict=True), strict=False)
    for name, of_model in by_model:
        folder = root / "reports/models" / name
        shutil.copytree(SCENES / "models" / name, folder, ignore=shutil.ignore_patterns("*.png", "*.npz"))
        write_counts(folder / "counts.npz", dict(zip(LABEL_MAPS, map(whole, of_model), strict=True)))
        for sheet in LABEL_MAPS.values():
            write_contact_sheet(folder / sheet, [regions(rng) for _ in pictured(data)], data.classes)
    (root / "external").mkdir()
    return models


def main() -> None:
    """Print seconds, MiB and MB beside their limits. Seconds are of CPU time, which other programs hardly change."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        models = make_project(root)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
        command = [
            sys.executable, "-m", "pipeline.compare", "--dataset", "scenes", "--prepared", "prepared",
            "--external", "external", "--results", "reports/models", "--latency", str(SCENES / "latency.json"),
            "--findings", str(SCENES / "claims.json"), "--out", "reports",
        ]  # fmt: skip
        subprocess.run(
            command, cwd=root, env={**environment, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'src'}"}, check=True
        )
        of_stage = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, peak_mib = of_stage.ru_utime + of_stage.ru_stime, of_stage.ru_maxrss / 1024
        reports = root / "reports"
        num_differences = len((reports / "differences.csv").read_text(encoding="utf-8").splitlines()) - 1
        sizes_mb = {
            "counts of a model's two entries": max(path.stat().st_size for path in reports.rglob("counts.npz")) / 1e6,
            **{path.name: path.stat().st_size / 1e6 for path in sorted(reports.glob("*.*"))},
        }
    print("# A large benchmark\n")
    print(
        f"{describe_machine()}. The stage `compare`: {2 * len(models)} entries, {NUM_IMAGES} images, {NUM_CLASSES} "
        f"classes, {num_differences} differences.\n"
    )
    rows = [("seconds of CPU time", seconds, LIMIT_S), ("MiB of the process at most", peak_mib, LIMIT_MIB)]
    rows += [(f"MB of {name}", size_mb, LIMIT_FILE_MB) for name, size_mb in sizes_mb.items()]
    print_limits(rows)


if __name__ == "__main__":
    main()
