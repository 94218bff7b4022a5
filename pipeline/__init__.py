"""One thin script a stage; each is run by DVC as `python -m pipeline.<stage> --name value ...`."""

import sys
from pathlib import Path

# A stage runs the package of its own checkout: DVC runs experiments in a temporary one.
sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
