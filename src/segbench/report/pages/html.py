"""The benchmark as one web page in one file: tables, figures and test images, with no network at view time."""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from segbench.files import replacing
from segbench.labels import IGNORE_INDEX
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
from segbench.report.drawing.pictures import photo_url, sheet_url
from segbench.report.table.claims import Verdict
from segbench.report.table.columns import COLUMNS, best_scores, interval, latency_cell
from segbench.report.table.content import SIGNIFICANT, Difference, Estimate, Page, ScoredImage
from segbench.report.table.numbers import finite, percent, points, probability

MAX_BYTES = 1_500_000
SLACK_BYTES = 100
"""For what is said of the images, which is known last."""
FOLDER = Path(__file__).parent


def write_page(path: Path, page: Page, *, max_bytes: int = MAX_BYTES) -> None:
    """Write the page with as many of its test images as fit into max_bytes."""
    with replacing(path) as temporary:
        temporary.write_text(render(page, max_bytes=max_bytes), encoding="utf-8")


def render(page: Page, *, max_bytes: int = MAX_BYTES) -> str:
    """The page as HTML of at most max_bytes, if it is no larger than that without any test image."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "interval": interval, "step": step, "finite": finite}
    template = environment.get_template("page.html.jinja")
    context = _context(page)
    frame = template.render(context, shows_images=True, pictures=[])
    room = max_bytes - len(frame.encode()) - SLACK_BYTES
    pictures: list[Markup] = []
    for test_image in page.test_images:
        picture = htmlsafe_json_dumps(_picture(page, test_image))
        room -= len(picture) + 1
        if room < 0:
            break
        pictures.append(picture)
    return template.render(context, shows_images=bool(pictures), pictures=pictures)


def _context(page: Page) -> dict[str, Any]:
    script, style = (Markup((FOLDER / f"page.{kind}").read_text("utf-8")) for kind in ("js", "css"))
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "page": page,
        "script": script,
        "script_digest": digest,
        "style": style,
        "columns": [
            column for column in COLUMNS if any(column.cell(entry).order is not None for entry in page.entries)
        ],
        "best": best_scores(page.entries),
        "scale": _scale([entry.mean_iou for entry in page.entries]),
        "model_index": {model: index for index, model in enumerate(page.models)},
        "best_model": page.entries[0].model,
        "has_both": len({entry.crf for entry in page.entries}) == 2,
        "speed": _speed(page),
        "confusions": _confusions(page),
        "curves": _curves(page),
        "boundary": _boundary(page),
        "differences": _differences(page),
        "crf_gains": [(one.second, _gap(one)) for one in page.differences if one.first == f"{one.second} + CRF"],
        "verdicts": [
            (verdict, count)
            for verdict in get_args(Verdict)
            if (count := sum(finding.verdict == verdict for finding in page.findings))
        ],
    }


def _scale(estimates: Sequence[Estimate]) -> Axis | None:
    """The axis of the interval bars, over all ends."""
    ends = [finite(end) for estimate in estimates for end in (estimate.value, estimate.low, estimate.high)]
    known = [end for end in ends if end is not None]
    return fraction_axis(known) if known else None


def _speed(page: Page) -> dict[str, Any] | None:
    """Entries by latency and mIoU: the axes, a point each, from CRF off to on, and the front."""
    shown = [
        (entry, *_ends(entry.costs.latency_ms), *_ends(entry.mean_iou))
        for entry in page.entries
        if entry.costs and (finite(entry.costs.latency_ms.value) or 0) > 0 and finite(entry.mean_iou.value) is not None
    ]
    if not shown:
        return None
    x = log_axis([end for found in shown for end in found[1:4] if end > 0])
    y = fraction_axis([end for found in shown for end in found[4:]])
    points = {}
    for entry, latency, least, most, iou, low, high in shown:
        left, right = (x.place(max(end, x.low)) for end in (least, most))
        points[entry.label] = Point(
            x.place(latency), _down(y, iou), x_low=left, x_high=right, y_low=_down(y, low), y_high=_down(y, high)
        )
    front = sorted((points[entry.label].x, points[entry.label].y) for entry, *_ in shown if entry.is_on_front)
    return {
        "x": x,
        "y": y,
        "points": [(entry, points[entry.label], latency_cell(entry)) for entry, *_ in shown],
        "refined": [
            (entry.model, points[entry.model], points[entry.label])
            for entry, *_ in shown
            if entry.crf and entry.model in points
        ],
        "front": staircase(front),
    }


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    """Value, low and high of a known value; without an interval, three times the value."""
    value, low, high = (finite(number) for number in (estimate.value, estimate.low, estimate.high))
    assert value is not None
    return value, value if low is None else low, value if high is None else high


def _down(axis: Axis, value: float) -> float:
    return round(100 - axis.place(value), 2)


def _curves(page: Page) -> LineChart | None:
    series = {(curve.model, False): _known(curve.epochs, curve.mean_iou) for curve in page.curves}
    return _line_chart(series, axis=whole_axis, unit="epochs")


def _boundary(page: Page) -> LineChart | None:
    series = {
        (entry.model, entry.crf): _known(page.boundary_widths_px, entry.boundary_mean_iou)
        for entry in page.entries
        if entry.boundary_mean_iou
    }
    return _line_chart(series, axis=width_axis, unit="px")


def _known(places: Sequence[float], values: Sequence[float | None]) -> list[tuple[float, float]]:
    return [
        (place, known)
        for place, value in zip(places, values, strict=True)
        if (known := finite(value)) is not None
    ]  # fmt: skip


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


@dataclass(frozen=True)
class Gap:
    """One entry's mIoU minus another's in points of per cent, as a person reads it. is_sure: beyond noise."""

    points: str
    interval: str
    simultaneous: str
    p_value: str
    is_sure: bool


def _gap(difference: Difference, *, sign: int = 1) -> Gap:
    """sign: -1 turns it around."""

    def ends(estimate: Estimate) -> str:
        low, high = sorted(sign * (finite(end) or 0) for end in (estimate.low, estimate.high))
        return f"{points(low)} to {points(high)}"

    return Gap(
        points=points(sign * (finite(difference.alone.value) or 0)),
        interval=ends(difference.alone),
        simultaneous=ends(difference.simultaneous),
        p_value=probability(difference.adjusted_p_value),
        is_sure=difference.adjusted_p_value < SIGNIFICANT,
    )


def _differences(page: Page) -> list[tuple[str, list[Gap | None]]]:
    """What papers report against each other: by row its label, and the gap to each, None to itself."""
    gaps = {(one.first, one.second): _gap(one) for one in page.differences}
    gaps |= {(one.second, one.first): _gap(one, sign=-1) for one in page.differences}
    labels = [entry.label for entry in page.entries if entry.as_in_paper]
    rows = [(first, [gaps.get((first, second)) for second in labels]) for first in labels]
    return rows if any(gap for _, row in rows for gap in row) else []


def _confusions(page: Page) -> list[dict[str, Any]]:
    """Label and counts of the entries with a confusion matrix."""
    return [
        {"label": entry.label, "counts": entry.confusion.tolist()}
        for entry in page.entries
        if entry.confusion is not None
    ]


def step(value: float | None) -> int | None:
    """A fraction's step of ten on the heat maps' scale."""
    value = finite(value)
    return None if value is None else min(10, max(0, round(10 * value)))


def _picture(page: Page, test_image: ScoredImage) -> dict[str, Any]:
    """What the script needs of an image: its sheet has the truth first, then the entries' label maps."""
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
        "width": width_px,
        "height": height_px,
        "rows": rows,
        "ignored": bool((test_image.truth == IGNORE_INDEX).any()),
        "photo": photo_url(test_image.image),
        "sheet": sheet,
    }
