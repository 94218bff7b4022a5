"""One page over all datasets' reports: which model is best on each, and what holds on all of them.

It is made from what the reports hold in files: benchmark.csv, differences.csv, what benchmark.md says of the data and
the machines, and the training.json of each model.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from segbench.errors import InputError
from segbench.files import read_csv, read_json
from segbench.report.pages import web
from segbench.report.pages.answer import TRUST, Differences, answers, as_published
from segbench.report.pages.listing import listed
from segbench.report.pages.protocol import COMMIT, LICENCE, MACHINE
from segbench.report.table.comparison import MEAN_IOU
from segbench.report.table.content import Answer, Costs, Entry, best_as_published
from segbench.report.table.numbers import finite, percent
from segbench.report.table.results import machines_of
from segbench.scoring.intervals import Difference, Interval, Pair

LINKS = {
    "the page": "index.html", "as Markdown": "benchmark.md", "CSV": "benchmark.csv", "LaTeX": "benchmark.tex",
    "the lecture's claims": "claims.md", "the audit of the images": "audit.md",
}  # fmt: skip
WARNINGS = re.compile(
    r"^- (Split: .+|Validation: .+|Trained with different seeds: .+|\S.* was trained (?:once|\d+ times)\b.+)$",
    re.MULTILINE,
)
"""Lines of benchmark.md on how the models were trained, and on images of one group in several splits."""


@dataclass(frozen=True)
class DatasetReport:
    """What a dataset's reports hold. entries: as `Entry`, with mIoU, latency and training time alone."""

    name: str
    description: str
    num_images: int
    cautions: tuple[str, ...]
    """Sentences on what could change the order."""
    entries: tuple[Entry, ...]
    differences: Mapping[Pair, Difference]
    links: Mapping[str, str]
    origin: Mapping[str, str]
    """Machine, licence and commit, as far as the protocol has them: reports in git may be older."""
    costs: tuple[str, ...] = ()
    """Which costs do not compare, since models ran on machines of different kinds."""

    @classmethod
    def read(cls, folder: Path) -> "DatasetReport":
        """From a folder of reports. InputError if a file is missing or has another form."""
        for file in ("benchmark.md", "benchmark.csv", "differences.csv"):
            if not (folder / file).is_file():
                raise InputError(f"{folder / file}: no such file; run dvc repro compare@{folder.name}")
        text = (folder / "benchmark.md").read_text(encoding="utf-8")
        told = re.search(r"^\S+: .*?(\d+) test images?\b.*$", text, re.MULTILINE)
        if not told:
            raise InputError(f"{folder / 'benchmark.md'}: has no line on the dataset's images; run dvc repro again")
        table = read_csv(folder / "benchmark.csv")
        scored = table[table["mIoU"].notna()]
        pairs = read_csv(folder / "differences.csv").to_dict("records") if len(scored) > 1 else []
        return cls(
            name=folder.name,
            description=told[0],
            num_images=int(told[1]),
            cautions=cautions(text),
            entries=tuple(_entry(row, folder / "models") for row in scored.to_dict("records")),
            differences={Pair(row["first"], row["second"], MEAN_IOU): _difference(row) for row in pairs},
            origin=dict(re.findall(rf"^\| ({MACHINE}|{COMMIT}|{LICENCE}) +\| (.*?) +\|$", text, re.MULTILINE)),
            links={name: f"{folder.name}/{file}" for name, file in LINKS.items() if (folder / file).exists()},
            costs=tuple(re.findall(r"^- Costs: (.+)$", text, re.MULTILINE)),
        )

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """To a reader's questions."""
        return answers(self.entries, self.differences, longer={}, num_images=self.num_images, cautions=self.cautions)

    @cached_property
    def published(self) -> dict[str, Entry]:
        """By model, the entry as its paper has it, if it has a rank."""
        return {entry.model: entry for entry in as_published(self.entries)}

    @cached_property
    def best(self) -> set[str]:
        """The most accurate model, and those that cannot be told apart from it."""
        entries = list(self.published.values())
        found = Differences(self.differences).equals(best_as_published(entries), entries)
        return {entry.model for entry in found}

    def is_better(self, first: str, second: str) -> bool:
        """Whether the first model is significantly more accurate than the second."""
        entries = self.published
        return Differences(self.differences).is_better(entries[first], entries[second])


class ModelRow(NamedTuple):
    """A model's mIoU as published on each dataset, None where it was not run, and where it is among the best.

    label: its name, with `+ CRF` where its paper has one.
    """

    label: str
    scores: tuple[str | None, ...]
    is_best: tuple[bool, ...]


def overview_html(reports: Sequence[DatasetReport]) -> str:
    """The page, in one file beside the datasets' folders."""
    return web.template("overview").render(
        reports=reports,
        rows=model_rows(reports),
        everywhere=what_holds_everywhere(reports),
        style=web.style("page", "table"),
    )


