"""The benchmark table. Fractions in CSV, per cent in Markdown."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from segbench.files import replacing
from segbench.report.pages.markdown import table
from segbench.report.table.content import Difference, Entry, Estimate, Page
from segbench.report.table.numbers import MISSING, finite, percent, points, probability
from segbench.scoring.metrics import SHORT_NAMES

CAPTIONED = ("intervals", "network input", "backbone", "schedule", "seeds", "trained at commit", "machine")
"""Of the protocol, what a paper's table must say."""


def write_csv(path: Path, page: Page) -> None:
    """A row an entry, every digit, for programs."""
    _write_rows(path, [_record(entry, page) for entry in page.entries])


def write_differences(path: Path, differences: Sequence[Difference]) -> None:
    """A row a pair: the first's mIoU minus the second's, a fraction, its intervals, and p over all pairs."""
    _write_rows(
        path,
        [
            {
                "first": one.first,
                "second": one.second,
                **_interval("difference", one.alone),
                "simultaneous_low": one.simultaneous.low,
                "simultaneous_high": one.simultaneous.high,
                "adjusted_p_value": one.adjusted_p_value,
            }
            for one in differences
        ],
    )


def _write_rows(path: Path, records: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for record in records for name in record))
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def _interval(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _record(entry: Entry, page: Page) -> dict[str, Any]:
    record: dict[str, Any] = {
        "model": entry.model,
        "crf": "on" if entry.crf else "off",
        "as_in_paper": entry.as_in_paper,
        "rank": entry.rank.place,
        "rank_best": entry.rank.best,
        "rank_worst": entry.rank.worst,
    }
    for short, name in SHORT_NAMES.items():
        record |= _interval(short, getattr(entry, name))
    record["num_classes_averaged"] = entry.num_classes_averaged
    record["mIoU_seed_spread"] = entry.seed_spread
    record |= {f"IoU_{name}": value for name, value in zip(page.classes.names, entry.class_iou, strict=True)}
    widths = zip(page.boundary_widths_px, entry.boundary_mean_iou, strict=False)
    record |= {f"mIoU_within_{width:g}_px": value for width, value in widths}
    record |= {f"mIoU_{group.name}": v for group, v in zip(page.groups, entry.group_mean_iou, strict=True)}
    if entry.costs is not None:
        record |= {field.name: getattr(entry.costs, field.name) for field in fields(entry.costs)}
        record["latency_ms"] = entry.costs.latency_ms.value
        record["is_on_front"] = entry.is_on_front
    record |= dict(entry.protocol)
    record["deviations"] = ", ".join(entry.deviations)
    if entry.published is not None:
        record |= {"published_mIoU": entry.published.mean_iou, "published_protocol": entry.published.protocol}
    return {name: "" if value is None else value for name, value in record.items()}


def markdown(page: Page) -> str:
    """The table and its notes, what lies behind it, its limits and its protocol; the best of each score is bold."""
    best = _best(page)

    def score(entry: Entry, name: str) -> str:
        value = getattr(entry, name).value
        return f"**{percent(value)}**" if value == best[name] else percent(value)

    header = [
        "Model", "CRF", "Rank", *(f"{short} %" for short in SHORT_NAMES), "mIoU interval", "Parameters (M)", "GMAC",
        "Latency (ms)", "Memory (MiB)", "Training (s)", "Front",
    ]  # fmt: skip
    rows = [
        [
            entry.model,
            _switch(entry),
            _rank(entry),
            *(score(entry, name) for name in SHORT_NAMES.values()),
            _ends(entry.mean_iou),
            *_costs(entry),
        ]
        for entry in page.entries
    ]
    lines = [f"# Benchmark on {page.dataset}", "", page.description, "", page.result, "", *table(header, rows, left=2)]
    notes = (
        "An asterisk marks what a model's paper reports: DeepLab v1 and v2 end with a CRF, the others do not have one.",
        *page.notes,
    )
    lines += ["", *(f"- {note}" for note in notes), ""]
    if deviations := _deviations(page):
        lines += ["Deviations from the common protocol:", ""]
        lines += [f"- {model}: {', '.join(texts)}" for model, texts in deviations.items()] + [""]
    for section in (_crf, _seeds, _classes, _groups, _boundaries, _published, _limits):
        lines += section(page)
    lines += ["## Protocol", "", *table(["what", "value"], [list(pair) for pair in page.protocol], left=2)]
    return "\n".join(lines) + "\n"


def latex(page: Page) -> str:
    """The table for a paper, with the booktabs package; the best of each score is bold."""
    best = _best(page)

    def score(entry: Entry, name: str) -> str:
        text = percent(getattr(entry, name).value)
        return rf"\textbf{{{text}}}" if getattr(entry, name).value == best[name] else text

    header = ["Model", "CRF", *(rf"{short} \%" for short in SHORT_NAMES), r"mIoU, 95\,\%", "M", "GMAC", "ms"]
    rows = [
        [
            _escaped(entry.model),
            "on" if entry.crf else "off",
            *(score(entry, name) for name in SHORT_NAMES.values()),
            _ends(entry.mean_iou),
            *_costs(entry)[:3],
        ]
        for entry in page.entries
    ]
    protocol = " ".join(f"{what.capitalize()}: {value}." for what, value in page.protocol if what in CAPTIONED)
    deviations = "; ".join(f"{model} {', '.join(texts)}" for model, texts in _deviations(page).items())
    caption = _escaped(
        f"{page.description} {protocol} Deviations: {deviations or 'none'}. "
        "M: parameters in millions. ms: latency of an image."
    )
    lines = [
        r"\begin{table}",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
        *(" & ".join(cell.replace(MISSING, "--") for cell in row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Plain text for LaTeX."""
    special = {**{sign: rf"\{sign}" for sign in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(sign, sign) for sign in text.replace("\\", "/"))


def _deviations(page: Page) -> dict[str, tuple[str, ...]]:
    """By model, in which it differs from the common protocol."""
    return {entry.model: entry.deviations for entry in page.entries if entry.deviations}


def _best(page: Page) -> dict[str, float]:
    """The highest value of each score."""
    return {
        name: max(finite(getattr(entry, name).value) or 0 for entry in page.entries) for name in SHORT_NAMES.values()
    }


def _switch(entry: Entry) -> str:
    return f"{'on' if entry.crf else 'off'}{' *' if entry.as_in_paper and entry.costs else ''}"


def _rank(entry: Entry) -> str:
    """`2 (1-4)`: the place, and those that its interval allows."""
    return f"{entry.rank.place} ({entry.rank.best}-{entry.rank.worst})"


def _ends(estimate: Estimate) -> str:
    return f"[{percent(estimate.low)}, {percent(estimate.high)}]"


def _costs(entry: Entry) -> list[str]:
    costs = entry.costs
    if costs is None:
        return [MISSING] * 6

    def shown(value: float | None, form: Callable[[float], str]) -> str:
        return MISSING if value is None else form(value)

    return [
        shown(costs.parameters, lambda value: f"{value / 1e6:.2f}"),
        shown(costs.multiply_adds, lambda value: f"{value / 1e9:.2f}"),
        shown(costs.latency_ms.value, lambda value: f"{value:.1f}"),
        shown(costs.peak_memory_mib, lambda value: f"{value:.0f}"),
        shown(costs.training_seconds, lambda value: f"{value:.0f}"),
        "yes" if entry.is_on_front else "",
    ]


def _signed(estimate: Estimate) -> str:
    """A difference in points of per cent with its interval."""
    return f"{points(estimate.value)} [{points(estimate.low)}, {points(estimate.high)}]"


def _crf(page: Page) -> list[str]:
    """What the CRF changed on the test images, with and without a correction for the number of comparisons."""
    rows = [
        [one.second, _signed(one.alone), _signed(one.simultaneous), probability(one.adjusted_p_value)]
        for one in page.differences
        if one.first == f"{one.second} + CRF"
    ]
    if not rows:
        return []
    header = ["Model", "mIoU with the CRF, points", "interval of all comparisons", "adjusted p"]
    lines = ["## What the CRF buys", "", *table(header, rows, left=1), ""]
    if page.crf_choices:
        heading, *choices = page.crf_choices
        lines += [page.crf_choices_note, "", *table(heading, choices, left=1), ""]
    return lines


def _seeds(page: Page) -> list[str]:
    rows = [
        [entry.model, _switch(entry), percent(entry.mean_iou.value), percent(entry.seed_spread)]
        for entry in page.entries
        if finite(entry.seed_spread) is not None
    ]
    about = "Of the models that were trained several times: their mean, and the standard deviation between trainings."
    header = ["Model", "CRF", "mIoU %", "Seed spread"]
    return ["## Seeds", "", about, "", *table(header, rows, left=2), ""] if rows else []


def _classes(page: Page) -> list[str]:
    rows = [[entry.model, _switch(entry), *map(percent, entry.class_iou)] for entry in page.entries]
    return ["## By class", "", "IoU in per cent.", "", *table(["Model", "CRF", *page.classes.names], rows, left=2), ""]


def _groups(page: Page) -> list[str]:
    if not page.groups:
        return []
    header = ["Model", "CRF", *(f"{group.name} ({'seen' if group.is_seen else 'unseen'}) %" for group in page.groups)]
    rows = [[entry.model, _switch(entry), *map(percent, entry.group_mean_iou)] for entry in page.entries]
    counts = ", ".join(f"{group.name} {group.num_images}" for group in page.groups)
    about = f"mIoU by group; seen: training images are of it too. Images: {counts}."
    return ["## By group", "", about, "", *table(header, rows, left=2), ""]


def _boundaries(page: Page) -> list[str]:
    rows = [
        [entry.model, _switch(entry), *map(percent, entry.boundary_mean_iou)]
        for entry in page.entries
        if entry.boundary_mean_iou
    ]
    if not rows:
        return []
    header = ["Model", "CRF", *(f"{width:g} px %" for width in page.boundary_widths_px)]
    about = "mIoU of the pixels within so many pixels of a boundary between two classes (trimap)."
    return ["## Near boundaries", "", about, "", *table(header, rows, left=2), ""]


def _published(page: Page) -> list[str]:
    published = {entry.model: entry.published for entry in page.entries if entry.published}
    rows = [[model, percent(one.mean_iou), one.protocol] for model, one in published.items()]
    about = "By their own protocols, which differ from this one:"
    header = ["Model", "mIoU %", "Protocol"]
    return ["## Published figures", "", about, "", *table(header, rows, left=3), ""] if rows else []


def _limits(page: Page) -> list[str]:
    return ["## What limits the comparison", "", *(f"- {text}" for text in page.limits), ""] if page.limits else []
