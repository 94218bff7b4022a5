"""A mistake in params.yaml in one line: which parameter, its value, and what would be right."""

import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from segbench.errors import InputError
from segbench.params.fields import Section

AnySection = TypeVar("AnySection", bound=Section)

MOST_SHOWN = 200
"""Characters of a wrong value."""


def validated(section: type[AnySection], tree: Any, *, where: str, path: Path) -> AnySection:
    """The section that a tree of values makes. InputError has one line per mistake.

    where: the dotted name of the section in the file, empty for the whole; path: the file.
    """
    try:
        return section.model_validate(tree)
    except ValidationError as error:
        lines = [in_one_line(f"{path}: {_explain(details, tree, where)}") for details in error.errors()]
        raise InputError("\n".join(dict.fromkeys(lines))) from None


def in_one_line(text: str) -> str:
    """The text with line breaks, and whatever else a terminal does not show, as escape sequences."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _explain(details: Any, tree: Any, prefix: str) -> str:
    """One of pydantic's errors as `train.lr is -1; it must be greater than 0`."""
    keys = [key for key in details["loc"] if key != "[key]"]
    is_missing = details["type"] == "missing"
    where = ".".join(([prefix] if prefix else []) + [str(key) for key in _keys_in(tree, keys, is_missing=is_missing)])
    value, message, context = details["input"], details["msg"], details.get("ctx", {})
    match details["type"]:
        case "unknown_key":
            return f"{where or 'the top level'} has no parameter {context['key']}; it has {context['known']}"
        case "missing":
            return f"{where} is missing"
        case "union_tag_invalid":
            tag = context["discriminator"].strip("'")
            return f"{where}.{tag} is {_shown(context['tag'])}; it must be one of {context['expected_tags']}"
        case "union_tag_not_found":
            return f"{where}.{context['discriminator'].strip(chr(39))} is missing"
        case "value_error":
            return f"{where}: {context['error']}" if where else str(context["error"])
        case "string_pattern_mismatch":
            return f"{where}: the name {_shown(value)} must have only a-z, 0-9 and _"
    allowed = re.sub(r"^Input is not a valid path.*", "a path", message)
    allowed = re.sub(r"^Input should be |, unable to parse.*| or instance of \w+| after validation", "", allowed)
    allowed = re.sub(r"^(List|Dictionary) should have", r"a \1 of", allowed).lower()
    return f"{where or 'the top level'} is {_shown(value)}; it must be {allowed}"


def _keys_in(tree: Any, keys: list[str | int], *, is_missing: bool) -> list[str | int]:
    """Drop what pydantic puts into an error's location that is no key of the file: names of union members."""
    kept: list[str | int] = []
    for position, key in enumerate(keys):
        is_last = position == len(keys) - 1
        in_list = isinstance(tree, list) and isinstance(key, int) and key < len(tree)
        if in_list or (isinstance(tree, dict) and key in tree):
            tree = tree[key]
        elif not (is_last and is_missing):
            continue
        kept.append(key)
    return kept
