"""How long the pipeline takes: all of it, nothing to do, and each light stage's start. Run with `make bench`.

In a clone of the last commit in a temporary folder, so that nothing is in DVC's cache and the project stays as it is.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from segbench.machine import describe_machine

REPEATS = 5
LIGHT_STAGES = ("check", "prepare", "augment", "evaluate", "external", "claims", "compare")
LIMITS_S = {"dvc repro, all to do": 900.0, "dvc repro, nothing to do": 5.0}
START_LIMIT_S = 1.5


def seconds(command: list[str], folder: Path) -> float:
    """Wall time of a command that must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": path})
    return time.perf_counter() - start


def main() -> None:
    """Print a table of seconds and limits."""
    print(describe_machine())
    project = Path(__file__).parent.parent
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(project), str(clone)], check=True)
        for index, (name, limit_s) in enumerate(LIMITS_S.items()):
            repeats = 1 if index == 0 else REPEATS
            times_s = [seconds(["dvc", "repro", "--quiet"], clone) for _ in range(repeats)]
            results.append((name, statistics.median(times_s), limit_s))
        for stage in LIGHT_STAGES:
            times_s = [seconds([sys.executable, "-m", f"pipeline.{stage}", "--help"], clone) for _ in range(REPEATS)]
            results.append((f"start of {stage}", statistics.median(times_s), START_LIMIT_S))
    print(f"{'what':<28}{'seconds':>9}{'limit':>9}")
    for name, median_s, limit_s in results:
        print(f"{name:<28}{median_s:>9.2f}{limit_s:>9.2f}{'' if median_s <= limit_s else '  TOO SLOW'}")


if __name__ == "__main__":
    main()
