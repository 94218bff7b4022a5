"""Pictures of the dense CRF: the search for its parameters, and the effect of its steps on one image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refine_after
from segbench.crf.search import Search
from segbench.crf.tuning import TuningImage
from segbench.files import replacing
from segbench.images import RGBImage
from segbench.labels import Classes, LabelMap
from segbench.report.drawing.figures import write_grid

LABELS = {
    "appearance_weight": "appearance weight",
    "appearance_sigma_xy": "appearance sigma (diagonals)",
    "appearance_sigma_rgb": "appearance sigma (grey levels)",
    "smoothness_weight": "smoothness weight",
    "smoothness_sigma_xy": "smoothness sigma (diagonals)",
    "steps": "steps",
}
ENLARGED_SHARE = 0.3
"""The side of the enlarged window, relative to the image's."""
CELL_WIDTH_PX = 384
SHOWN_STEPS = (1, 2, 10)


def write_search(path: Path, search: Search, *, title: str) -> None:
    """Plot the candidates' scores against each parameter, with the score without a CRF as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(10, 5.6), sharey=True, layout="constrained")
    scores = [100 * candidate.score for candidate in search.candidates]
    for axes, (name, label) in zip(panels.flat, LABELS.items(), strict=True):
        values = [getattr(candidate.parameters, name) for candidate in search.candidates]
        dots = axes.scatter(values, scores, c=range(len(scores)), cmap="viridis", s=12)
        axes.scatter(
            [getattr(search.best.parameters, name)], [100 * search.best.score], marker="*", s=140, color="tab:red",
            label="best",
        )  # fmt: skip
        axes.axhline(100 * search.score_without, color="black", linewidth=1, linestyle="--", label="no CRF")
        axes.set_xscale("log")
        axes.set_xlabel(label)
        ticks = sorted(set(values)) if name == "steps" else np.geomspace(min(values), max(values), 4)
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axes.minorticks_off()
    for axes in panels[:, 0]:
        axes.set_ylabel(f"{search.objective}, %")
    panels.flat[0].legend(loc="lower left", fontsize=8)
    figure.colorbar(dots, ax=panels, label="candidate, in order")
    figure.suptitle(f"{title}: {len(scores)} candidates judged on all {search.num_images} validation images")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90)
    plt.close(figure)


def write_steps(
    path: Path, images: Sequence[TuningImage], parameters: CRFParameters, *, classes: Classes, device: str
) -> None:
    """Draw an image, its truth, the network's label map and those after SHOWN_STEPS; below, a window of each enlarged.

    The image is a typical one: its gain in right pixels is the median.
    """

    def label_maps(example: TuningImage) -> list[LabelMap]:
        fitted = example.fitted(parameters)
        refined = refine_after(example.image, example.probabilities, fitted, steps=SHOWN_STEPS, device=device)
        return [probabilities.argmax(axis=0).astype(np.uint8) for probabilities in (example.probabilities, *refined)]

    def gain(example: TuningImage) -> float:
        before, *_, after = label_maps(example)
        return float((after == example.truth).mean() - (before == example.truth).mean())

    typical = sorted(images, key=gain)[len(images) // 2]
    plain, *after = label_maps(typical)
    top, left, height, width = _busiest_window(plain, after[-1])
    window = np.s_[top : top + height, left : left + width]
    pictures = [typical.image, *(classes.colorize(label_map) for label_map in (typical.truth, plain, *after))]
    enlarged = [_enlarged(picture[window], typical.image.shape) for picture in pictures]
    headers = ["image", "truth", "network", *(f"{steps} step{'s' if steps > 1 else ''}" for steps in SHOWN_STEPS)]
    write_grid(path, [pictures, enlarged], headers=headers, classes=classes, cell_width_px=CELL_WIDTH_PX)


def _busiest_window(before: LabelMap, after: LabelMap) -> tuple[int, int, int, int]:
    """Top, left, height, width of the window in which the most labels have changed."""
    height, width = (max(8, round(ENLARGED_SHARE * side)) for side in before.shape)
    height, width = min(height, before.shape[0]), min(width, before.shape[1])
    counts = np.pad((before != after).astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = counts[height:, width:] - counts[:-height, width:] - counts[height:, :-width] + counts[:-height, :-width]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(top), int(left), height, width


def _enlarged(picture: RGBImage, shape: tuple[int, ...]) -> RGBImage:
    """By nearest neighbour to (H, W, 3)."""
    rows = np.arange(shape[0]) * picture.shape[0] // shape[0]
    columns = np.arange(shape[1]) * picture.shape[1] // shape[1]
    return picture[rows][:, columns]
