"""Which entries cannot be told apart, for the chart of the ranking."""

from collections.abc import Iterator, Mapping, Sequence

from segbench.report.table.content import SIGNIFICANT
from segbench.scoring.intervals import Difference, Pair


def indistinguishable(labels: Sequence[str], differences: Mapping[Pair, Difference]) -> list[tuple[str, ...]]:
    """The sets of at least two entries within which no two differ significantly, as large as they can be.

    Two entries that differ are in no common set, and two that do not differ are in at least one. A pair without a known
    difference counts as different. labels: best first, as are the labels within a set and the sets.
    """
    alike: dict[str, set[str]] = {label: set() for label in labels}
    for pair, difference in differences.items():
        if difference.adjusted_p_value >= SIGNIFICANT and {pair.first, pair.second} <= alike.keys():
            alike[pair.first].add(pair.second)
            alike[pair.second].add(pair.first)
    place = {label: index for index, label in enumerate(labels)}
    found = [sorted(place[label] for label in chosen) for chosen in _cliques(set(), set(labels), set(), alike)]
    return [tuple(labels[index] for index in chosen) for chosen in sorted(found) if len(chosen) > 1]


def _cliques(
    chosen: set[str], candidates: set[str], done: set[str], alike: Mapping[str, set[str]]
) -> Iterator[set[str]]:
    """All maximal sets of entries that are alike, by Bron and Kerbosch (1973), with a pivot."""
    if not candidates and not done:
        yield chosen
        return
    pivot = max(sorted(candidates | done), key=lambda label: len(candidates & alike[label]))
    for label in sorted(candidates - alike[pivot]):
        yield from _cliques(chosen | {label}, candidates & alike[label], done & alike[label], alike)
        candidates = candidates - {label}
        done = done | {label}
