"""Compiled functions follow the sources of the whole room."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import segbench

PRINT_ROW_SUM = """
import numpy as np
from segbench.crf.lattice import BLURS
values = np.zeros((3, 8), np.float32)
values[1:] = 1
BLURS[8](values, np.array([1, 2, 0], np.int32))
print(values[1, 0])
"""


def test_an_edited_helper_is_compiled_into_the_functions_that_use_it(tmp_path: Path) -> None:
    """`blur` is in lattice.py, and the addition that it uses in lanes.py."""
    copy = tmp_path / "segbench"
    shutil.copytree(Path(segbench.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def row() -> float:
        command = [sys.executable, "-c", PRINT_ROW_SUM]
        return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    assert row() == 1.5
    assert row() == 1.5  # from disk
    lanes = copy / "crf" / "lanes.py"
    source = lanes.read_text()
    assert source.count("builder.fadd(*arguments)") == 1
    lanes.write_text(source.replace("builder.fadd(*arguments)", "builder.fsub(*arguments)"))
    assert row() == 0.5
