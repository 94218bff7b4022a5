"""The counts and costs of all models -> the entries of the results table, and their differences."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import get_args

import numpy as np

from segbench.datasets.prepared import Prepared, Row
from segbench.labels import LabelMap
from segbench.report.drawing.pictures import pictured, reduced_image, reduced_label_map
from segbench.report.table.content import Costs, Entry, Group, ScoredImage, label
from segbench.scoring.blocks import LEAST_BLOCKS, Blocks, Clips, choose_blocks
from segbench.scoring.counts import SplitCounts
from segbench.scoring.intervals import Analysis, Difference, Measure, Metric, Pair, analyse, error_ratios
from segbench.scoring.metrics import ClassPixels, average_scores

MOST_SIZES, MOST_GROUPS = 3, 8
MEAN_IOU = Measure("mIoU")
MEASURES: dict[Metric, Measure] = {metric: Measure(metric) for metric in get_args(Metric)}


@dataclass(frozen=True, eq=False)
class Contender:
    """A model with the CRF off or on, or another program's predictions, before statistics.

    counts: of all training seeds. is_trained: not by another program, of whose trainings nothing is known. label_maps:
    of the pictured test images, reduced, by the first seed. The other fields become those of the entry.
    """

    model: str
    crf: bool
    counts: SplitCounts
    is_trained: bool = True
    label_maps: Sequence[LabelMap] = ()
    as_in_paper: bool = True
    costs: Costs | None = None
    deviations: tuple[str, ...] = ()
    protocol: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """As `Entry.label`."""
        return label(self.model, crf=self.crf)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Entries, the highest mIoU first, and differences of mIoU.

    num_compared: scores are means over so many trainings of each model, its first ones. blocks: which test images the
    intervals take as one. differences_with_longer_blocks: with blocks twice as long; empty where there are none.
    """

    entries: tuple[Entry, ...]
    differences: Mapping[Pair, Difference]
    num_compared: int
    blocks: Blocks
    differences_with_longer_blocks: Mapping[Pair, Difference]


def compare(contenders: Sequence[Contender], data: Prepared, *, doubtful: Collection[str] = ()) -> Comparison:
    """Compare each model with the CRF and without it, and every two entries that are as their papers have them.

    doubtful: test images that look mislabelled, as `test/NAME`. They count, but entries also have a score without them.
    """
    refined = [contender for contender in contenders if contender.crf]
    as_in_paper = [contender.label for contender in contenders if contender.as_in_paper]
    pairs = [Pair(contender.label, contender.model, MEAN_IOU) for contender in refined]
    pairs += [Pair(first, second, MEAN_IOU) for first, second in combinations(as_in_paper, 2)]
    images = {contender.label: contender.counts.images for contender in contenders}
    trainings = {contender.label: contender.model if contender.is_trained else None for contender in contenders}
    blocks = choose_blocks(
        {name: pixels for name, pixels in images.items() if trainings[name]}, Clips.of(data.split("test"))
    )
    found = partial(analyse, images, pairs=pairs, trainings=trainings)
    analysis = found(measures=list(MEASURES.values()), blocks=blocks.ids)
    longer = found(blocks=blocks.twice_as_long).differences if blocks.twice_as_long else {}
    is_sound = [f"{row.split}/{row.name}" not in doubtful for row in data.split("test")]
    entries = [_entry(contender, analysis, data, is_sound=is_sound) for contender in contenders]
    entries.sort(key=lambda entry: -entry.mean_iou.value)
    marked = tuple(replace(entry, is_on_front=_is_on_front(entry, entries)) for entry in entries)
    return Comparison(marked, analysis.differences, analysis.num_compared, blocks, longer)


def error_ratio_with_longer_blocks(contenders: Sequence[Contender], blocks: Blocks) -> float | None:
    """How many times as large the standard error of mIoU is with blocks twice as long: the median over entries."""
    if not blocks.twice_as_long or len(set(blocks.twice_as_long)) < LEAST_BLOCKS:
        return None
    images = {contender.label: contender.counts.images for contender in contenders}
    return float(np.nanmedian(error_ratios(images, MEAN_IOU, blocks=blocks.ids, joined=blocks.twice_as_long)))


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


def boundary_shares(counts: SplitCounts) -> tuple[float, ...]:
    """The share of the labelled pixels that is within each width of a boundary."""
    return tuple((counts.near_boundaries.true.sum(axis=1) / max(1, counts.confusions[0].sum())).tolist())


