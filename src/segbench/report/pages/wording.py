"""The sentences of a dataset's reports."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.report.drawing.confusion import LEAST_SHARE, MOST_CLASSES
from segbench.report.drawing.pictures import MAX_SIDE_PX, pictured
from segbench.report.pages.listing import describe_left_out, listed
from segbench.report.table.comparison import Comparison, groups_of, sizes_of
from segbench.report.table.content import Entry, Group, best_as_published
from segbench.report.table.numbers import MISSING, counted, finite, percent, points
from segbench.report.table.results import ModelResults
from segbench.report.table.suspects import Suspects
from segbench.scoring.metrics import SHORT_NAMES


def describe_dataset(dataset: str, data: Prepared, *, left_out: Sequence[str]) -> str:
    """What the dataset is. left_out: names of the test images that scores leave out."""
    *others, (_, num_test) = ((split, len(data.split(split))) for split in SPLITS)
    counts = ", ".join([*(f"{number} {split}" for split, number in others), counted(num_test, "test image")])
    classes = f"{len(data.classes)} {'class' if len(data.classes) == 1 else 'classes'}"
    about = f"{dataset}: {counts} of {sizes_of(data.rows)} px, {classes}. The table's scores are of the test split."
    return f"{about} {describe_left_out(left_out, num_images=num_test)}".rstrip()


def describe_intervals(found: Comparison, *, num_images: int) -> str:
    """What the intervals say, how the test images are resampled, and what is due to the seeds of trainings."""
    if found.blocks.number == 1:
        return (
            "Intervals: not known, since the test split is one block. They are shown from the lowest possible value to "
            "the highest."
        )
    repeated = list(dict.fromkeys(entry.model for entry in found.entries if entry.seed_spread is not None))
    causes = "on other test images" + (" and after trainings with other seeds" if repeated else "")
    texts = [f"Intervals: how much the scores could differ {causes} (95 %)."]
    if found.blocks.number < num_images:
        texts.append("Images of one block, such as neighbouring frames of a video, are resampled together.")
    if not repeated:
        return " ".join([*texts, "Differences between trainings are not included."])
    shares = [entry.training_share for entry in found.entries if entry.training_share]
    if shares:
        least, most = (f"{100 * share:.0f}" for share in (min(shares), max(shares)))
        part = f"{least} %" if least == most else f"{least} to {most} %"
        texts.append(f"The seeds make up {part} of the squared standard error of mIoU.")
    trained_once = {entry.model for entry in found.entries if entry.training_share and entry.seed_spread is None}
    if trained_once:
        texts.append(f"How much they matter is known from {listed(repeated)}, and taken to be the same for the others.")
    return " ".join(texts)


def describe_first_seeds(num_trainings: Mapping[str, int]) -> str:
    """What reports show of the first of several trainings; empty if each model was trained once."""
    repeated = [model for model, number in num_trainings.items() if number > 1]
    if not repeated:
        return ""
    return (
        f"On the page, learning curves, label maps and scores of single images of {listed(repeated)} are those of the "
        "first seed. The CRF's parameters were chosen with that seed too."
    )


def describe_matrices(num_classes: int) -> str:
    """Where the confusion matrices are if they are too large for the page; empty if they are on it."""
    if num_classes <= MOST_CLASSES:
        return ""
    return (
        f"Confusion matrices of {num_classes} classes are too large for the page. confusion.csv has, for each true "
        f"class, the predicted classes that got at least {100 * LEAST_SHARE:.1f} % of its pixels."
    )


def describe_averaging(entries: Sequence[Entry]) -> str:
    """How many classes the means include: that of accuracies leaves out a class that is only predicted."""
    total, num_averaged = len(entries[0].class_iou), [entry.num_classes_averaged for entry in entries]
    confusion = entries[0].confusion
    num_true = int(confusion.any(axis=1).sum()) if confusion is not None else min(num_averaged)
    if num_true == total:
        return "Means over classes include every class."
    least, most = min(num_averaged), max(num_averaged)
    num_included = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"Means over classes do not include all {total}. mIoU and mDice are of the classes with a pixel in the test "
        f"images or in the prediction: {num_included}. mAcc is of those with a pixel in the test images: {num_true}."
    )


def describe_groups(data: Prepared, entries: Sequence[Entry]) -> str:
    """Why the groups' mIoU do not average to that of all test images, and what they say about the split; empty without
    groups.

    Told by the classes that each group's images hold, by the class whose IoU differs most between groups, and by the
    classes that have a higher IoU where training images come from the same groups.
    """
    groups, classes, test = groups_of(data), data.classes.names, data.split("test")
    if not groups:
        return ""
    pixels = np.array(
        [np.sum([row.class_pixels for row in test if row.group == group.name], axis=0) for group in groups]
    )  # (num_groups, C)
    has_class = pixels > 0
    has_all = has_class[:, has_class.any(axis=0)].all()
    counts = listed([f"{group.name} {count}" for group, count in zip(groups, has_class.sum(axis=1), strict=True)])
    total = has_class.any(axis=0).sum()
    texts = [
        "The groups' mIoU need not average to that of all test images: each is a mean over the classes of its own "
        "images, in which a class counts the same, however few of its pixels are there.",
        f"Every group holds all {total} classes of the test images."
        if has_all
        else f"Of the {total} classes in the test images, the groups hold: {counts}.",
    ]
    for group, of_group in zip(groups, has_class, strict=True):
        if alone := [classes[index] for index in np.flatnonzero(of_group & (has_class.sum(axis=0) == 1))]:
            texts.append(f"Only {group.name} has {listed(alone)}.")
    if not has_all:
        texts.append("Where a model predicts a class that a group's images do not hold, the class counts as 0 there.")
    best = best_as_published(entries)
    ious = np.where(has_class, np.array(best.group_class_iou), np.nan)
    common = np.flatnonzero(has_class.sum(axis=0) > 1)
    if len(common):
        index = common[np.argmax(np.nanmax(ious[:, common], axis=0) - np.nanmin(ious[:, common], axis=0))]
        high, low = (int(found(ious[:, index])) for found in (np.nanargmax, np.nanargmin))
        share = pixels[high, index] / pixels[:, index].sum()
        texts.append(
            f"{best.label}'s IoU differs most for {classes[index]}: {percent(ious[high, index])}\N{NO-BREAK SPACE}% in "
            f"{groups[high].name}, which has {percent(share)}\N{NO-BREAK SPACE}% of its pixels, and "
            f"{percent(ious[low, index])}\N{NO-BREAK SPACE}% in {groups[low].name}."
        )
    return " ".join([*texts, *_describe_seen_groups(groups, best.label, ious)])


def _describe_seen_groups(groups: Sequence[Group], label: str, ious: NDArray[np.float64]) -> list[str]:
    """How an entry's classes fare in groups that training images also come from. ious: (num_groups, C), NaN without."""
    is_seen = np.array([group.is_seen for group in groups])
    if is_seen.all() or not is_seen.any():
        return []
    common = np.isfinite(ious[is_seen]).any(axis=0) & np.isfinite(ious[~is_seen]).any(axis=0)
    in_seen, in_new = (np.nanmean(ious[chosen][:, common], axis=0) for chosen in (is_seen, ~is_seen))
    seen, new = (listed([group.name for group in groups if group.is_seen is wanted]) for wanted in (True, False))
    return [
        f"Training images also come from {seen}, but not from {new}: {label} has a higher IoU in {seen} for "
        f"{(in_seen > in_new).sum()} of the {common.sum()} classes that both have. Only {new} "
        f"{'tells' if sum(~is_seen) == 1 else 'tell'} what to expect of new groups."
    ]


