"""Send to MLflow what stages logged while it could not be reached. Not a stage."""

import sys

from segbench.tracking import send_waiting


def main() -> None:
    """Send all runs that wait in data/tracking; exit code 1 if the store fails, which one line tells."""
    if not send_waiting():
        sys.exit(1)


if __name__ == "__main__":
    main()
