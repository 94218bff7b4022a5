"""The pages of the guide, README among them, as tests read them: their commands, names of programs, and links."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.parameters import PROJECT

PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
SHELL, NOT_SHELL = {"", "bash"}, {"text", "yaml", "python", "diff", "mermaid"}
"""What stands behind the fence of a block; an indented block has nothing there."""


@dataclass(frozen=True)
class Block:
    """Commands that a page shows."""

    page: str
    heading: str
    text: str

    @cached_property
    def commands(self) -> tuple[str, ...]:
        """One per line, without comments; continued lines are one. A whole script is one command."""
        if self.text.startswith("#!"):
            return (self.text,)
        lines = re.sub(r"\s*\\\n\s*", " ", self.text).splitlines()
        found = (re.sub(r"(^|\s+)# .*$", "", line).strip() for line in lines)
        return tuple(command for command in found if command)


@cache
def tokens(path: Path) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")))


def shell_blocks(path: Path) -> list[Block]:
    """The page's blocks of commands. AssertionError for a block of no known language."""
    blocks, heading = [], ""
    for token, following in zip(tokens(path), (*tokens(path)[1:], None), strict=True):
        if token.type == "heading_open" and following:
            heading = following.content
        if token.type in ("fence", "code_block"):
            language = token.info.strip()
            assert language in SHELL | NOT_SHELL, f"{path.name}, {heading}: a block in {language!r}"
            if language in SHELL:
                blocks.append(Block(path.relative_to(PROJECT).as_posix(), heading, token.content))
    return blocks


ALL_BLOCKS = tuple(block for path in PAGES for block in shell_blocks(path))


def block_with(command: str) -> str:
    """The text of the one block, on whatever page, that begins with a command."""
    (text,) = {block.text for block in ALL_BLOCKS if block.text.startswith(f"{command}\n")}
    return text


def inline_code(path: Path) -> Iterator[str]:
    """What stands between backticks in the text."""
    return (child.content for token in tokens(path) for child in token.children or () if child.type == "code_inline")


def table_rows(path: Path) -> Iterator[tuple[Token, ...]]:
    """The cells of each row of the page's tables, the heads left out."""
    every = tokens(path)
    for begin, token in enumerate(every):
        if token.type == "tr_open":
            end = next(place for place in range(begin, len(every)) if every[place].type == "tr_close")
            if cells := tuple(b for a, b in pairwise(every[begin:end]) if a.type == "td_open"):
                yield cells


def links(path: Path) -> Iterator[str]:
    """Where links and images lead."""
    for token in tokens(path):
        for child in token.children or ():
            if child.type in ("link_open", "image"):
                yield str(child.attrs.get("href") or child.attrs.get("src"))


def anchors(path: Path) -> set[str]:
    """Of the page's headings, as git hosts name them."""
    every = tokens(path)
    headings = [every[place + 1].content for place, token in enumerate(every) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def options_of_module(name: str) -> set[str] | None:
    """The options of `python -m NAME` by its source, so that nothing heavy is imported; None without such a module."""
    source = PROJECT / f"{name.replace('.', '/')}.py"
    if not source.exists():
        source = PROJECT / name.replace(".", "/") / "__main__.py"
    if not source.exists():
        return None
    options = {"--help"}
    tree = ast.parse(source.read_text(encoding="utf-8"))
    runs_main = any(
        isinstance(node, ast.Call) and ast.unparse(node.func) == "run" and ast.unparse(node).startswith("run(main")
        for node in ast.walk(tree)
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument"):
            named = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
            options |= {name for name in named if name.startswith("-")}
        if isinstance(node, ast.FunctionDef) and node.name == "main" and runs_main:
            options |= {f"--{argument.arg.replace('_', '-')}" for argument in node.args.kwonlyargs}
    return options
