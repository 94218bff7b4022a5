"""What README and docs/ name is there: options of programs, parameters, targets of make, pages and their parts."""

import argparse
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dvc.cli.parser import get_main_parser

from segbench.cli import app, commands
from tests.docs import guide
from tests.docs.guide import ALL_BLOCKS, PAGES
from tests.parameters import PARAMS_FILE, PROJECT

MAKEFILE = (PROJECT / "Makefile").read_text()
OURS = ("segbench", "dvc", "make")
BY_PAGE = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(PROJECT).as_posix())


def words_of(text: str) -> list[str]:
    """As a shell splits a command; variables that are set before it are left out."""
    words = shlex.split(text)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return words


def options_in(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]


@cache
def options_of_segbench() -> dict[str, set[str]]:
    """By command."""
    assert commands
    group: Any = typer.main.get_command(app)
    return {
        name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        | {"--help", "-h"}
        for name, command in group.commands.items()
    }


def problem_of_segbench(words: list[str]) -> str:
    known = options_of_segbench()
    name = words[0] if words else ""
    if name and name not in known:
        return f"segbench has no command {name}"
    wrong = [option for option in options_in(words) if option not in known.get(name, {"--help"})]
    return f"segbench {name} has no {wrong[0]}" if wrong else ""


def problem_of_dvc(words: list[str]) -> str:
    parser: argparse.ArgumentParser = get_main_parser()
    known, named = set(parser._option_string_actions), ""
    rest = [word for word in words if not word.startswith("-")]
    while choices := next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None):
        if not rest:
            break
        name = rest.pop(0)
        if name not in choices.choices:
            return f"dvc{named} has no command {name}"
        parser, named = choices.choices[name], f"{named} {name}"
        known |= set(parser._option_string_actions)
    wrong = [option for option in options_in(words) if option not in known]
    return f"dvc{named} has no {wrong[0]}" if wrong else ""


def problem_of_make(words: list[str]) -> str:
    for word in words:
        name, is_set, _ = word.partition("=")
        pattern = rf"\$[({{]{name}\b|^{name} \?=" if is_set else rf"^{re.escape(name)}:"
        if not re.search(pattern, MAKEFILE, re.MULTILINE):
            return f"the Makefile has no {name}"
    return ""


def problem_of_module(words: list[str]) -> str:
    known = guide.options_of_module(words[0])
    if known is None:
        return f"there is no {words[0]}"
    wrong = [option for option in options_in(words[1:]) if option not in known]
    return f"{words[0]} has no {wrong[0]}" if wrong else ""


def problem_of(command: str) -> str:
    """What a command names that is not there; empty if all is, or if it is another project's program."""
    words = words_of(command)
    match words:
        case ["segbench", *rest]:
            return problem_of_segbench(rest)
        case ["dvc", *rest]:
            return problem_of_dvc(rest)
        case ["make", *rest]:
            return problem_of_make(rest)
        case ["python", "-m", module, *rest] if module.split(".")[0] in ("pipeline", "benchmarks", "tests"):
            return problem_of_module([module, *rest])
    return ""


def test_wrong_names_are_seen() -> None:
    assert problem_of("segbench predict a --tile 3") == "segbench predict has no --tile"
    assert problem_of("segbench label a") == "segbench has no command label"
    assert problem_of("dvc exp run --que x") == "dvc exp run has no --que"
    assert problem_of("dvc exps run") == "dvc has no command exps"
    assert problem_of("make test-nothing") == "the Makefile has no test-nothing"
    assert problem_of("make reproduce THREADS=1") == "the Makefile has no THREADS"
    assert problem_of("python -m pipeline.sweep --data x") == "pipeline.sweep has no --data"
    assert problem_of("python -m pipeline.cluster --share x") == "pipeline.cluster has no --share"
    assert problem_of("python -m pipeline.nothing") == "there is no pipeline.nothing"


@BY_PAGE
def test_commands_and_options_exist(path: Path) -> None:
    shown = [command for block in guide.shell_blocks(path) for command in block.commands if "\n" not in command]
    shown += [text for text in guide.inline_code(path) if text.split(" ")[0] in (*OURS, "python")]
    assert [problem for command in shown if (problem := problem_of(command))] == []


@BY_PAGE
def test_options_that_stand_alone_are_some_programs(path: Path) -> None:
    known = set().union(*options_of_segbench().values())
    for script in (PROJECT / "pipeline").glob("*.py"):
        known |= guide.options_of_module(f"pipeline.{script.stem}") or set()
    alone = [option for text in guide.inline_code(path) if text.startswith("--") for option in options_in(text.split())]
    assert [option for option in alone if option not in known] == []


def test_parameters_that_commands_change_exist() -> None:
    parameters = yaml.safe_load(PARAMS_FILE.read_text())
    changed = [
        word.partition("=")[0]
        for block in ALL_BLOCKS
        for command in block.commands
        if command.startswith(("segbench search", "dvc exp run"))
        for before, word in zip(words_of(command), words_of(command)[1:], strict=False)
        if before in ("-S", "--param")
    ]
    assert len(changed) > 3
    for path in changed:
        value = parameters
        for name in path.split("."):
            assert name in value or path.startswith("datasets.scenes.train."), f"params.yaml has no {path}"
            value = value.get(name, {})
        section, _, name = path.rpartition(".")
        assert name in parameters["train"] or section.startswith("models.")
        assert section != "train" or name not in parameters["datasets"]["scenes"]["train"], f"scenes has its own {name}"


def test_stages_that_commands_name_exist() -> None:
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    named = {name for block in ALL_BLOCKS for name in re.findall(r"(?<![-\w])([a-z_]+)@[\w$]", block.text)}
    assert named >= {"prepare", "train", "evaluate"} and named <= set(stages), "as in train@scenes-unet"


@BY_PAGE
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in guide.links(path):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists():
            broken.append(f"{link}: no such file")
        elif anchor and anchor not in guide.anchors(target):
            broken.append(f"{link}: no such heading")
    assert broken == []


def test_the_index_lists_every_page() -> None:
    index = PROJECT / "docs/README.md"
    assert {f"docs/{link}" for link in guide.links(index)} == {
        path.relative_to(PROJECT).as_posix() for path in PAGES if path.parent == index.parent and path != index
    }


def test_readme_fits_a_newcomers_patience() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 180
