"""The dense CRF against pydensecrf2: images per second on all cores, and where the time goes. Run with `make bench`.

Both refine the same photographs with the same parameters, in turns: pydensecrf2 in one process per core, since it holds
the GIL, ours in one thread per core. `--images FOLDER` takes a folder's images, and SEGBENCH_CAMVID in the environment
CamVid's test images, in place of crops of scikit-learn's two photographs.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_sample_images
from threadpoolctl import threadpool_limits

from segbench.crf import inference as refinement
from segbench.crf import on_cpu
from segbench.crf.energy import CRFParameters, Floats, appearance_features, negative_unary, positions
from segbench.crf.inference import refine
from segbench.crf.lattice import BLURS, normalized
from segbench.images import RGBImage, read_image
from segbench.labels import LabelMap
from segbench.machine import describe_machine
from segbench.parallel import num_cores

PARAMETERS = CRFParameters(4, 0.07, 6, 3, 0.005, steps=10)
REPEATS = 5
MIN_RATIO = 1.0


@dataclass(frozen=True)
class Task:
    """An image, and what a network says of it."""

    image: RGBImage
    probabilities: Floats


tasks: list[Task] = []
"""Each process's copy, so that nothing but a number goes to it."""


def receive(sent: list[Task]) -> None:
    """Start of a process."""
    tasks[:] = sent


def with_pydensecrf(index: int) -> LabelMap:
    """pydensecrf2's label map of a task."""
    from pydensecrf import densecrf

    image, probabilities = tasks[index].image, tasks[index].probabilities
    num_classes, height, width = probabilities.shape
    diagonal_px = np.hypot(height, width)
    field = densecrf.DenseCRF2D(width, height, num_classes)
    field.setUnaryEnergy(-negative_unary(probabilities))
    field.addPairwiseGaussian(sxy=PARAMETERS.smoothness_sigma_xy * diagonal_px, compat=PARAMETERS.smoothness_weight)
    field.addPairwiseBilateral(
        sxy=PARAMETERS.appearance_sigma_xy * diagonal_px, srgb=PARAMETERS.appearance_sigma_rgb, rgbim=image,
        compat=PARAMETERS.appearance_weight,
    )  # fmt: skip
    return np.argmax(field.inference(PARAMETERS.steps), axis=0).astype(np.uint8).reshape(height, width)


def with_ours(index: int) -> LabelMap:
    """This project's label map of the same task."""
    return refine(tasks[index].image, tasks[index].probabilities, PARAMETERS).argmax(axis=0).astype(np.uint8)


