"""Web pages from the templates, styles and scripts beside this file; a page is one file that needs no network."""

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

FOLDER = Path(__file__).parent
STYLES = ("page", "table", "charts", "images", "about")
SCRIPTS = ("page", "table", "charts", "images")


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """A template that may use the filters. Text is escaped, and an unknown name is an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= filters
    return environment.get_template(f"{name}.html.jinja")


def style(*names: str) -> Markup:
    """The style sheets' text, one after the other."""
    return _joined(names, "css")


def script(*names: str) -> Markup:
    """The scripts' text, one after the other."""
    return _joined(names, "js")


def script_digest(text: str) -> str:
    """What a page's content security policy must name for a script to run."""
    return b64encode(sha256(text.encode()).digest()).decode()


def _joined(names: tuple[str, ...], kind: str) -> Markup:
    return Markup("\n".join((FOLDER / f"{name}.{kind}").read_text("utf-8") for name in names))
