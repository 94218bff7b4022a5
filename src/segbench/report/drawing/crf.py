"""Pictures of the dense CRF: the search for its parameters, and the effect of its steps on one image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refine_after
from segbench.crf.search import Search
from segbench.crf.tuning import TuningImage
from segbench.files import replacing
from segbench.images import RGBImage
from segbench.labels import Classes, LabelMap
from segbench.report.drawing.figures import MENDED, NO_CLASS, SPOILED, WRONG, Part, Tile, marked, write_figure
from segbench.scoring.metrics import compute_scores, confusion_matrix

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
FRAME = (255, 255, 0)
"""Around the part that is enlarged."""


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
    panels.flat[0].legend(loc="lower left")
    figure.colorbar(dots, ax=panels, label="candidate, in order")
    figure.suptitle(f"{title}: {len(scores)} candidates judged on all {search.num_images} validation images")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90)
    plt.close(figure)


@dataclass(frozen=True, eq=False)
class Refined:
    """A validation image with the network's label map and those after some of the CRF's steps, and each one's mIoU."""

    name: str
    example: TuningImage
    label_maps: tuple[LabelMap, ...]
    mean_ious: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Of mIoU after all steps; none where no pixel has a true class."""
        return float(np.nan_to_num(self.mean_ious[-1] - self.mean_ious[0]))


def write_steps(
    path: Path, images: Mapping[str, TuningImage], search: Search, *, model: str, classes: Classes, device: str
) -> None:  # fmt: skip
    """Draw what the best parameters of the search do to a typical image, and to those that gain and lose most.

    images: by name. Each drawn one has the photo, the truth, and the label maps of the network and after one, half and
    all of the CRF's steps, with marks on pixels that are wrong, mended or spoiled; below, a window of each is enlarged.
    """
    parameters = search.best.parameters
    steps = sorted({1, max(1, parameters.steps // 2), parameters.steps})
    refined = [
        _refined(name, example, parameters, steps=steps, num_classes=len(classes), device=device)
        for name, example in images.items()
    ]
    used = "that were chosen for it" if search.chosen else "that came closest to no CRF, which was better"
    title = (
        f"What the dense CRF does to label maps of {model} on validation images, with the parameters {used}. "
        "Numbers: mIoU of the image. The yellow frame is enlarged below each image."
    )
    headers = ["photo", "truth", "without CRF", *(f"{step} step{'s' if step > 1 else ''}" for step in steps)]
    write_figure(
        path,
        [_part(shown, heading, headers, classes) for shown, heading in _chosen(refined)],
        title=title,
        classes=classes,
        marks={"wrong": WRONG, "put right by the CRF": MENDED, "made wrong by the CRF": SPOILED, **NO_CLASS},
    )


def _refined(
    name: str, example: TuningImage, parameters: CRFParameters, *, steps: Sequence[int], num_classes: int, device: str
) -> Refined:  # fmt: skip
    fitted = example.fitted(parameters)
    after = refine_after(example.image, example.probabilities, fitted, steps=steps, device=device)
    label_maps = [probabilities.argmax(axis=0).astype(np.uint8) for probabilities in (example.probabilities, *after)]
    confusions = [
        confusion_matrix(truth=example.truth, predicted=label_map, num_classes=num_classes) for label_map in label_maps
    ]
    mean_ious = tuple(compute_scores(confusion).mean_iou for confusion in confusions)
    return Refined(name, example, tuple(label_maps), mean_ious)


def _chosen(images: Sequence[Refined]) -> list[tuple[Refined, str]]:
    """The images with the median, the highest and the lowest gain, with headings that say so; each image once."""
    ordered = sorted(images, key=lambda image: image.gain)
    lowest = "loses most" if ordered[0].gain < 0 else "gains least"
    typical = f"A typical image (its gain is the median of {len(images)})"
    places = {(len(ordered) - 1) // 2: typical}
    places.setdefault(len(ordered) - 1, "The image that gains most")
    places.setdefault(0, f"The image that {lowest}")
    return [
        (ordered[place], f"{text}: {ordered[place].name}, {100 * ordered[place].gain:+.1f} points of mIoU")
        for place, text in places.items()
    ]


def _part(shown: Refined, heading: str, headers: Sequence[str], classes: Classes) -> Part:
    """headers: of the photo, the truth and the label maps."""
    truth, (before, *after) = shown.example.truth, shown.label_maps
    top, left, height, width = _busiest_window(before, after[-1])
    window = np.s_[top : top + height, left : left + width]
    marks = [
        marked(before, truth=truth, classes=classes),
        *(marked(label_map, truth=truth, before=before, classes=classes) for label_map in after),
    ]
    photo, colored = shown.example.image, [classes.colorize(label_map) for label_map in (truth, *shown.label_maps)]
    scores = [f"{name}: {100 * score:.1f} %" for name, score in zip(headers[2:], shown.mean_ious, strict=True)]
    captions = [*headers[:2], *scores]
    whole = [_framed(photo, window), colored[0], *marks]
    enlarged = [_enlarged(picture[window], photo.shape) for picture in (photo, *colored)]
    return Part([list(map(Tile, whole, captions)), [Tile(picture) for picture in enlarged]], heading, beside=())


def _framed(photo: RGBImage, window: tuple[slice, slice]) -> RGBImage:
    """The photo with a frame around the window."""
    framed, thickness_px = photo.copy(), max(1, round(photo.shape[1] / 120))
    framed[window] = FRAME
    rows, columns = (slice(side.start + thickness_px, side.stop - thickness_px) for side in window)
    framed[rows, columns] = photo[rows, columns]
    return framed


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
