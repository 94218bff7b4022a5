"""The program `segbench`: labels images with a packaged model, exports it, tells what it is; searches parameters."""

import sys

import typer

from segbench.errors import InputError

app = typer.Typer(
    help="Use a model that segbench has trained: label images and videos, export it, see where it comes from. Or "
    "search for the parameters to train it with.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the program. A user's mistake ends it with one clear line and exit code 1."""
    from segbench.cli import commands  # noqa: F401  # they join `app`

    try:
        app()
    except InputError as error:
        sys.exit(f"error: {error}")
