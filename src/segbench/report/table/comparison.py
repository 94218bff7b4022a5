"""The counts and costs of all models -> the entries of the results table, and their differences."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import get_args

import numpy as np

from segbench.datasets.prepared import Prepared, Row
from segbench.labels import LabelMap
from segbench.report.drawing.pictures import pictured, reduced_image, reduced_label_map
from segbench.report.table.content import Costs, Entry, Group, Published, ScoredImage, label
from segbench.scoring.counts import SplitCounts
from segbench.scoring.intervals import Analysis, Difference, Measure, Metric, Pair, analyse, error_ratios
from segbench.scoring.metrics import Counts, average_scores, compute_scores

MOST_SIZES, MOST_GROUPS = 3, 8
LEAST_BLOCKS = 10
"""Fewer blocks give an unreliable standard error."""
MEAN_IOU = Measure("mIoU")
MEASURES: dict[Metric, Measure] = {metric: Measure(metric) for metric in get_args(Metric)}


@dataclass(frozen=True, eq=False)
class Contender:
    """A model with the CRF off or on, or another program's predictions, before statistics.

    label_maps: of the pictured test images, reduced, by the first seed. The other fields become those of the entry.
    """

    model: str
    crf: bool
    counts: SplitCounts
    label_maps: Sequence[LabelMap] = ()
    as_in_paper: bool = True
    costs: Costs | None = None
    deviations: tuple[str, ...] = ()
    published: Published | None = None
    protocol: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """As `Entry.label`."""
        return label(self.model, crf=self.crf)


def compare(contenders: Sequence[Contender], data: Prepared) -> tuple[tuple[Entry, ...], Mapping[Pair, Difference]]:
    """Entries, the highest mIoU first, and differences of mIoU.

    Compared are each model with the CRF and without it, and every two entries that are as their papers have them.
    """
    refined = [contender for contender in contenders if contender.crf]
    as_in_paper = [contender.label for contender in contenders if contender.as_in_paper]
    pairs = [Pair(contender.label, contender.model, MEAN_IOU) for contender in refined]
    pairs += [Pair(first, second, MEAN_IOU) for first, second in combinations(as_in_paper, 2)]
    analysis = analyse(
        {contender.label: contender.counts.confusions for contender in contenders},
        measures=list(MEASURES.values()),
        pairs=pairs,
        blocks=[row.block for row in data.split("test")],
    )
    entries = [_entry(contender, analysis, data) for contender in contenders]
    entries.sort(key=lambda entry: -entry.mean_iou.value)
    return tuple(replace(entry, is_on_front=_is_on_front(entry, entries)) for entry in entries), analysis.differences


def error_ratio_of_joined_blocks(contenders: Sequence[Contender], data: Prepared) -> float | None:
    """How many times as large the standard error of mIoU is if neighbouring blocks of a group are joined in pairs.

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
    confusions = {contender.label: contender.counts.confusions for contender in contenders}
    return float(np.nanmedian(error_ratios(confusions, MEAN_IOU, blocks=blocks, joined=joined)))


def sizes_of(rows: Sequence[Row]) -> str:
    """Width by height in px, each size once; of many, the smallest and the largest."""
    sizes = sorted({(row.width_px, row.height_px) for row in rows}, key=math.prod)
    names = [f"{width}x{height}" for width, height in sizes]
    return ", ".join(names) if len(names) <= MOST_SIZES else f"{len(names)} sizes from {names[0]} to {names[-1]}"


def groups_of(data: Prepared) -> tuple[Group, ...]:
    """The test images' groups; empty if there is only one, or more than a table has room for."""
    test, train = ([row.group for row in data.split(split)] for split in ("test", "train"))
    names = sorted(set(test))
    if not 2 <= len(names) <= MOST_GROUPS:
        return ()
    return tuple(Group(name, num_images=test.count(name), is_seen=name in train) for name in names)


def worst_first(data: Prepared, entries: Sequence[Entry], contenders: Sequence[Contender]) -> Iterator[ScoredImage]:
    """The pictured test images, ordered by their own mean IoU, averaged over entries."""
    rows = pictured(data)
    place = {row.name: index for index, row in enumerate(data.split("test"))}
    places = [place[row.name] for row in rows]
    by_label = {contender.label: contender for contender in contenders}
    in_order = [by_label[entry.label] for entry in entries]
    mean_ious = np.array(
        [
            [compute_scores(confusion).mean_iou for confusion in contender.counts.confusions[0][places]]
            for contender in in_order
        ]
    )  # (num_entries, num_pictured)
    means = mean_ious.mean(axis=0)
    for index in np.argsort(means):
        row = rows[index]
        yield ScoredImage(
            name=row.name,
            score=float(means[index]),
            image=reduced_image(data.image(row)),
            truth=reduced_label_map(data.label_map(row)),
            predicted=tuple(contender.label_maps[index] for contender in in_order),
            mean_iou=tuple(mean_ious[:, index].tolist()),
        )


def _entry(contender: Contender, analysis: Analysis, data: Prepared) -> Entry:
    estimates = {metric: analysis.estimates[contender.label, measure] for metric, measure in MEASURES.items()}
    of_crf = analysis.differences.get(Pair(label(contender.model, crf=True), contender.model, MEAN_IOU))
    counts, test = contender.counts, data.split("test")
    of_groups = [
        counts.confusions[:, [row.group == group.name for row in test]].sum(axis=1) for group in groups_of(data)
    ]
    return Entry(
        model=contender.model,
        crf=contender.crf,
        rank=estimates["mIoU"].rank,
        scores={metric: estimate.score for metric, estimate in estimates.items()},
        class_iou=tuple(average_scores(counts.scores()).class_iou.tolist()),
        confusion=counts.confusions.sum(axis=(0, 1)),
        seed_spread=estimates["mIoU"].seed_spread,
        crf_gain=of_crf.alone.value if of_crf else None,
        costs=contender.costs,
        deviations=contender.deviations,
        published=contender.published,
        boundary_mean_iou=tuple(_mean_iou(of_width) for of_width in counts.trimap.swapaxes(0, 1)),
        group_mean_iou=tuple(_mean_iou(of_group) for of_group in of_groups),
        as_in_paper=contender.as_in_paper,
        protocol={"split": "test", "resolution_px": sizes_of(test), **contender.protocol},
    )


def _mean_iou(confusions: Counts) -> float:
    """(num_seeds, C, C) -> the mean over seeds"""
    return average_scores([compute_scores(confusion) for confusion in confusions]).mean_iou


def _is_on_front(entry: Entry, entries: Sequence[Entry]) -> bool | None:
    """Whether no other entry is both more accurate and faster; None where the latency is not known."""
    latency_ms = _latency_ms(entry)
    if latency_ms is None:
        return None
    return not any(
        other.mean_iou.value > entry.mean_iou.value and other_ms < latency_ms
        for other in entries
        if (other_ms := _latency_ms(other)) is not None
    )


def _latency_ms(entry: Entry) -> float | None:
    return entry.costs.latency_ms if entry.costs else None
