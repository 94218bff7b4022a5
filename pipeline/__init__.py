"""One thin script a stage; each is run by DVC as `python -m pipeline.<stage> --name value ...`."""

import gc
import sys
from pathlib import Path

from pipeline import parent as parent  # first of all, since it notes what started this process

SEARCH_FOR_GARBAGE = gc.get_threshold()
"""Python's own values, for what runs after the imports."""
gc.set_threshold(100_000)  # imports make no garbage, and the search for it would be a third of their time
# A stage runs the package of its own checkout: DVC runs experiments in a temporary one.
sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