def scored_images(
    data: Prepared, entries: Sequence[Entry], contenders: Sequence[Contender], *, doubts: Mapping[str, str]
) -> Iterator[ScoredImage]:
    """The pictured test images, those that say most first; an image is not read before it is asked for.

    Their places are by their own mean IoU, averaged over entries. doubts: why a label map may be wrong, by `test/NAME`.
    """
    rows = pictured(data)
    by_label = {contender.label: contender for contender in contenders}
    in_order = [by_label[entry.label] for entry in entries]
    mean_ious = np.array(
        [contender.counts.mean_ious(rows, of=data.split("test")) for contender in in_order]
    )  # (num_entries, num_pictured)
    means = mean_ious.mean(axis=0)
    found = [doubts.get(f"{row.split}/{row.name}", "") for row in rows]
    as_published = sorted(range(len(entries)), key=lambda place: not entries[place].as_in_paper)
    worst_first = np.argsort(means, kind="stable").tolist()
    for index in _most_telling_first(
        worst_first,
        doubtful=[index for index in worst_first if found[index]],
        worst_of_entries=np.argsort(mean_ious[as_published], axis=1, kind="stable")[:, 0].tolist(),
    ):
        row = rows[index]
        yield ScoredImage(
            name=row.name,
            score=float(means[index]),
            image=reduced_image(data.image(row)),
            truth=reduced_label_map(data.label_map(row)),
            predicted=tuple(contender.label_maps[index] for contender in in_order),
            mean_iou=tuple(mean_ious[:, index].tolist()),
            place=worst_first.index(index) + 1,
            num_places=len(rows),
            doubt=found[index],
        )


def _most_telling_first(
    worst_first: Sequence[int], *, doubtful: Sequence[int], worst_of_entries: Sequence[int]
) -> list[int]:
    """The worst, the median and the best image, what is doubtful, the next worst, median and best, the worst image of
    each entry; then again the worst, median and best of the rest. All of them are images' numbers, each is given once.
    """
    middle = (len(worst_first) - 1) / 2
    median_first = [worst_first[place] for place in sorted(range(len(worst_first)), key=lambda at: abs(at - middle))]
    in_turn = [index for three in zip(worst_first, median_first, worst_first[::-1], strict=True) for index in three]
    return list(dict.fromkeys([*in_turn[:3], *doubtful, *in_turn[3:6], *worst_of_entries, *in_turn[6:]]))


def _entry(contender: Contender, analysis: Analysis, data: Prepared, *, is_sound: Sequence[bool]) -> Entry:
    estimates = {metric: analysis.estimates[contender.label, measure] for metric, measure in MEASURES.items()}
    of_crf = analysis.differences.get(Pair(label(contender.model, crf=True), contender.model, MEAN_IOU))
    counts, test = contender.counts.first_seeds(analysis.num_compared), data.split("test")
    of_groups = [
        average_scores(counts.scores_of([row.group == group.name for row in test])) for group in groups_of(data)
    ]
    of_widths = [counts.near_boundaries.select(index) for index in range(len(counts.near_boundaries.true))]
    return Entry(
        model=contender.model,
        crf=contender.crf,
        rank=estimates["mIoU"].rank,
        scores={metric: estimate.score for metric, estimate in estimates.items()},
        class_iou=tuple(average_scores(counts.scores()).class_iou.tolist()),
        confusion=counts.confusions.sum(axis=0),
        seed_spread=estimates["mIoU"].seed_spread,
        training_share=estimates["mIoU"].training_share,
        crf_gain=of_crf.alone.value if of_crf else None,
        costs=contender.costs,
        deviations=contender.deviations,
        boundary_mean_iou=tuple(map(_mean_iou, of_widths)),
        group_mean_iou=tuple(scores.mean_iou for scores in of_groups),
        group_class_iou=tuple(tuple(scores.class_iou.tolist()) for scores in of_groups),
        mean_iou_without_doubtful=(
            average_scores(counts.scores_of(is_sound)).mean_iou if any(is_sound) and not all(is_sound) else None
        ),
        as_in_paper=contender.as_in_paper,
        protocol={"split": "test", "resolution_px": sizes_of(test), **contender.protocol},
    )


def _mean_iou(pixels: ClassPixels) -> float:
    """The mean over seeds. pixels: true ones (C,), predicted and correct ones (num_seeds, C)."""
    return average_scores([pixels.seed(index).scores() for index in range(len(pixels.correct))]).mean_iou


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
