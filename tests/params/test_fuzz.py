"""Whatever stands in params.yaml is read as parameters, or refused in lines that each name the place."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from segbench import params
from segbench.errors import InputError
from tests.parameters import PARAMS_FILE, PROJECT

FUZZ = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
CONTENT = PARAMS_FILE.read_text()


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # the fast one
    def ignore_aliases(self, data: Any) -> bool:
        return True


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys from the top to every value, sections and lists too."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*above, key)
        yield from places(value, (*above, key))


SECTIONS = (
    "train", "crf", "augment", "evaluate", "compare", "champion", "backbone", "benchmark", "datasets", "models",
    "variants",
)  # fmt: skip
ODD_TEXTS = [
    "", " ", "a\nb", "a\u2028b", "\x1b[2J", "\0", "a/\0", "x" * 5000, "..", "~", "nan", "1e5", "yes", "{name}", "auto",
    "bundled", "\ud800", "2001-13-45",
]  # fmt: skip
singles = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([-(10**30), 2**31, 2**63, 10**30, 10**400]),
    st.floats(), st.sampled_from(ODD_TEXTS), st.text(max_size=8), st.dates(),
)  # fmt: skip
keys = st.one_of(st.sampled_from(["lr", "p", "by", "kind", "transforms", "scenes", "epochs"]), singles)
values = st.recursive(
    singles,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)


def replaced(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The tree with another value at one place; the rest is shared with it."""
    if not place:
        return value
    key, *rest = place
    changed = dict(tree) if isinstance(tree, dict) else list(tree)
    changed[key] = replaced(tree[key], tuple(rest), value)
    return changed


TREE = yaml.load(CONTENT, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
PLACES = {section: [place for place in places(TREE) if place[0] == section] for section in SECTIONS}


def assert_read_or_refused(path: Path) -> params.Params | None:
    """The parameters, None if an InputError names the file at the start of each of its lines."""
    try:
        return params.load(path)
    except InputError as error:
        lines = str(error).splitlines()
        assert lines and all(line.startswith(f"{path}: ") and line.isprintable() for line in lines), str(error)
        return None


@pytest.mark.parametrize("section", SECTIONS)
@settings(FUZZ, max_examples=30)
@given(data=st.data())
def test_any_value_at_any_place_is_read_or_refused(tmp_path: Path, section: str, data: st.DataObject) -> None:
    place, value = data.draw(st.sampled_from(PLACES[section])), data.draw(values)
    path = tmp_path / "edited.yaml"
    try:
        written = yaml.dump(replaced(TREE, place, value), Dumper=_Dumper, sort_keys=False)
        path.write_text(written, encoding="utf-8")
    except UnicodeEncodeError:  # half a character
        return
    assert_read_or_refused(path)


@settings(FUZZ, max_examples=100)
@given(text=st.text("[]{}&*!|>%@`:,-+.0123456789eExob_'\"# a\n\t~=<?yn", max_size=12))
@example("1" * 5000)
@example("2001-13-45")
@example("0b_")
@example("!!float x")
@example("!!bool x")
@example("!!timestamp x")
@example("&here [*here]")
@example("[" * 3000 + "]" * 3000)
def test_any_text_in_the_place_of_a_value_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "edited.yaml"
    path.write_text(CONTENT.replace("\n  lr: ", f"\n  lr: {text} # ", 1), encoding="utf-8")
    assert_read_or_refused(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2001-13-45", "not valid YAML: cannot read 2001-13-45; put quotes around a text in "),
        ("&here [*here]", "more than 50 sections and lists inside each other; is an alias inside its own entry?"),
        ("1e5abc", "train.lr is 1e5abc; it must be a valid number"),
        (r'"a\nb\e[2J"', r"train.lr is a\nb\x1b[2J; it must be a valid number"),
    ],
)
def test_a_text_that_is_no_value_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "edited.yaml"
    path.write_text(CONTENT.replace("\n  lr: ", f"\n  lr: {text} # ", 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        params.load(path)
    assert str(caught.value).startswith(f"{path}: {says}")


def test_very_many_brackets_are_refused_where_the_fast_loader_would_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("[" * 30_000 + "]" * 30_000)
    code = f"from pathlib import Path; from segbench import params; params.load(Path({str(path)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"{path}: more than 50 sections and lists inside each other; is an alias inside its own entry?\n"
    )


@pytest.mark.parametrize("text", ["1e5abc", "3e4_left", "1e5.png"])
def test_a_name_that_begins_like_a_number_is_a_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "edited.yaml"
    path.write_text(CONTENT.replace("root: data/raw/camvid", f"root: {text}", 1), encoding="utf-8")
    source = params.load(path).dataset("camvid").source
    assert isinstance(source, params.CamvidSource) and source.root == Path(text)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("datasets.camvid.source.root", "x" * 300, "xxx...; it must be a path that can be read (file name too long)"),
        ("datasets.camvid.source.root", "a\0", r"a\x00; it must be a path that can be read ("),
        ("datasets.camvid.predictions", {"theirs": "x" * 300}, "it must be a path that can be read (file name too lo"),
        ("backbone.weights", "x" * 300, "x; it must be bundled, none, hub or an existing file"),
    ],
)  # fmt: skip
def test_a_path_that_no_system_has_is_refused(tmp_path: Path, place: str, value: Any, says: str) -> None:
    path = tmp_path / "edited.yaml"
    path.write_text(yaml.safe_dump(replaced(TREE, tuple(place.split(".")), value)), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        params.load(path)
    assert says in str(caught.value)
