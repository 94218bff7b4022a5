"""The tests' own parameters: users edit the project's params.yaml as README says, and no test fails for it."""

from pathlib import Path

from segbench import params

TESTS = Path(__file__).parent
PROJECT = TESTS.parent
PARAMS_FILE = TESTS / "params.yaml"
PARAMETERS = params.load(PARAMS_FILE)
WHOLE_IMAGES = {"tile_px": None, "test_time": {"flip": False, "scales": [1.0]}}
"""Of a dataset's `input`: whole test images, each seen once."""