def describe_times(entries: Sequence[Entry]) -> str:
    """How latencies and times were measured, as far as there are any."""
    costs = [entry.costs for entry in entries if entry.costs]
    texts = []
    if any(finite(cost.latency_ms) for cost in costs):
        texts.append("Latencies were measured with all models in turn in one process.")
    if any(finite(cost.training_seconds) for cost in costs):
        texts.append(
            "The CRF was timed once per model, and training once per seed: small differences of these times are chance "
            "on a machine that also does other work."
        )
    return " ".join(texts)


def describe_test_images(data: Prepared) -> str:
    """How the page's test images are ordered, and how they were chosen."""
    rows, shown = data.split("test"), pictured(data)
    texts = ["The score beside an image's name is its own mIoU, averaged over all entries."] if len(rows) > 1 else []
    if len(shown) < len(rows):
        texts.append(f"Candidates are {len(shown)} evenly spaced test images.")
    if any(max(row.height_px, row.width_px) > MAX_SIDE_PX for row in shown):
        texts.append(f"Larger images are reduced to {MAX_SIDE_PX} px.")
    return " ".join(texts)


def describe_doubts(suspects: Suspects) -> dict[str, str]:
    """Why the label map of a test image may be wrong, in two sentences, by `test/NAME`."""
    return {
        image.name: (
            f"Check the label of this image. The better models ({listed(suspects.judges)}) agree with each other here "
            f"and contradict the label map, in up to {percent(image.share)} % of the pixels; in the median test image "
            f"it is {percent(suspects.usual_share)} %."
        )
        for image in suspects.images
    }


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
    images = counted(search["num_images"], "validation image")
    best = f"the parameters with the highest {short} of all that were tried on {images}"
    texts = [f"Below are {best}, and the gain of {short} there."]
    if useless := [model.name for model in models if not model.crf["chosen"]]:
        texts.append(f"{MISSING}: none raised it, so the CRF leaves the label maps of {listed(useless)} as they are.")
    texts.append("Units of sigmas: xy in fractions of the image's diagonal, rgb in grey levels.")
    return " ".join(texts)
