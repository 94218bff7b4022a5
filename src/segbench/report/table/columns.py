"""The columns of the page's table: what each shows of an entry, and what it sorts by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from segbench.report.table.content import Costs, Entry, Estimate
from segbench.report.table.numbers import MISSING, finite, percent


@dataclass(frozen=True)
class Cell:
    """What a cell shows and what it is sorted by; an order of None comes last."""

    text: str
    order: float | str | None
    interval: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Column:
    """A column of the table. first: which end of it a first click brings to the top."""

    name: str
    unit: str
    explanation: str
    first: Literal["ascending", "descending"]
    cell: Callable[[Entry], Cell]
    kind: Literal["score", "number", "text"] = "number"


def interval(estimate: Estimate) -> str:
    """The ends of a fraction's interval in per cent, or nothing."""
    low, high = finite(estimate.low), finite(estimate.high)
    return "" if low is None or high is None else f"{percent(low)}{MISSING}{percent(high)}"


def _score(value: Callable[[Entry], Estimate]) -> Callable[[Entry], Cell]:
    def cell(entry: Entry) -> Cell:
        estimate = value(entry)
        return Cell(percent(estimate.value), finite(estimate.value), interval(estimate))

    return cell


def _cost(value: Callable[[Costs], float | None], show: Callable[[float], str]) -> Callable[[Entry], Cell]:
    def cell(entry: Entry) -> Cell:
        number = finite(value(entry.costs)) if entry.costs else None
        return Cell(MISSING if number is None else show(number), number)

    return cell


def latency_cell(entry: Entry) -> Cell:
    """An image's latency in ms, with its interval."""
    latency = entry.costs.latency_ms if entry.costs else Estimate(None)
    value, low, high = (finite(number) for number in (latency.value, latency.low, latency.high))
    ends = "" if low is None or high is None else f"{low:.1f}{MISSING}{high:.1f}"
    return Cell(MISSING if value is None else f"{value:.1f}", value, ends)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _rank(entry: Entry) -> Cell:
    rank = entry.rank
    ends = f"({rank.best}{MISSING}{rank.worst})" if rank.best != rank.worst else ""
    return Cell(str(rank.place), rank.place, detail=ends)


def _seeds(entry: Entry) -> Cell:
    spread = finite(entry.seed_spread)
    return Cell(MISSING if spread is None else f"\N{PLUS-MINUS SIGN}{100 * spread:.1f}", spread)


def _front(entry: Entry) -> Cell:
    if entry.is_on_front is None:
        return Cell(MISSING, None)
    return Cell("yes" if entry.is_on_front else "no", float(entry.is_on_front))


def _published(entry: Entry) -> Cell:
    if entry.published is None:
        return Cell(MISSING, None)
    return Cell(percent(entry.published.mean_iou), finite(entry.published.mean_iou))


def _deviations(entry: Entry) -> Cell:
    return Cell("", "; ".join(entry.deviations) or None, detail="; ".join(entry.deviations))


COLUMNS = [
    Column("Rank", "", "by mIoU; in brackets, the places that the interval allows", "ascending", _rank),
    Column(
        "Model",
        "",
        "+ CRF: refined by a dense CRF",
        "ascending",
        lambda entry: Cell(entry.label, entry.label),
        "text",
    ),
    Column(
        "mIoU",
        "%",
        "mean over classes of intersection over union",
        "descending",
        _score(lambda entry: entry.mean_iou),
        "score",
    ),
    Column("mDice", "%", "mean over classes of Dice", "descending", _score(lambda entry: entry.mean_dice), "score"),
    Column(
        "mAcc", "%", "mean over classes of accuracy", "descending", _score(lambda entry: entry.mean_accuracy), "score"
    ),
    Column(
        "aAcc",
        "%",
        "share of all pixels that are right",
        "descending",
        _score(lambda entry: entry.pixel_accuracy),
        "score",
    ),
    Column("Seeds", "%", "standard deviation of mIoU over trainings with other seeds", "ascending", _seeds),
    Column(
        "Parameters",
        "M",
        "millions",
        "ascending",
        _cost(lambda costs: costs.parameters, lambda number: f"{number / 1e6:.2f}"),
    ),
    Column(
        "Multiply-adds",
        "G",
        "thousand millions for one image, without the CRF",
        "ascending",
        _cost(lambda costs: costs.multiply_adds, lambda number: f"{number / 1e9:.2f}"),
    ),
    Column(
        "Latency", "ms", "median time for one image, with the CRF where it is on", "ascending", latency_cell, "score"
    ),
    Column(
        "Memory",
        "MiB",
        "peak while predicting",
        "ascending",
        _cost(lambda costs: costs.peak_memory_mib, lambda number: f"{number:.0f}"),
    ),
    Column(
        "Training",
        "images/s",
        "speed of training",
        "descending",
        _cost(lambda costs: costs.training_images_per_second, lambda number: f"{number:.1f}"),
    ),
    Column(
        "Training time",
        "",
        "time of the whole training",
        "ascending",
        _cost(lambda costs: costs.training_seconds, _duration),
    ),
    Column(
        "Front", "", "on the Pareto front: no entry has both a higher mIoU and a lower latency", "descending", _front
    ),
    Column(
        "Published",
        "mIoU %",
        "by another protocol, named below the table: not to be compared directly",
        "descending",
        _published,
    ),
    Column("Deviations", "", "from the common protocol", "ascending", _deviations, "text"),
]


def best_scores(entries: Sequence[Entry]) -> dict[str, float]:
    """The highest value of each score, by column."""
    best = {}
    for column in COLUMNS:
        if column.kind != "score" or column.first == "ascending":
            continue
        orders = [column.cell(entry).order for entry in entries]
        known = [order for order in orders if isinstance(order, float)]
        if known:
            best[column.name] = max(known)
    return best
