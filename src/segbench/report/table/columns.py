"""The columns of the results table: one list for benchmark.csv, the page, Markdown, LaTeX and README's table.

A column gets its value from an entry. What people read is made from a record, an entry's row of benchmark.csv, so the
same columns also make README's table, from that file alone.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from segbench.report.table.content import Entry, Page, label
from segbench.report.table.numbers import MISSING, counted, duration, percent, percent_range, points
from segbench.scoring.intervals import Metric

Reader = Literal["page", "markdown", "latex", "readme"]
Value = str | bool | int | float | None
Record = Mapping[str, Value]
"""Values by key. None or NaN: not known."""

FAILURE = "failure"
"""The key of why a model has no scores; a record's only value beside the model's name then."""
NOBODY: Set[Reader] = frozenset()
ALL: Set[Reader] = {"page", "markdown", "latex", "readme"}
REPORTS: Set[Reader] = {"page", "markdown", "latex"}


@dataclass(frozen=True)
class Column:
    """One column.

    - key: its name in benchmark.csv, which holds every column; value: what it holds of an entry
    - title, unit, explanation: for people; readers: the formats besides benchmark.csv that show it
    - show: the value as a person reads it; takes the values of the columns `beside` as further arguments
    - kind: a score is best where it is highest; text is flush left
    - first: which end a first click on the title brings to the top of the page's table
    """

    key: str
    value: Callable[[Entry], Value]
    title: str = ""
    unit: str = ""
    explanation: str = ""
    readers: Set[Reader] = NOBODY
    show: Callable[..., str] = str
    beside: tuple[str, ...] = ()
    kind: Literal["score", "number", "flag", "text"] = "number"
    first: Literal["ascending", "descending"] = "ascending"

    @property
    def heading(self) -> str:
        """Title and unit, where both are in one line."""
        if not self.unit:
            return self.title
        return f"{self.title} %" if self.unit == "%" else f"{self.title} ({self.unit})"

    def text(self, record: Record) -> str:
        """What a person reads."""
        value = record.get(self.key)
        return self.show(value, *(record.get(key) for key in self.beside)) if is_known(value) else MISSING

    def order(self, record: Record) -> Value:
        """What the page sorts by; None comes last."""
        value = record.get(self.key)
        if not is_known(value):
            return None
        return self.text(record) if self.kind == "text" else value


def is_known(value: Value) -> bool:
    """Whether a record has a value: not None, NaN or infinite."""
    return value is not None and not (isinstance(value, float) and not isfinite(value))


def _label(model: str, crf: str, failure: Value) -> str:
    named = label(model, crf=crf == "on")
    return f"{named} ({failure})" if is_known(failure) else named


def _rank(place: int, best: int, worst: int) -> str:
    return f"{place} ({best}{MISSING}{worst})" if best != worst else f"{place}"


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _score(
    metric: Metric, explanation: str, *, readers: Set[Reader] = ALL, interval_readers: Set[Reader] = NOBODY
) -> tuple[Column, Column, Column]:
    """A score and the bounds of its interval. The page has each interval beside its score."""
    low, high = f"{metric}_low", f"{metric}_high"
    return (
        Column(
            metric, lambda entry: entry.scores[metric].value, metric, unit="%", explanation=explanation,
            readers=readers, show=percent, kind="score", first="descending",
        ),
        Column(
            low, lambda entry: entry.scores[metric].low, "95 % interval", readers=interval_readers,
            show=percent_range, beside=(high,),
        ),
        Column(high, lambda entry: entry.scores[metric].high),
    )  # fmt: skip


def _cost(name: str) -> Callable[[Entry], Value]:
    """A field of `Costs`."""
    return lambda entry: getattr(entry.costs, name) if entry.costs else None


def _setting(name: str) -> Callable[[Entry], Value]:
    """A value of the entry's protocol, None if it is empty."""
    return lambda entry: entry.protocol.get(name) or None


