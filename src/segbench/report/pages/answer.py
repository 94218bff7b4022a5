"""Which model to use: what a dataset's numbers say, in sentences that are made by rules.

Models are as their papers have them, with the CRF where the paper has one. One model is called better than another
only where the difference of their mIoU is significant after the correction for the number of comparisons.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from segbench.report.pages.listing import by_value, listed
from segbench.report.table.content import (
    SIGNIFICANT,
    Answer,
    Entry,
    are_of_several_machines,
    best_as_published,
    label,
)
from segbench.report.table.numbers import counted, duration, finite, percent, percent_range, points
from segbench.scoring.intervals import Difference, Pair

LEAST_OF_BEST = 0.5
"""A model is recommended for its speed only with this part of the best one's mIoU."""
SPACE = "\N{NO-BREAK SPACE}"
TRUST = "What should I know before I trust the order?"


def answers(
    entries: Sequence[Entry], differences: Mapping[Pair, Difference], *, longer: Mapping[Pair, Difference],
    num_images: int, cautions: Sequence[str],
) -> tuple[Answer, ...]:  # fmt: skip
    """A reader's questions and their answers, warnings first. Questions that the numbers do not answer are left out.

    longer: differences with blocks of test images twice as long; empty where they are not known. num_images: of the
    test split. cautions: sentences on what else could change the answers.
    """
    published = as_published(entries)
    best, found = best_as_published(published), Differences(differences)
    equals = found.equals(best, published)
    texts = {
        TRUST: " ".join([*cautions, *_with_longer_blocks(best, published, equals, Differences(longer))]),
        "Which model is the most accurate?": _most_accurate(equals, published, num_images=num_images),
        "What does it cost?" if len(equals) == 1 else "Which of these costs least?": _cheapest(equals),
        "Which one if time per image matters?": _when_time_matters(published, best, found),
        "Is the CRF worth its time?": _worth_of_crf(entries, found),
    }
    return tuple(Answer(question, text) for question, text in texts.items() if text)


def as_published(entries: Sequence[Entry]) -> list[Entry]:
    """Ranked entries that are as their papers have them; all if there is none.

    A single set of predictions among means over several trainings is not ranked.
    """
    return [entry for entry in entries if entry.as_in_paper and entry.rank] or list(entries)


class Differences:
    """Differences of mIoU by the entries' labels."""

    def __init__(self, differences: Mapping[Pair, Difference]) -> None:
        self._found = {(pair.first, pair.second): difference for pair, difference in differences.items()}

    def __bool__(self) -> bool:
        return bool(self._found)

    def is_better(self, first: Entry, second: Entry) -> bool:
        """Whether the first entry's mIoU is significantly higher than the second's."""
        pairs = ((first.label, second.label), (second.label, first.label))
        found = next((self._found[pair] for pair in pairs if pair in self._found), None)
        is_higher = first.mean_iou.value > second.mean_iou.value
        return is_higher and found is not None and found.adjusted_p_value < SIGNIFICANT

    def equals(self, best: Entry, others: Sequence[Entry]) -> list[Entry]:
        """The best, and those of the others that are not significantly worse."""
        return [best, *(entry for entry in others if entry is not best and not self.is_better(best, entry))]

    def of_crf(self, model: str) -> Difference | None:
        """mIoU with the CRF minus that without."""
        return self._found.get((label(model, crf=True), model))


def _most_accurate(equals: Sequence[Entry], published: Sequence[Entry], *, num_images: int) -> str:
    best = equals[0]
    if len(equals) == 1:
        interval = percent_range(best.mean_iou.low, best.mean_iou.high)
        others = ", significantly higher than that of every other model as published" if len(published) > 1 else ""
        has = "has the highest mIoU," if len(published) > 1 else "has an mIoU of"
        return f"{best.label} {has} {_score(best)} [{interval}]{others}."
    names = listed([f"{entry.label} ({_score(entry)})" for entry in equals])
    which = "the two" if len(equals) == 2 else f"the {len(equals)}"
    return f"{names} have the highest mIoU. {counted(num_images, 'test image')} cannot tell {which} apart."


def _with_longer_blocks(
    best: Entry, published: Sequence[Entry], equals: Sequence[Entry], longer: Differences
) -> list[str]:
    """Which further models cannot be told apart from the best if more neighbouring frames are taken as one."""
    names = [entry.label for entry in longer.equals(best, published) if entry not in equals] if longer else []
    if not names:
        return []
    return [f"With blocks of test images twice as long, {best.label} cannot be told apart from {listed(names)} either."]