def photographs(folder: Path | None, *, width: int, height: int, count: int) -> list[RGBImage]:
    """`count` images of one size: a folder's, or overlapping crops of two photographs."""
    if folder is not None:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
        chosen = [paths[index] for index in np.linspace(0, len(paths) - 1, count).astype(int)]
        scaled = (cv2.resize(read_image(path), (width, height), interpolation=cv2.INTER_AREA) for path in chosen)
        return [np.asarray(image, np.uint8) for image in scaled]
    crops = []
    for index in range(count):
        photograph = load_sample_images().images[index % 2]
        zoom = max(width / photograph.shape[1], height / photograph.shape[0]) * (1 + 0.02 * index)
        enlarged = cv2.resize(photograph, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        top, left = enlarged.shape[0] - height, enlarged.shape[1] - width
        crops.append(np.ascontiguousarray(enlarged[top : top + height, left : left + width]))
    return crops


def guessed(image: RGBImage, num_classes: int, rng: np.random.Generator) -> Floats:
    """(C, H, W) probabilities of a coarse, unsure network."""
    height, width = image.shape[:2]
    coarse = rng.normal(0, 2, (height // 24, width // 24, num_classes)).astype(np.float32)
    logits = np.stack([cv2.resize(coarse[..., c], (width, height)) for c in range(num_classes)])
    exponentials = np.exp(logits - logits.max(axis=0))
    return np.asarray(exponentials / exponentials.sum(axis=0), np.float32)


def compare(name: str, cores: int) -> None:
    """Print both engines' images per second over the tasks, and how many labels are the same."""
    with (
        ProcessPoolExecutor(cores, get_context("spawn"), initializer=receive, initargs=(tasks,)) as processes,
        ThreadPoolExecutor(cores) as threads,
    ):
        engines: dict[str, Callable[[], list[LabelMap]]] = {
            "pydensecrf2": lambda: list(processes.map(with_pydensecrf, range(len(tasks)))),
            "segbench": lambda: list(threads.map(with_ours, range(len(tasks)))),
        }
        refined = [run() for run in engines.values()]  # starts processes, compiles
        seconds: dict[str, list[float]] = {engine: [] for engine in engines}
        for _ in range(REPEATS):
            for engine, run in engines.items():
                start = time.perf_counter()
                run()
                seconds[engine].append(time.perf_counter() - start)
    ratio = statistics.median(p / o for p, o in zip(*seconds.values(), strict=True))
    same = np.mean([first == second for first, second in zip(*refined, strict=True)])
    peer, ours = (f"{len(tasks) / statistics.median(times):.2f}" for times in seconds.values())
    judged = f"{ratio:.2f}{'' if ratio >= MIN_RATIO else ' TOO SLOW'}"
    print(f"| {name:<20} | {peer:>11} | {ours:>8} | {judged:>5} | {100 * same:>13.4f} |")


def milliseconds(run: Callable[[], object]) -> float:
    """The median of a few runs."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def break_down(task: Task) -> None:
    """Print where one core's time goes for one image, and the bytes that a step must move at the least."""
    num_classes, height, width = task.probabilities.shape
    n, steps = height * width, PARAMETERS.steps
    vector, lanes = on_cpu.row_layout(num_classes)
    xy = positions(height, width, sigma_xy=PARAMETERS.smoothness_sigma_xy)
    appearance, smoothness = normalized(appearance_features(task.image, PARAMETERS), weight=1), normalized(xy, weight=1)
    unary = on_cpu._in_rows(negative_unary(task.probabilities), lanes)
    messages, sums = (
        [np.zeros((lattice.num_rows, lanes), np.float32) for lattice in (appearance, smoothness)] for _ in range(2)
    )
    not_wanted = np.empty((0, n), np.float32)

    def a_pass(*, slices: bool, splats: bool) -> float:
        corners = *appearance[:2], *smoothness[:2]
        return milliseconds(lambda: on_cpu.STEPS[vector](unary, *corners, *messages, *sums, not_wanted, slices, splats))

    softmax = a_pass(slices=False, splats=False)
    parts = {
        "check, log, layout": milliseconds(lambda: refinement._check(task.image, task.probabilities))
        + milliseconds(lambda: on_cpu._in_rows(negative_unary(task.probabilities), lanes)),
        "appearance lattice": milliseconds(lambda: normalized(appearance_features(task.image, PARAMETERS), weight=1)),
        f"slice, {steps} times": steps * (a_pass(slices=True, splats=False) - softmax),
        f"splat, {steps} times": steps * (a_pass(slices=False, splats=True) - softmax),
        f"softmax, {steps + 1} times": (steps + 1) * softmax,
        f"blur, {steps} times": steps
        * (
            milliseconds(lambda: BLURS[vector](sums[0], appearance.chains))
            + milliseconds(lambda: BLURS[vector](sums[1], smoothness.chains))
        ),
    }
    whole_ms = milliseconds(lambda: with_ours(0))
    parts["the rest"] = whole_ms - sum(parts.values())
    print(f"\n{width}x{height}, {num_classes} classes in {lanes} lanes, {steps} steps, one core: {whole_ms:.0f} ms.\n")
    print(f"| {'part':<20} |    ms |   % |\n|{'-' * 22}|------:|----:|")
    for name, part_ms in parts.items():
        print(f"| {name:<20} | {part_ms:>5.1f} | {100 * part_ms / whole_ms:>3.0f} |")
    spatial_ms = milliseconds(lambda: normalized(xy, weight=1))
    print(f"\nThe smoothness lattice is built once per image size, in {spatial_ms:.1f} ms.\n")

    num_corners = appearance.corners.shape[1] + smoothness.corners.shape[1]
    streamed_mb = (unary.nbytes + 8 * n * num_corners) / 1e6
    rows_mb = 4 * lanes * n * num_corners / 1e6
    tables_mb = 2 * sum(values.nbytes for values in messages) / 1e6
    large = np.zeros(2**26, np.float32)
    gb_a_second = large.nbytes / milliseconds(lambda: large.sum()) / 1e6
    print(
        f"A pass over the pixels streams {streamed_mb:.1f} MB (unaries, corners, weights), which memory gives in "
        f"{streamed_mb / gb_a_second:.1f} ms at {gb_a_second:.0f} GB/s.\n"
        f"It reads {rows_mb:.0f} MB of rows to slice, and reads and writes {2 * rows_mb:.0f} MB to splat, nearly all "
        f"in cache: the rows of {appearance.num_rows - 1:,} and {smoothness.num_rows - 1:,} lattice points are "
        f"{tables_mb:.1f} MB, and neighbouring pixels use the same."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    camvid = os.environ.get("SEGBENCH_CAMVID")
    default = Path(camvid) / "test" if camvid else None
    parser.add_argument("--images", type=Path, help="a folder of images", default=default)
    folder: Path | None = parser.parse_args().images
    rng = np.random.default_rng(0)
    cores = num_cores()
    print(describe_machine())
    # After num_cores, which would take it for the user's limit: one thread in each process of theirs, and in this one.
    os.environ["OMP_NUM_THREADS"] = "1"
    threadpool_limits(1)
    photographed = "CamVid's test images" if camvid and folder == default else folder or "scikit-learn's photographs"
    print(f"\n{photographed}: images per second on {cores} cores, medians of {REPEATS} rounds in turns.\n")
    print(f"| {'images':<20} | pydensecrf2 | segbench | ratio | same labels % |")
    print(f"|{'-' * 22}|------------:|---------:|------:|--------------:|")
    for count, width, height, num_classes in ((4, 1024, 512, 19), (20, 480, 360, 11)):
        images = photographs(folder, width=width, height=height, count=count)
        tasks[:] = [Task(image, guessed(image, num_classes, rng)) for image in images]
        compare(f"{count} of {width}x{height}x{num_classes}", cores)
    break_down(tasks[0])


if __name__ == "__main__":
    main()
