"""The campaign's report."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from segbench.report.pages.markdown import table
from tests.campaign.faults import Fault, Impossible
from tests.campaign.ground import Outcome
from tests.campaign.kills import Kill

COUNTED = ("tried", "ended equal", "stopped clearly, then equal", "lost")
MOST_SHOWN = 160


@dataclass(frozen=True)
class Entry:
    """A kill or a fault and how the project ended."""

    disturbance: Kill | Fault
    outcome: Outcome | Impossible

    def __str__(self) -> str:
        return f"{self.disturbance}: {self.verdict}{''.join(f'; {problem}' for problem in self.problems)}"

    @property
    def problems(self) -> tuple[str, ...]:
        """All that should not be."""
        return () if isinstance(self.outcome, Impossible) else self.outcome.problems

    @property
    def was_tried(self) -> bool:
        """Whether the machine had the means."""
        return not isinstance(self.outcome, Impossible)

    @property
    def is_lost(self) -> bool:
        """Whether anything was not as it should be."""
        return bool(self.problems)

    @property
    def verdict(self) -> str:
        """One of COUNTED, with the clear line, or why the fault was not tried."""
        if isinstance(self.outcome, Impossible):
            return f"not tried: {self.outcome}"
        if self.is_lost:
            return "lost"
        if self.outcome.stops:
            return f"stopped clearly, then equal: `{_short(self.outcome.stops[0])}`"
        return "ended equal"


def report(entries: Sequence[Entry], *, seed: int, machine: str, commit: str) -> list[str]:
    """The report's lines, in Markdown."""
    tried = [entry for entry in entries if entry.was_tried]
    kills = [entry for entry in entries if isinstance(entry.disturbance, Kill)]
    faults = [entry for entry in entries if isinstance(entry.disturbance, Fault)]
    lost = [entry for entry in tried if entry.is_lost]
    return [
        "# Kills and faults",
        "",
        f"Tried: {len(tried)} ({len(kills)} kills, {len(tried) - len(kills)} faults). Survived: "
        f"{len(tried) - len(lost)}. Lost: {len(lost)}.",
        "",
        "In a small copy of the project (a few scenes, two models and a variant, one thread per process), stages are "
        "killed at random moments, and faults are planted one at a time. After each, `dvc repro` has to end with the "
        "results of an undisturbed run, byte for byte: samples, weights, label maps, counts, scores, tables, figures. "
        "Or it stops with one clear line, and ends so after what the line asks for. Times, rates and memory are left "
        "out of the comparison, and so are the pages that say them in their text (benchmark.md, benchmark.tex, "
        "index.html). *Lost* is also what leaves a process, a temporary file or an MLflow run that seems to go on, or "
        "stops with a traceback.",
        "",
        f"Machine: {machine}. Commit: {commit or 'unknown'}. Seed: {seed}. To repeat it: `make reliability`.",
        "",
        "## Kills, by stage",
        "",
        "A first run is that of a stage without outputs and without an entry in dvc.lock; a forced run is "
        "`dvc repro --force` of a finished stage. Moments are drawn evenly from the time that the stage and what DVC "
        "does after it usually take.",
        "",
        *_counts(kills, "stage", lambda kill: kill.stage),
        "",
        "## Kills, by signal and target",
        "",
        *_counts(kills, "signal to", lambda kill: f"{kill.signal_name} to {kill.target}"),
        "",
        "## Faults",
        "",
        *table(
            ("fault", "where", "outcome"),
            [(entry.disturbance.what, entry.disturbance.where, _cell(entry.verdict)) for entry in faults
             if isinstance(entry.disturbance, Fault)],
            left=3,
        ),
        "",
        "## What was lost",
        "",
        *([f"- {_name(entry)}: {_short('; '.join(entry.problems), most=600)}" for entry in lost] or ["Nothing."]),
    ]  # fmt: skip


def _counts(kills: Iterable[Entry], title: str, group: Callable[[Kill], str]) -> list[str]:
    by_group: dict[str, list[Entry]] = {}
    for entry in kills:
        assert isinstance(entry.disturbance, Kill)
        by_group.setdefault(group(entry.disturbance), []).append(entry)
    rows = []
    for name, members in sorted(by_group.items()):
        numbers = [sum(entry.verdict.startswith(verdict) for entry in members) for verdict in COUNTED[1:]]
        rows.append((name, *map(str, (len(members), *numbers))))
    return table((title, *COUNTED), rows, left=1)


def _name(entry: Entry) -> str:
    return str(entry.disturbance)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _short(text: str, *, most: int = MOST_SHOWN) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]} ..."