def _cheapest(equals: Sequence[Entry]) -> str:
    """The fastest to train and to label an image, of the models that cannot be told apart.

    Training times are compared only if one machine trained all of them.
    """
    took = {entry.label: seconds for entry in equals if (seconds := _training_seconds(entry))}
    times = {entry.label: ms for entry in equals if (ms := _ms(entry))}
    if not len(took) == len(times) == len(equals):
        return ""
    to_train, to_label = min(took, key=took.__getitem__), min(times, key=times.__getitem__)
    training, labelling = duration(took[to_train]), _latency(times[to_label])
    if len(equals) == 1:
        return f"It was trained in {training} and labels an image in {labelling}."
    if are_of_several_machines(equals):
        return (
            f"{to_label} takes the least time to label an image ({labelling}). They were trained on machines of "
            "different kinds, so their training times do not compare."
        )
    if to_train == to_label:
        return f"{to_train} takes the least time both to train ({training}) and to label an image ({labelling})."
    return f"{to_train} takes the least time to train ({training}), {to_label} to label an image ({labelling})."


def _when_time_matters(published: Sequence[Entry], best: Entry, differences: Differences) -> str:
    """The models that are significantly more accurate than everything faster."""
    times = {entry.label: ms for entry in published if (ms := _ms(entry))}
    timed = sorted((entry for entry in published if entry.label in times), key=lambda entry: times[entry.label])
    steps = [
        entry
        for place, entry in enumerate(timed)
        if all(differences.is_better(entry, faster) for faster in timed[:place])
    ]
    poor = [entry for entry in steps if entry.mean_iou.value < LEAST_OF_BEST * best.mean_iou.value]
    steps = [entry for entry in steps if entry not in poor]
    if len(timed) < 2 or not steps:
        return ""
    shown = listed([f"{entry.label} ({_latency(times[entry.label])} per image, {_score(entry)})" for entry in steps])
    if len(steps) == 1:
        return f"{shown}. No slower model is significantly more accurate than everything that is faster."
    other = (
        f"no other model with at least {100 * LEAST_OF_BEST:g}{SPACE}% of the highest mIoU is"
        if poor
        else "no other model is"
    )
    return f"{shown}. Each of these is significantly more accurate than every faster model; {other}."


def _worth_of_crf(entries: Sequence[Entry], differences: Differences) -> str:
    """How much mIoU the CRF adds to the models, and how much time."""
    found = {entry.model: gain for entry in entries if entry.crf and (gain := differences.of_crf(entry.model))}
    if not found:
        return ""
    time = _time_of_crf([entry for entry in entries if entry.model in found])
    gains = {model: gain.alone.value for model, gain in found.items()}
    sure = [gain.alone.value for gain in found.values() if gain.adjusted_p_value < SIGNIFICANT]
    if len(gains) == 1:
        (model,) = gains
        is_sure = "significantly" if sure else "not significantly"
        return f"It changes the mIoU of {model} by {points(gains[model])} points, {is_sure}{time}."
    least, most = min(gains, key=gains.__getitem__), max(gains, key=gains.__getitem__)
    higher, lower = sum(gain > 0 for gain in sure), sum(gain < 0 for gain in sure)
    worse = f", and lowers that of {lower}" if lower else ""
    return (
        f"It changes mIoU by {points(median(gains.values()))} points in the median, from {points(gains[least])} "
        f"({least}) to {points(gains[most])} ({most}){time}. It significantly raises the mIoU of {higher} of "
        f"{len(gains)} models{worse}."
    )


def _time_of_crf(entries: Sequence[Entry]) -> str:
    """What the CRF adds to the time for one image, in words that go on a sentence; empty if it is not known.

    If machines of several kinds timed the CRF, only the models of the commonest kind count.
    """
    without_ms = {entry.model: _ms(entry) for entry in entries if not entry.crf}
    timed = {
        entry.model: (entry.costs.predicted_on, with_ms - plain_ms)
        for entry in entries
        if entry.crf and entry.costs and (with_ms := _ms(entry)) and (plain_ms := without_ms[entry.model])
    }
    if not timed:
        return ""
    (machine, models), *others = by_value({model: machine for model, (machine, _) in timed.items()}).items()
    added_ms = {model: timed[model][1] for model in models}
    text = f", and adds {_latency(median(added_ms.values()))} per image"
    if len(added_ms) > 1:
        quickest, slowest = min(added_ms, key=added_ms.__getitem__), max(added_ms, key=added_ms.__getitem__)
        text += (
            f" in the median, from {_latency(added_ms[quickest])} ({quickest}) to "
            f"{_latency(added_ms[slowest])} ({slowest})"
        )
    return f"{text}, for the {counted(len(models), 'model')} whose CRF was timed on {machine}" if others else text


def _score(entry: Entry) -> str:
    return f"{percent(entry.mean_iou.value)}{SPACE}%"


def _ms(entry: Entry) -> float | None:
    """The time for one image, if it is known."""
    return finite(entry.costs.latency_ms) if entry.costs else None


def _training_seconds(entry: Entry) -> float | None:
    return finite(entry.costs.training_seconds) if entry.costs else None


def _latency(ms: float) -> str:
    return f"{ms:.0f}{SPACE}ms" if ms >= 100 else f"{ms:.1f}{SPACE}ms"
