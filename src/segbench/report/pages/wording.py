"""The sentences of a dataset's reports."""

from collections.abc import Mapping, Sequence

from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.report.drawing.pictures import MAX_SIDE_PX, pictured
from segbench.report.pages.listing import listed
from segbench.report.table.comparison import sizes_of
from segbench.report.table.content import SIGNIFICANT, Entry
from segbench.report.table.numbers import MISSING, percent, percent_range, points
from segbench.report.table.results import ModelResults
from segbench.scoring.intervals import Difference, Pair
from segbench.scoring.metrics import SHORT_NAMES

NOTES = (
    "Intervals: how much the scores could differ on other test images (95 %). Images that resemble each other, such as "
    "neighbouring frames of a video, are resampled together. Differences between trainings are not included.",
    "Latencies were measured with all models in turn in one process. The times of the CRF and of training were "
    "measured in a run per model, so small differences of those are chance on a machine that also does other work.",
)


def describe_dataset(dataset: str, data: Prepared) -> str:
    """What the dataset is, in a sentence."""
    counts = ", ".join(f"{len(data.split(split))} {split}" for split in SPLITS)
    sizes = sizes_of(data.split("test"))
    return f"{dataset}: {counts} images of {sizes} px, {len(data.classes)} classes. All scores are of the test images."


def summarise(entries: Sequence[Entry], differences: Mapping[Pair, Difference]) -> str:
    """The best of the models as published, and which others cannot be told apart from it."""
    published = [entry for entry in entries if entry.as_in_paper]
    best = max(published, key=lambda entry: entry.mean_iou.value)
    interval = percent_range(best.mean_iou.low, best.mean_iou.high)
    leader = f"{best.label} has the highest mIoU, {percent(best.mean_iou.value)}\N{NO-BREAK SPACE}% [{interval}]"
    alike = {
        frozenset((pair.first, pair.second))
        for pair, difference in differences.items()
        if difference.adjusted_p_value >= SIGNIFICANT
    }
    near = [entry.label for entry in published if frozenset((best.label, entry.label)) in alike]
    if near:
        return f"Each model as published: {leader}; these test images cannot tell it apart from {listed(near)}."
    if len(published) > 1:
        return f"Each model as published: {leader}, significantly higher than that of every other."
    return f"{leader}."


def describe_averaging(entries: Sequence[Entry]) -> str:
    """How many classes the means include."""
    counts = sorted({entry.num_classes_averaged for entry in entries})
    total = len(entries[0].class_iou)
    if counts == [total]:
        return f"Means over classes include all {total} classes."
    return (
        f"Means over classes include {' to '.join(map(str, counts))} of {total} classes: those with a pixel in the "
        "test images or in the prediction."
    )


def describe_test_images(data: Prepared) -> str:
    """How the page's test images are ordered, and how they were chosen."""
    rows, shown = data.split("test"), pictured(data)
    texts = ["They are ordered by their own mean IoU, averaged over all entries."]
    if len(shown) < len(rows):
        texts.append(f"Candidates are {len(shown)} evenly spaced test images.")
    if any(max(row.height_px, row.width_px) > MAX_SIDE_PX for row in shown):
        texts.append(f"Larger images are reduced to {MAX_SIDE_PX} px.")
    return " ".join(texts)


def crf_choices(models: Sequence[ModelResults]) -> tuple[tuple[str, ...], ...]:
    """A heading and one row per model: the best gain of its search on validation images, and the parameters found.

    No parameters where none improves the score, so that the CRF changes nothing.
    """
    names = models[0].crf["best"]["parameters"]
    rows = []
    for model in models:
        gain, chosen = model.crf["best"]["score"] - model.crf["score_without"], model.crf["chosen"]
        rows.append((model.name, points(gain), *(f"{chosen[name]:.3g}" if chosen else MISSING for name in names)))
    return (("Model", "gain, points", *names), *rows)


def describe_crf_choices(models: Sequence[ModelResults]) -> str:
    """The images on which the parameters were chosen, the score, and the parameters' units."""
    search = models[0].crf
    (short,) = (short for short, name in SHORT_NAMES.items() if name == search["objective"])
    return (
        f"The parameters with the highest {short} on {search['num_images']} validation images, and the gain there; "
        f"{MISSING}: no parameters improve it, so the CRF is left out. Units of sigmas: xy in fractions of the image's "
        "diagonal, rgb in grey levels."
    )