MODEL = Column(
    "model", lambda entry: entry.model, "Model",
    explanation='with "+ CRF", a dense CRF refines the label maps, unless no CRF helped on validation images',
    readers=ALL, show=_label, beside=("crf", FAILURE), kind="text",
)  # fmt: skip
COLUMNS: tuple[Column, ...] = (
    MODEL,
    Column("crf", lambda entry: "on" if entry.crf else "off"),
    Column(FAILURE, lambda entry: None),
    Column(
        "as_in_paper", lambda entry: entry.as_in_paper, "As published",
        explanation="with a CRF where the paper has one (DeepLab v1 and v2), otherwise without; other programs' "
        "predictions as they are",
        readers={"markdown"}, show=_yes, kind="flag",
    ),
    Column(
        "rank", lambda entry: int(entry.rank.value) if entry.rank else None, "Rank",
        explanation="the place by mIoU; in brackets, its places in the middle 95 % of resamples",
        readers={"page", "markdown"}, show=_rank, beside=("rank_best", "rank_worst"),
    ),
    Column("rank_best", lambda entry: int(entry.rank.low) if entry.rank else None),
    Column("rank_worst", lambda entry: int(entry.rank.high) if entry.rank else None),
    *_score(
        "mIoU", "mean over classes of intersection over union", interval_readers={"markdown", "latex", "readme"}
    ),
    Column(
        "mIoU_without_doubtful", lambda entry: entry.mean_iou_without_doubtful, "mIoU without doubtful images",
        unit="%", explanation="without the test images that look mislabelled, which the limits below name",
        readers={"page", "markdown"}, show=percent, first="descending",
    ),
    *_score("mDice", "mean over classes of Dice"),
    *_score("mAcc", "mean over classes of the share of their pixels that are right", readers=REPORTS),
    *_score("aAcc", "share of all labelled pixels that are right"),
    Column("num_classes_averaged", lambda entry: entry.num_classes_averaged),
    Column(
        "mIoU_seed_spread", lambda entry: entry.seed_spread, "Seed spread", unit="%",
        explanation="standard deviation of mIoU over trainings with different seeds",
        readers={"page", "markdown"}, show=percent,
    ),
    Column(
        "mIoU_crf_gain", lambda entry: entry.crf_gain, "CRF gains",
        explanation="mIoU with the CRF minus mIoU without it, in points",
        readers={"readme"}, show=points, first="descending",
    ),
    Column(
        "parameters", _cost("parameters"), "Parameters", unit="M", explanation="without the CRF",
        readers=REPORTS, show=lambda count: f"{count / 1e6:.2f}",
    ),
    Column(
        "multiply_adds", _cost("multiply_adds"), "GMAC",
        explanation="thousand million multiply-adds for the first test image, without the CRF",
        readers=REPORTS, show=lambda count: f"{count / 1e9:.2f}",
    ),
    Column(
        "latency_ms", _cost("latency_ms"), "Latency", unit="ms",
        explanation="time for one image in PyTorch, batch norms folded into the convolutions, with the CRF where it is "
        "on; all models in turn, the least of the medians of several rounds",
        readers=ALL, show=lambda ms: f"{ms:.1f}",
    ),
    Column(
        "latency_low_ms", _cost("latency_low_ms"), "Latency, 95 % interval", unit="ms",
        explanation="from a bootstrap over rounds and images; without the CRF only",
        readers=REPORTS, show=lambda low, high: f"{low:.1f}{MISSING}{high:.1f}", beside=("latency_high_ms",),
    ),
    Column("latency_high_ms", _cost("latency_high_ms")),
    Column("latency_device", _cost("latency_device")),
    Column("latency_cores", _cost("latency_cores")),
    Column("latency_input_px", _cost("latency_input_px")),
    Column(
        "peak_memory_mib", _cost("peak_memory_mib"), "Memory", unit="MiB",
        explanation="peak while predicting beyond what the process held before the network was built, without the CRF",
        readers={"page", "markdown"}, show=lambda mib: f"{mib:.0f}",
    ),
    Column(
        "training_images_per_second", _cost("training_images_per_second"), "Training", unit="images/s",
        explanation="speed of training, a median over epochs", readers={"page"}, show=lambda speed: f"{speed:.1f}",
        first="descending",
    ),
    Column(
        "training_seconds", _cost("training_seconds"), "Training time",
        explanation="of one training, the median over seeds",
        readers={"page", "markdown", "readme"}, show=duration,
    ),
    Column(
        "is_on_front", lambda entry: entry.is_on_front, "Front",
        explanation="on the Pareto front: nothing else of known latency is both more accurate and faster",
        readers={"page", "markdown"}, show=_yes, kind="flag", first="descending",
    ),
    Column(
        "searched", _setting("searched"), "Found by search",
        explanation="values of the schedule that were best for the network on the validation images",
        readers={"page", "markdown"}, kind="text",
    ),
    Column(
        "deviations", lambda entry: ", ".join(entry.deviations) or None, "Deviations",
        explanation="from the common protocol", readers={"page"}, kind="text",
    ),
)  # fmt: skip