def model_rows(reports: Sequence[DatasetReport]) -> list[ModelRow]:
    """The models that are closest to the best ones come first."""
    return [
        ModelRow(
            _label(model, reports),
            tuple(_score(report.published.get(model)) for report in reports),
            tuple(model in report.best for report in reports),
        )
        for model in _by_gap(reports)
    ]


def _by_gap(reports: Sequence[DatasetReport]) -> list[str]:
    """Models by how far they are below the best one, in the mean over the datasets."""
    gaps: dict[str, list[float]] = {}
    for report in reports:
        highest = max(entry.mean_iou.value for entry in report.published.values())
        for model, entry in report.published.items():
            gaps.setdefault(model, []).append(highest - entry.mean_iou.value)
    return sorted(gaps, key=lambda model: sum(gaps[model]) / len(gaps[model]))


def _label(model: str, reports: Sequence[DatasetReport]) -> str:
    """The model's name with `+ CRF`, if all datasets have it so."""
    labels = {report.published[model].label for report in reports if model in report.published}
    return labels.pop() if len(labels) == 1 else model


def cautions(benchmark: str) -> tuple[str, ...]:
    """What the text of benchmark.md says on trusting the order: its answer, or its limits in older reports."""
    if told := re.search(rf"^\*\*{re.escape(TRUST)}\*\* (.+)$", benchmark, re.MULTILINE):
        return (told[1],)
    return tuple(
        re.sub(r"^Validation: the (\d+) images", r"The \1 validation images", text).removeprefix("Split: ")
        for text in WARNINGS.findall(benchmark)
    )


def what_holds_everywhere(reports: Sequence[DatasetReport]) -> list[str]:
    """Sentences on models that were run on at least two datasets; none with a single dataset."""
    run_on = {model: [report for report in reports if model in report.published] for model in _by_gap(reports)}
    several = {model: of_model for model, of_model in run_on.items() if len(of_model) > 1}
    labels = {model: _label(model, of_model) for model, of_model in several.items()}
    texts = []
    if always := [model for model, of_model in several.items() if all(model in report.best for report in of_model)]:
        texts.append(
            f"{listed([labels[model] for model in always])}: on every dataset that "
            f"{'they were' if len(always) > 1 else 'it was'} run on, no model is significantly more accurate."
        )
    winners: dict[tuple[str, ...], list[str]] = {}
    for first in several:
        beaten = tuple(second for second in several if _is_better_everywhere(first, second, several))
        winners.setdefault(beaten, []).append(first)
    for beaten, models in winners.items():
        if beaten:
            names, others = (_all_of([labels[model] for model in group]) for group in (models, beaten))
            who = f"Each of {names}" if len(models) > 1 else names
            texts.append(f"{who} is significantly more accurate than {others}, on every dataset with both.")
    return texts


def _is_better_everywhere(first: str, second: str, run_on: Mapping[str, Sequence[DatasetReport]]) -> bool:
    """Whether the first model is significantly more accurate wherever both were run, which is at least twice."""
    both = [report for report in run_on[first] if second in report.published]
    return first != second and len(both) > 1 and all(report.is_better(first, second) for report in both)


def _all_of(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _score(entry: Entry | None) -> str | None:
    return percent(entry.mean_iou.value) if entry else None


def _entry(row: Mapping[Hashable, Any], models: Path) -> Entry:
    """Of a row of benchmark.csv. models: the folder of what the stages wrote on each model."""
    rank = finite(row["rank"])
    training, prediction = (
        read_json(file) if (file := models / str(row["model"]) / f"{name}.json").exists() else {}
        for name in ("training", "prediction")
    )
    costs = Costs(
        parameters=None, multiply_adds=None, latency_ms=finite(row["latency_ms"]), peak_memory_mib=None,
        training_images_per_second=None, training_seconds=finite(row["training_seconds"]),
        trained_on=machines_of(training) if "machines" in training else None,
        predicted_on=prediction.get("machine"),
    )  # fmt: skip
    return Entry(
        model=row["model"],
        crf=row["crf"] == "on",
        rank=None if rank is None else Interval(rank, row["rank_best"], row["rank_worst"]),
        scores={"mIoU": Interval(row["mIoU"], row["mIoU_low"], row["mIoU_high"])},
        class_iou=(),
        costs=costs,
        as_in_paper=row["as_in_paper"],
    )


def _difference(row: Mapping[Hashable, Any]) -> Difference:
    alone, simultaneous = (
        Interval(row["difference"], row[f"{kind}_low"], row[f"{kind}_high"]) for kind in ("difference", "simultaneous")
    )
    return Difference(alone, simultaneous, row["adjusted_p_value"])
