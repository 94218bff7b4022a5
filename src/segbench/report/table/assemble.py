"""Confusion matrices and costs of all entries -> the content of a dataset's reports."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from segbench.datasets.prepared import Prepared, Row
from segbench.labels import LabelMap
from segbench.report.drawing.pictures import pictured, reduced_image, reduced_label_map
from segbench.report.table.content import Costs, Difference, Entry, Estimate, Group, Published, Rank, ScoredImage
from segbench.scoring.intervals import Analysis, Interval, Measure, Pair, analyse, error_ratios
from segbench.scoring.metrics import Counts, average_scores, compute_scores

MOST_SIZES, MOST_GROUPS = 3, 8
LEAST_BLOCKS = 10
"""An error of fewer blocks says too little."""
MEAN_IOU = Measure("mIoU")
METRICS = {
    "pixel_accuracy": Measure("aAcc"),
    "mean_accuracy": Measure("mAcc"),
    "mean_iou": MEAN_IOU,
    "mean_dice": Measure("mDice"),
}


@dataclass(frozen=True, eq=False)
class Contender:
    """An entry before statistics; fields that it shares with `Entry` mean the same.

    confusions: (num_seeds, num_images, C, C); trimap: (num_seeds, num_widths, C, C), summed over images.
    """

    model: str
    crf: bool
    confusions: Counts
    trimap: Counts
    as_in_paper: bool = True
    costs: Costs | None = None
    deviations: tuple[str, ...] = ()
    published: Published | None = None
    protocol: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """As `Entry.label`."""
        return f"{self.model} + CRF" if self.crf else self.model


def compare(contenders: Sequence[Contender], data: Prepared) -> tuple[tuple[Entry, ...], tuple[Difference, ...]]:
    """Entries, the best mIoU first, and differences: each CRF against none, and all pairs of what papers report."""
    test = data.split("test")
    groups, group_names = [row.group for row in test], [group.name for group in groups_of(data)]
    names = [one.label for one in contenders]
    pairs = [Pair(name, name.removesuffix(" + CRF"), MEAN_IOU) for name in names if name.endswith(" + CRF")]
    reported = [one.label for one in contenders if one.as_in_paper]
    pairs += [Pair(*two, MEAN_IOU) for two in combinations(reported, 2) if Pair(*two, MEAN_IOU) not in pairs]
    analysis = analyse(
        {one.label: one.confusions for one in contenders},
        scores=list(METRICS.values()),
        pairs=pairs,
        blocks=[row.block for row in test],
    )
    shared = (("split", "test"), ("resolution_px", sizes_of(test)))
    entries = [_entry(one, analysis, groups=groups, group_names=group_names, shared=shared) for one in contenders]
    entries.sort(key=lambda entry: -(entry.mean_iou.value or 0))
    differences = [
        Difference(
            pair.first, pair.second, _estimate(found.alone), _estimate(found.simultaneous), found.adjusted_p_value
        )
        for pair, found in analysis.differences.items()
    ]
    return tuple(replace(entry, is_on_front=_is_on_front(entry, entries)) for entry in entries), tuple(differences)


def error_ratio_of_joined_blocks(contenders: Sequence[Contender], data: Prepared) -> float | None:
    """How many times as large an mIoU's error is with neighbouring blocks of a group joined in pairs.

    The median over entries; None where that leaves fewer than LEAST_BLOCKS, or where nothing is joined.
    """
    rows = data.split("test")
    places: dict[str, dict[str, int]] = {}
    for row in rows:
        of_group = places.setdefault(row.group, {})
        of_group.setdefault(row.block, len(of_group))
    blocks, joined = [row.block for row in rows], [(row.group, places[row.group][row.block] // 2) for row in rows]
    if not LEAST_BLOCKS <= len(set(joined)) < len(set(blocks)):
        return None
    confusions = {one.label: one.confusions for one in contenders}
    return float(np.nanmedian(error_ratios(confusions, MEAN_IOU, blocks=blocks, joined=joined)))


def sizes_of(rows: Sequence[Row]) -> str:
    """Width by height in px, each size once; of many, the smallest and the largest."""
    sizes = sorted({(row.width_px, row.height_px) for row in rows}, key=math.prod)
    names = [f"{width}x{height}" for width, height in sizes]
    return ", ".join(names) if len(names) <= MOST_SIZES else f"{len(names)} sizes from {names[0]} to {names[-1]}"


def groups_of(data: Prepared) -> tuple[Group, ...]:
    """The test images' groups, none if there is only one, or more than a table has room for."""
    test, train = ([row.group for row in data.split(split)] for split in ("test", "train"))
    names = sorted(set(test))
    if not 2 <= len(names) <= MOST_GROUPS:
        return ()
    return tuple(Group(name, num_images=test.count(name), is_seen=name in train) for name in names)