def class_columns(page: Page) -> list[Column]:
    """The IoU of each class."""
    return [
        Column(f"IoU_{name}", _item(lambda entry: entry.class_iou, index), name, show=percent)
        for index, name in enumerate(page.classes.names)
    ]


def boundary_columns(page: Page) -> list[Column]:
    """mIoU of the pixels near boundaries between classes, for each width of the band around them."""
    return [
        Column(
            f"mIoU_within_{width:g}_px", _item(lambda entry: entry.boundary_mean_iou, index), f"{width:g} px",
            f"{percent(share)} % of pixels", show=percent,
        )
        for index, (width, share) in enumerate(page.boundary_shares.items())
    ]  # fmt: skip


def group_columns(page: Page) -> list[Column]:
    """mIoU of each group of test images. The prefix keeps a group called `low` apart from `mIoU_low`."""
    return [
        Column(
            f"mIoU_group_{group.name}", _item(lambda entry: entry.group_mean_iou, index), group.name,
            f"{group.num_images} {'seen' if group.is_seen else 'unseen'}", show=percent,
        )
        for index, group in enumerate(page.groups)
    ]  # fmt: skip


def protocol_columns(page: Page) -> list[Column]:
    """The settings in which entries may differ."""
    names = dict.fromkeys(name for entry in page.entries for name in entry.protocol if name != "searched")
    return [Column(name, _setting(name), kind="text") for name in names]


def records(page: Page) -> list[Record]:
    """What benchmark.csv holds: a record per entry, with the values of all columns; then one per failed model."""
    columns = [
        *COLUMNS, *class_columns(page), *boundary_columns(page), *group_columns(page), *protocol_columns(page),
    ]  # fmt: skip
    of_entries: list[Record] = [{column.key: column.value(entry) for column in columns} for entry in page.entries]
    nothing = dict.fromkeys(of_entries[0])
    return of_entries + [
        {**nothing, "model": model, "crf": "off", "as_in_paper": True, FAILURE: failure}
        for model, failure in page.failed.items()
    ]


def columns_for(reader: Reader, of_entries: Sequence[Record]) -> list[Column]:
    """The columns of the main table for a reader, without those in which no entry has a value."""
    return [
        column
        for column in COLUMNS
        if reader in column.readers and any(is_known(record.get(column.key)) for record in of_entries)
    ]


def latency_conditions(of_entries: Sequence[Record]) -> str:
    """On which device, with how many cores and for which input the latencies were measured; empty if there are none."""
    found = dict.fromkeys(
        f"{record['latency_device']}, {counted(int(cores), 'core')}, network input {record['latency_input_px']} px"
        for record in of_entries
        if is_known(cores := record.get("latency_cores")) and isinstance(cores, int | float)
    )
    return f"Latency on {'; '.join(found)}." if found else ""


def best_scores(of_entries: Sequence[Record]) -> dict[str, Value]:
    """The highest value of each score, by the column's key."""
    known = {
        column.key: [
            value for record in of_entries if isinstance(value := record[column.key], float) and is_known(value)
        ]
        for column in COLUMNS
        if column.kind == "score"
    }
    return {key: max(values) for key, values in known.items() if values}


def _item(values: Callable[[Entry], Sequence[float]], index: int) -> Callable[[Entry], Value]:
    """An item of what may be empty."""
    return lambda entry: values(entry)[index] if values(entry) else None
