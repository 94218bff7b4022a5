"""The results as one web page in one file: tables, charts and test images, which need no network."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, get_args

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup, escape

from segbench.report.drawing.charts import (
    Axis,
    LineChart,
    Point,
    Series,
    contenders,
    fraction_axis,
    line,
    log_axis,
    loss_axis,
    staircase,
    whole_axis,
    width_axis,
)
from segbench.report.drawing.confusion import MOST_CLASSES
from segbench.report.drawing.pictures import photo_url, sheet_colors, sheet_url
from segbench.report.pages import web
from segbench.report.pages.claims import describe_verdicts
from segbench.report.table.claims import Verdict
from segbench.report.table.columns import (
    best_scores,
    class_columns,
    columns_for,
    group_columns,
    latency_conditions,
    records,
)
from segbench.report.table.content import SIGNIFICANT, Curve, Entry, Page, ScoredImage, are_of_several_machines
from segbench.report.table.numbers import finite, percent, percent_range, points, points_range, probability
from segbench.report.table.ranking import indistinguishable
from segbench.scoring.intervals import Difference, Interval

FROM = 0.25
"""The axis of learning curves shows them in full from this share of the epochs on."""
MAX_BYTES = 1_500_000
SLACK_BYTES = 100
"""For the number of images, which is known last."""


def page_html(page: Page, *, max_bytes: int = MAX_BYTES) -> str:
    """The page, with as many of its test images as fit into max_bytes."""
    template = web.template(
        "page", code=code, finite=finite, percent=percent, percent_range=percent_range, points=points,
        points_range=points_range, probability=probability, step=step,
    )  # fmt: skip
    context = _context(page)
    frame = template.render(context, shows_images=True, pictures=[], has_more_images=True)
    room = max_bytes - len(frame.encode()) - SLACK_BYTES
    by_place: list[tuple[int, Markup]] = []
    has_more_images = False
    for test_image in page.test_images:
        picture = htmlsafe_json_dumps(_picture(page, test_image))
        room -= len(picture) + 1
        has_more_images = room < 0
        if has_more_images:
            break
        by_place.append((test_image.place, picture))
    pictures = [picture for _, picture in sorted(by_place, key=itemgetter(0))]
    return template.render(context, shows_images=bool(pictures), pictures=pictures, has_more_images=has_more_images)


def _context(page: Page) -> dict[str, Any]:
    script = web.script(*web.SCRIPTS)
    rows = records(page)
    return {
        "page": page,
        "script": script,
        "script_digest": web.script_digest(script),
        "style": web.style(*web.STYLES),
        "rows": list(zip(page.entries, rows[: len(page.entries)], strict=True)),
        "failed_rows": rows[len(page.entries) :],
        "columns": columns_for("page", rows),
        "latency_conditions": latency_conditions(rows),
        "class_columns": class_columns(page),
        "group_columns": group_columns(page),
        "best": best_scores(rows),
        "scale": _scale([entry.mean_iou for entry in page.entries]),
        "model_index": {model: index for index, model in enumerate(page.models)},
        "swatches": list(zip((*page.classes.names, "no class"), sheet_colors(page.classes), strict=True)),
        "best_model": page.best_as_published.model,
        "published": {(entry.model, entry.crf): "yes" if entry.as_in_paper else "no" for entry in page.entries},
        "has_both": len({entry.crf for entry in page.entries}) == 2,
        "speed": _speed(page),
        "by_groups": _by_groups(page),
        "confusions": _confusions(page),
        "ranking": _ranking(page),
        "curves": _curves(page),
        "losses": _losses(page),
        "boundary": _boundary(page),
        "differences": _differences(page),
        "significant": SIGNIFICANT,
        "has_absent_class": any(finite(iou) is None for entry in page.entries for iou in entry.class_iou),
        "has_judged_scores": any(finding.has_interval for finding in page.findings),
        "verdicts_note": " ".join(
            describe_verdicts(
                page.findings, repeated=[entry.model for entry in page.entries if entry.seed_spread is not None]
            )
        ),
        "verdicts": [
            (verdict, count)
            for verdict in get_args(Verdict)
            if (count := sum(finding.verdict == verdict for finding in page.findings))
        ],
    }


def _scale(intervals: Sequence[Interval]) -> Axis | None:
    """The axis of the bars beside the scores, long enough for all intervals."""
    ends = [finite(end) for interval in intervals for end in (interval.low, interval.high)]
    known = [end for end in ends if end is not None]
    return fraction_axis(known) if known else None


@dataclass(frozen=True)
class Cost:
    """A choice for the horizontal axis of the speed chart. name: of the field of `Costs`. unit: what one is, times
    scale. digits: after the point, where a person reads a value.
    """

    name: str
    title: str
    unit: str
    scale: float
    digits: int
    note: str = ""

    def of(self, entry: Entry) -> float | None:
        """In the unit; None if it is not known, or not positive, which a logarithmic axis cannot show."""
        value = finite(getattr(entry.costs, self.name)) if entry.costs else None
        return value / self.scale if value and value > 0 else None

    def text(self, value: float) -> str:
        """As a person reads it."""
        return f"{self.title} {value:.{self.digits}f} {self.unit}"


COSTS = (
    Cost("latency_ms", "latency", "ms per image", scale=1, digits=1),
    Cost("multiply_adds", "multiply-adds", "GMAC", scale=1e9, digits=3, note="Without those of the CRF."),
    Cost("parameters", "parameters", "million", scale=1e6, digits=2),
    Cost("training_seconds", "training time", "minutes", scale=60, digits=1),
)


def _note(cost: Cost, shown: Sequence[Entry]) -> str:
    if cost.name == "training_seconds" and are_of_several_machines(shown):
        return "Models were trained on machines of different kinds: times compare only between those of the same kind."
    return cost.note


def _speed(page: Page) -> dict[str, Any] | None:
    """Entries by cost and mIoU: the axes, one point per entry, lines from CRF off to on, and the Pareto front.

    The chart's script moves the points to the cost that a reader chooses; the first one is there from the start.
    """
    scored = [entry for entry in page.entries if finite(entry.mean_iou.value) is not None]
    known = {cost: {entry.label: value for entry in scored if (value := cost.of(entry)) is not None} for cost in COSTS}
    known = {cost: of_cost for cost, of_cost in known.items() if of_cost}
    if not known:
        return None
    shown = [entry for entry in scored if any(entry.label in of_cost for of_cost in known.values())]
    y = _score_axis(shown)
    placed = {
        entry.label: Point(
            *(y.from_top(end) for end in (entry.mean_iou.value, entry.mean_iou.low, entry.mean_iou.high))
        )
        for entry in shown
    }
    axes = {cost: log_axis(list(of_cost.values())) for cost, of_cost in known.items()}
    first, at_first = next(iter(known.items()))
    first_left = {label: axes[first].place(value) for label, value in at_first.items()}
    front = sorted(
        (first_left[entry.label], placed[entry.label].y)
        for entry in shown
        if entry.is_on_front and first.name == "latency_ms" and entry.label in first_left
    )
    return {
        "first": first,
        "x": axes[first],
        "y": y,
        "points": [
            (entry, placed[entry.label], first_left.get(entry.label), first.text(at_first.get(entry.label, 0)))
            for entry in shown
        ],
        "refined": [
            (
                entry.model,
                placed[entry.model],
                placed[entry.label],
                first_left.get(entry.model, 0),
                first_left[entry.label],
            )
            for entry in shown
            if entry.crf and entry.model in placed
        ],
        "front": staircase(front),
        "has_below": any(point.is_below for point in placed.values()),
        "costs": [
            {
                "name": cost.name,
                "title": cost.title,
                "axis": f"{cost.title}, {cost.unit} (logarithmic)",
                "note": _note(cost, shown),
                "ticks": [(axes[cost].place(value), text) for value, text in axes[cost].ticks],
                "points": [
                    {
                        "left": axes[cost].place(of_cost[entry.label]),
                        "cost": of_cost[entry.label],
                        "text": cost.text(of_cost[entry.label]),
                    }
                    if entry.label in of_cost
                    else None
                    for entry in shown
                ],
            }
            for cost, of_cost in known.items()
        ],
    }


def _score_axis(entries: Sequence[Entry]) -> Axis:
    """An axis over the intervals of the entries that are not far below the best."""
    near = contenders([entry.mean_iou.value for entry in entries])
    chosen = [entry.mean_iou for entry, is_near in zip(entries, near, strict=True) if is_near]
    return fraction_axis([end for interval in chosen for end in (interval.low, interval.value, interval.high)])


def _ranking(page: Page) -> dict[str, Any] | None:
    """Entries as published, the best first: an axis, and by entry its place in each set that cannot be told apart.

    A place is `first`, `member`, `last`, `between` for an entry between others of the set, or empty.
    """
    entries = [entry for entry in page.entries if entry.as_in_paper and finite(entry.mean_iou.value) is not None]
    labels = [entry.label for entry in entries]
    if not any({pair.first, pair.second} <= set(labels) for pair in page.differences):
        return None
    sets = indistinguishable(labels, page.differences)
    axis = _score_axis(entries)
    rows = [
        (entry, *_ends(axis, entry.mean_iou), [_place_in(entry.label, chosen, labels) for chosen in sets])
        for entry in entries
    ]
    has_below = any(entry.mean_iou.value < axis.low for entry in entries)
    return {"axis": axis, "num_sets": len(sets), "rows": rows, "has_below": has_below}


def _ends(axis: Axis, interval: Interval) -> tuple[float, float, float]:
    """Value, low and high end in per cent from the left, held to the axis."""
    value, low, high = (min(100.0, max(0.0, axis.place(end))) for end in (interval.value, interval.low, interval.high))
    return value, low, high


def _place_in(label: str, chosen: Sequence[str], labels: Sequence[str]) -> str:
    if label in chosen:
        return {chosen[0]: "first", chosen[-1]: "last"}.get(label, "member")
    is_inside = labels.index(chosen[0]) < labels.index(label) < labels.index(chosen[-1])
    return "between" if is_inside else ""


def _curves(page: Page) -> LineChart | None:
    of_models = {model: [(curve.epochs, curve.mean_iou) for curve in found] for model, found in _by_model(page).items()}
    return _line_chart(
        {(model, False): _over_seeds(found) for model, found in of_models.items()},
        x_axis=whole_axis, y_axis=fraction_axis, start=FROM, is_loss=False, unit="epochs", show=_percent_text,
    )  # fmt: skip


def _losses(page: Page) -> LineChart | None:
    of_models = {
        model: [(curve.epochs, curve.train_loss) for curve in found if curve.train_loss]
        for model, found in _by_model(page).items()
    }
    return _line_chart(
        {(model, False): _over_seeds(found) for model, found in of_models.items()},
        x_axis=whole_axis, y_axis=loss_axis, start=FROM, is_loss=True, unit="epochs", show=lambda loss: f"{loss:.3f}",
    )  # fmt: skip


def _boundary(page: Page) -> LineChart | None:
    return _line_chart(
        {
            (entry.model, entry.crf): Series(_known(list(page.boundary_shares), entry.boundary_mean_iou))
            for entry in page.entries
            if entry.boundary_mean_iou
        },
        x_axis=width_axis, y_axis=fraction_axis, start=0, is_loss=False, unit="px", show=_percent_text,
    )  # fmt: skip


def _percent_text(value: float) -> str:
    return f"{100 * value:.1f} %"


def _by_model(page: Page) -> dict[str, list[Curve]]:
    return {model: of_model for model in page.models if (of_model := [it for it in page.curves if it.model == model])}


def _over_seeds(trainings: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Series:
    """The mean over trainings at each epoch, and the lowest and highest value where there are several."""
    by_epoch: dict[float, list[float]] = {}
    for epochs, values in trainings:
        for epoch, value in _known(epochs, values):
            by_epoch.setdefault(epoch, []).append(value)
    in_order = sorted(by_epoch.items())
    has_several = any(len(values) > 1 for values in by_epoch.values())
    return Series(
        [(epoch, sum(values) / len(values)) for epoch, values in in_order],
        [(epoch, min(values), max(values)) for epoch, values in in_order] if has_several else [],
    )


def _known(places: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    return [(place, value) for place, value in zip(places, values, strict=True) if finite(value) is not None]


def _line_chart(
    series: Mapping[tuple[str, bool], Series], *, x_axis: Callable[[Sequence[float]], Axis],
    y_axis: Callable[[Sequence[float]], Axis], start: float, is_loss: bool, unit: str, show: Callable[[float], str],
) -> LineChart | None:  # fmt: skip
    """series: by model and whether the CRF is on. Lines with the best end first.

    The vertical axis has room for the contenders' values from the share `start` of the horizontal axis on.
    """
    series = {name: found for name, found in series.items() if found.values}
    if not series:
        return None
    sign = -1 if is_loss else 1
    near = contenders([sign * found.values[-1][1] for found in series.values()])
    places = sorted({place for found in series.values() for place, _ in found.values})
    since = places[0] + start * (places[-1] - places[0])
    chosen = [found for found, is_near in zip(series.values(), near, strict=True) if is_near]
    inside = [found.values[-1][1] for found in chosen]
    inside += [value for found in chosen for place, value in found.values if place >= since]
    inside += [end for found in chosen for place, *ends in found.ends if place >= since for end in ends]
    x, y = x_axis(places), y_axis(inside)
    lines = [line(model, found, crf=crf, x=x, y=y, unit=unit, show=show) for (model, crf), found in series.items()]
    return LineChart(x, y, tuple(sorted(lines, key=lambda drawn: -sign * drawn.last)))


def _differences(page: Page) -> list[tuple[str, list[Difference | None]]]:
    """The entries as their papers have them: by row, the label and the difference to each, None to itself."""
    found = {(pair.first, pair.second): difference for pair, difference in page.differences.items()}
    found |= {(second, first): _reversed(difference) for (first, second), difference in found.items()}
    labels = [entry.label for entry in page.entries if entry.as_in_paper]
    rows = [(first, [found.get((first, second)) for second in labels]) for first in labels]
    return rows if any(difference for _, row in rows for difference in row) else []


def _reversed(difference: Difference) -> Difference:
    """The second entry minus the first."""
    alone, simultaneous = (
        Interval(-interval.value, -interval.high, -interval.low)
        for interval in (difference.alone, difference.simultaneous)
    )
    return Difference(alone, simultaneous, difference.adjusted_p_value)


def _by_groups(page: Page) -> list[dict[str, Any]]:
    """Label and IoU of each class in each group, then in all images; the best as published first."""
    best = page.best_as_published
    return [
        {
            "label": entry.label,
            "ious": [
                [None if finite(iou) is None else round(iou, 6) for iou in of_class]
                for of_class in zip(*entry.group_class_iou, entry.class_iou, strict=True)
            ],
        }
        for entry in sorted(page.entries, key=lambda entry: entry is not best)
        if entry.group_class_iou
    ]


def _confusions(page: Page) -> list[dict[str, Any]]:
    """Label and counts of the entries with a confusion matrix, those as published first; none of too many classes."""
    return [
        {"label": entry.label, "model": entry.model, "counts": entry.confusion.tolist()}
        for entry in sorted(page.entries, key=lambda entry: not entry.as_in_paper)
        if entry.confusion is not None and len(page.classes) <= MOST_CLASSES
    ]


def code(text: str) -> Markup:
    """The text, escaped, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def step(value: float | None) -> int | None:
    """A fraction's step of ten on the scale of the heat maps."""
    value = finite(value)
    return None if value is None else min(10, max(0, round(10 * value)))


def _picture(page: Page, test_image: ScoredImage) -> dict[str, Any]:
    """What the script needs of an image. On its sheet, the truth is first, then the entries' label maps."""
    shapes = {array.shape[:2] for array in (test_image.image, test_image.truth, *test_image.predicted)}
    if len(shapes) > 1:
        raise ValueError(f"{test_image.name}: image and label maps are of several sizes: {sorted(shapes)}")
    if not len(test_image.predicted) == len(test_image.mean_iou) == len(page.entries):
        raise ValueError(f"{test_image.name}: there must be one label map and one mIoU for each entry")
    height_px, width_px = test_image.truth.shape
    sheet, rows = sheet_url([test_image.truth, *test_image.predicted], page.classes)
    return {
        "name": test_image.name,
        "score": percent(test_image.score),
        "scores": [percent(value) for value in test_image.mean_iou],
        "place": test_image.place,
        "places": test_image.num_places,
        "doubt": test_image.doubt,
        "width": width_px,
        "height": height_px,
        "rows": rows,
        "photo": photo_url(test_image.image),
        "sheet": sheet,
    }
