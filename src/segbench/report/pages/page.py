"""The results as one web page in one file: tables, charts and test images, which need no network."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, get_args

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from segbench.report.drawing.charts import (
    Axis,
    LineChart,
    Point,
    fraction_axis,
    line,
    log_axis,
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
from segbench.report.table.content import SIGNIFICANT, Page, ScoredImage
from segbench.report.table.numbers import finite, percent, percent_range, points, points_range, probability
from segbench.scoring.intervals import Difference, Interval

MAX_BYTES = 1_500_000
SLACK_BYTES = 100
"""For the number of images, which is known last."""


def page_html(page: Page, *, max_bytes: int = MAX_BYTES) -> str:
    """The page, with as many of its test images as fit into max_bytes."""
    template = web.template(
        "page", finite=finite, percent=percent, percent_range=percent_range, points=points,
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
        "curves": _curves(page),
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


def _speed(page: Page) -> dict[str, Any] | None:
    """Entries by latency and mIoU: the axes, one point per entry, lines from CRF off to on, and the Pareto front."""
    shown = [
        (entry, latency_ms)
        for entry in page.entries
        if entry.costs and (latency_ms := finite(entry.costs.latency_ms)) and finite(entry.mean_iou.value) is not None
    ]
    if not shown:
        return None
    x = log_axis([latency_ms for _, latency_ms in shown])
    y = fraction_axis([end for entry, _ in shown for end in (entry.mean_iou.low, entry.mean_iou.high)])
    placed = {}
    for entry, latency_ms in shown:
        value, low, high = (y.from_top(end) for end in (entry.mean_iou.value, entry.mean_iou.low, entry.mean_iou.high))
        placed[entry.label] = Point(x.place(latency_ms), value, y_low=low, y_high=high)
    front = sorted((placed[entry.label].x, placed[entry.label].y) for entry, _ in shown if entry.is_on_front)
    return {
        "x": x,
        "y": y,
        "points": [(entry, placed[entry.label], latency_ms) for entry, latency_ms in shown],
        "refined": [
            (entry.model, placed[entry.model], placed[entry.label])
            for entry, _ in shown
            if entry.crf and entry.model in placed
        ],
        "front": staircase(front),
    }


def _curves(page: Page) -> LineChart | None:
    series = {(curve.model, False): _known(curve.epochs, curve.mean_iou) for curve in page.curves}
    return _line_chart(series, axis=whole_axis, unit="epochs")


def _boundary(page: Page) -> LineChart | None:
    series = {
        (entry.model, entry.crf): _known(list(page.boundary_shares), entry.boundary_mean_iou)
        for entry in page.entries
        if entry.boundary_mean_iou
    }
    return _line_chart(series, axis=width_axis, unit="px")


def _known(places: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    return [(place, value) for place, value in zip(places, values, strict=True) if finite(value) is not None]


def _line_chart(
    series: Mapping[tuple[str, bool], list[tuple[float, float]]],
    *,
    axis: Callable[[Sequence[float]], Axis],
    unit: str,
) -> LineChart | None:
    """series: by model and whether the CRF is on. Lines with the highest end first."""
    series = {name: values for name, values in series.items() if values}
    if not series:
        return None
    x = axis(sorted({place for values in series.values() for place, _ in values}))
    y = fraction_axis([value for values in series.values() for _, value in values])
    lines = [line(model, values, crf=crf, x=x, y=y, unit=unit) for (model, crf), values in series.items()]
    return LineChart(x, y, tuple(sorted(lines, key=lambda drawn: -drawn.last)))


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
