"""How trouble with MLflow is told."""

import sys


def warn(text: str) -> None:
    """One line on stderr."""
    line = " ".join(text.split())
    print(f"warning: MLflow: {line}", file=sys.stderr, flush=True)
