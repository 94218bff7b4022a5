"""Which source files a result depends on, and digests of what they do.

A stage depends on the modules that it imports, directly or not. Comments, docstrings and blank lines are left out of a
digest: words can be mended without training anything again.
"""

import ast
import hashlib
import io
import tokenize
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grimp import ImportGraph

NEUTRAL = ("errors", "parallel", "sources", "tracking", "report.tracked", "params")
"""These cannot change a result: nothing is read back from MLflow, and the values of params.yaml are dependencies of the
stages themselves."""


def source_digests(*modules: str) -> dict[str, str]:
    """Digests by path, from the project's root, of the named modules and of all that they import.

    modules: dotted names, such as `pipeline.train`; named ones count even if they are neutral.
    """
    graph = _import_graph(*sorted({"segbench", *(module.partition(".")[0] for module in modules)}))
    found = {*modules}
    for module in modules:
        if module in graph.modules:
            found |= graph.find_upstream_modules(module)
    root = _path("segbench").parents[2]
    paths = sorted({path for module in found for path in _files(_path(module))})
    return {path.relative_to(root).as_posix(): _digest(path) for path in paths}


def _files(module: Path) -> list[Path]:
    """A module's file; with a package, also those beside it that are not Python: templates, styles and scripts."""
    beside = module.parent.glob("*.*") if module.name == "__init__.py" else []
    return [module, *(path for path in beside if path.suffix != ".py")]


def _digest(path: Path) -> str:
    return (
        code_digest(path.read_text(encoding="utf-8"))
        if path.suffix == ".py"
        else _hash(path.read_text(encoding="utf-8"))
    )


@cache  # by the text: check needs most files for many stages
def code_digest(source: str) -> str:
    """16 hexadecimal digits of a module's code; the same after an edit of comments, docstrings and blank lines."""
    lines = [list(line) for line in source.splitlines()]
    for first_line, first_column, last_line, last_column in [*_comments(source), *_bare_strings(source)]:
        for number in range(first_line, last_line + 1):
            line = lines[number - 1]
            start = first_column if number == first_line else 0
            stop = last_column if number == last_line else len(line)
            line[start:stop] = " " * (stop - start)
    code = "\n".join(text for line in lines if (text := "".join(line).rstrip()))
    return _hash(code)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


Span = tuple[int, int, int, int]
"""First line, first column, last line and the column behind the last one; lines count from 1."""


def _comments(source: str) -> list[Span]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [(*token.start, *token.end) for token in tokens if token.type == tokenize.COMMENT]


def _bare_strings(source: str) -> list[Span]:
    """Docstrings, and strings that stand behind a constant to explain it: statements that do nothing."""
    lines = source.splitlines()

    def column(line: int, offset_bytes: int) -> int:  # ast counts bytes
        return len(lines[line - 1].encode()[:offset_bytes].decode())

    return [
        (
            node.lineno, column(node.lineno, node.col_offset),
            node.end_lineno or node.lineno, column(node.end_lineno or node.lineno, node.end_col_offset or 0),
        )
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]  # fmt: skip


@cache
def _import_graph(*packages: str) -> "ImportGraph":
    """The imports between the modules of these packages, without the neutral ones."""
    import grimp

    graph = grimp.build_graph(*packages, cache_dir=None)
    for name in NEUTRAL:
        neutral = f"segbench.{name}"
        for module in {neutral, *graph.find_descendants(neutral)} & graph.modules:
            graph.remove_module(module)
    if "pipeline" in packages:
        graph.remove_module("pipeline.command")
    return graph


def _path(module: str) -> Path:
    """A module's file, found without importing the packages around it, which may take seconds."""
    package, *names = module.split(".")
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, module
    path = Path(spec.origin).parent.joinpath(*names)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