def worst_first(
    data: Prepared, entries: Sequence[Entry], label_maps: Mapping[Contender, Sequence[LabelMap]]
) -> Iterator[ScoredImage]:
    """The pictured test images by the mean over entries of the image's own mean IoU.

    label_maps: of the first seed, reduced, in the order of `pictured`.
    """
    rows = pictured(data)
    place = {row.name: index for index, row in enumerate(data.split("test"))}
    places = [place[row.name] for row in rows]
    of_label = {one.label: (one.confusions[0][places], found) for one, found in label_maps.items()}
    confusions, predicted = zip(*(of_label[entry.label] for entry in entries), strict=True)
    of_images = np.array([[compute_scores(image).mean_iou for image in of_entry] for of_entry in confusions])
    means = of_images.mean(axis=0)
    for index in np.argsort(means):
        row = rows[index]
        yield ScoredImage(
            name=row.name,
            score=float(means[index]),
            image=reduced_image(data.image(row)),
            truth=reduced_label_map(data.label_map(row)),
            predicted=tuple(of_entry[index] for of_entry in predicted),
            mean_iou=tuple(of_images[:, index].tolist()),
        )


def _entry(
    one: Contender, analysis: Analysis, *, groups: Sequence[str], group_names: Sequence[str],
    shared: tuple[tuple[str, str], ...],
) -> Entry:  # fmt: skip
    estimates = {name: analysis.estimates[one.label, score] for name, score in METRICS.items()}
    rank, spread = estimates["mean_iou"].rank, estimates["mean_iou"].seed_spread
    per_seed = one.confusions.sum(axis=1)
    of_group = [one.confusions[:, np.asarray(groups) == name].sum(axis=1) for name in group_names]
    return Entry(
        model=one.model,
        crf=one.crf,
        rank=Rank(place=round(rank.value), best=round(rank.low), worst=round(rank.high)),
        pixel_accuracy=_estimate(estimates["pixel_accuracy"].score),
        mean_accuracy=_estimate(estimates["mean_accuracy"].score),
        mean_iou=_estimate(estimates["mean_iou"].score),
        mean_dice=_estimate(estimates["mean_dice"].score),
        class_iou=tuple(average_scores([compute_scores(confusion) for confusion in per_seed]).class_iou.tolist()),
        confusion=per_seed.sum(axis=0),
        seed_spread=spread,
        costs=one.costs,
        deviations=one.deviations,
        published=one.published,
        boundary_mean_iou=tuple(_mean_iou(width) for width in one.trimap.swapaxes(0, 1)),
        group_mean_iou=tuple(_mean_iou(group) for group in of_group),
        as_in_paper=one.as_in_paper,
        protocol=(*shared, *one.protocol),
    )


def _mean_iou(of_seeds: Counts) -> float:
    """(num_seeds, C, C) -> the mean over seeds"""
    return average_scores([compute_scores(confusion) for confusion in of_seeds]).mean_iou


def _estimate(interval: Interval) -> Estimate:
    return Estimate(interval.value, interval.low, interval.high)


def _is_on_front(entry: Entry, entries: Sequence[Entry]) -> bool | None:
    """Whether no entry is both better and faster; None where the costs are not known."""
    if entry.costs is None or entry.costs.latency_ms.value is None:
        return None
    mean_iou, latency_ms = entry.mean_iou.value or 0, entry.costs.latency_ms.value
    return not any(
        (other.mean_iou.value or 0) > mean_iou and other.costs.latency_ms.value < latency_ms
        for other in entries
        if other.costs is not None and other.costs.latency_ms.value is not None
    )
