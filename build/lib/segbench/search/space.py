"""What a search may change: paths in params.yaml, each with a range or with choices, as users write them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
import yaml

from segbench import params
from segbench.errors import InputError

HOW = "write PATH=LOW:HIGH, PATH=LOW:HIGH:log or PATH=VALUE,VALUE"
DIGITS = 3
"""Of a number that is drawn from a range: what people read and copy is what was trained with."""


@dataclass(frozen=True)
class Interval:
    """Numbers from low to high, both included; whole ones if both bounds are. is_log: drawn on a log scale."""

    low: float
    high: float
    is_log: bool

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def drawn(self, trial: optuna.trial.BaseTrial, path: str) -> Any:
        """The trial's value, to DIGITS significant digits."""
        if self.is_whole:
            return trial.suggest_int(path, int(self.low), int(self.high), log=self.is_log)
        value = float(f"{trial.suggest_float(path, self.low, self.high, log=self.is_log):.{DIGITS}g}")
        return min(max(value, self.low), self.high)

    def stored(self, value: Any) -> Any:
        """The value as Optuna stores it; None if it lies outside."""
        is_number = isinstance(value, int if self.is_whole else int | float) and not isinstance(value, bool)
        return value if is_number and self.low <= value <= self.high else None

    def examples(self) -> list[Any]:
        """Values by which to find out whether all are valid."""
        return [self.low, self.high]


@dataclass(frozen=True)
class Choices:
    """Values of any kind, as JSON, since Optuna's own choices cannot be lists."""

    texts: tuple[str, ...]

    def drawn(self, trial: optuna.trial.BaseTrial, path: str) -> Any:
        """The trial's value."""
        return json.loads(trial.suggest_categorical(path, self.texts))

    def stored(self, value: Any) -> Any:
        """The value as Optuna stores it; None if it is none of the choices."""
        text = json.dumps(value)
        return text if text in self.texts else None

    def examples(self) -> list[Any]:
        """All of them."""
        return [json.loads(text) for text in self.texts]


Space = Mapping[str, Interval | Choices]
"""By dotted path in params.yaml."""


def parsed(options: Sequence[str]) -> Space:
    """The space that options such as train.lr=0.001:0.1:log name. InputError for one that cannot be read."""
    space: dict[str, Interval | Choices] = {}
    for option in options:
        path, equals, text = option.partition("=")
        if not equals or not path or not text:
            raise InputError(f"--param {option}: {HOW}")
        if path in space:
            raise InputError(f"--param {option}: {path} has a range already; name it once")
        space[path] = _range_of(option, text)
    if not space:
        raise InputError(f"nothing to search for; name parameters with --param: {HOW}")
    return space


def _range_of(option: str, text: str) -> Interval | Choices:
    bounds = re.fullmatch(r"([^:,{}\[\]\s]+):([^:,{}\[\]\s]+)(?::(\w+))?", text)
    if bounds:
        low, high = map(_number, bounds.groups()[:2])
        if low is None or high is None or bounds[3] not in (None, "log"):
            raise InputError(f"--param {option}: {HOW}")
        if low >= high:
            raise InputError(f"--param {option}: the range begins at {low} and ends at {high}; it must end above")
        if bounds[3] and low <= 0:
            raise InputError(f"--param {option}: a log scale must begin above 0")
        return Interval(low, high, bool(bounds[3]))
    try:
        values = [_value(value) for value in yaml.safe_load(f"[{text}]")]
        texts = tuple(dict.fromkeys(json.dumps(value) for value in values))
    except (yaml.YAMLError, TypeError):
        raise InputError(f"--param {option}: not readable as values of params.yaml; {HOW}") from None
    if len(texts) < 2:
        raise InputError(f"--param {option}: one value is no choice; {HOW}")
    return Choices(texts)


def _value(value: Any) -> Any:
    """What YAML has read; also numbers such as 1e-3, which it takes for text."""
    number = _number(value) if isinstance(value, str) else None
    return value if number is None else number


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def check_paths(space: Space, *, dataset: str, model: str) -> None:
    """Raise InputError for a path that is no value of the model's training on stored samples."""
    sections = (f"models.{model}.", "train.", f"datasets.{dataset}.train.", "backbone.")
    for path in space:
        if not path.startswith(sections):
            raise InputError(
                f"--param {path}: a search of {dataset}/{model} changes what is under "
                f"{', '.join(section.rstrip('.') for section in sections)}; samples are the same for all trials"
            )
        name = path.rpartition(".")[2]
        if name in params.NOT_SEARCHED and name in params.Train.model_fields and "train" in path.split("."):
            other = "; say --epochs" if name == "epochs" else ""
            raise InputError(f"--param {path}: {name} is the same for all trials{other}")


def each_alone(space: Space) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(path, changes of params.yaml): for each of a path's examples, that one and the first of the other paths."""
    first = first_values(space)
    for path, values in space.items():
        yield path, [{**first, path: value} for value in values.examples()]


def first_values(space: Space) -> dict[str, Any]:
    """One value of each path: the same for the same space."""
    return {path: values.examples()[0] for path, values in space.items()}


def drawn(space: Space, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
    """The trial's values by path, the same whenever it is asked."""
    return {path: values.drawn(trial, path) for path, values in space.items()}


def stored(space: Space, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Values by path as Optuna stores them; None if the space lacks one of them."""
    found = {path: of_path.stored(values.get(path)) for path, of_path in space.items()}
    return None if None in found.values() else found


def shown(space: Space) -> dict[str, str]:
    """Each path's values, for people and to compare spaces by."""
    return {
        path: ", ".join(values.texts)
        if isinstance(values, Choices)
        else f"{values.low:g} to {values.high:g}{', log scale' if values.is_log else ''}"
        for path, values in space.items()
    }
