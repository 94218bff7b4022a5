"""Plant one fault at a time in a copy of the project, and see a test fail for it: `python -m tests.mutants`.

tests/mutants.yaml lists the faults. Each has a name, the file, its `old` text, which stands there once, the `new` text,
and the tests that should fail. `group: named` marks faults that must be caught; of the others nine in ten must be.
`survives` says why no test can tell a fault from the right code.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

TESTS = Path(__file__).parent
PROJECT = TESTS.parent
COPIED = (
    "src", "pipeline", "tests", "docs", "params.yaml", "dvc.yaml", "dvc.lock", ".dvcignore", "pyproject.toml",
    "README.md", "Makefile", "reports/camvid/benchmark.csv",
)  # fmt: skip
LEAST_CAUGHT = 0.9


@dataclass(frozen=True)
class Mutant:
    """One planted fault. tests: files or node ids; survives: why no test fails, empty if one should."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]
    group: str = ""
    survives: str = ""

    @property
    def must_be_caught(self) -> bool:
        """Whether a single survivor of this kind is too many."""
        return self.group == "named"

    def planted_in(self, content: str) -> str:
        """The file's content with the fault. SystemExit if the old text does not stand there exactly once."""
        if content.count(self.old) != 1:
            sys.exit(f"{self.name}: the old text stands {content.count(self.old)} times in {self.file}; it must once")
        return content.replace(self.old, self.new)


def read_mutants() -> list[Mutant]:
    """The faults of tests/mutants.yaml, all of which fit the code."""
    mutants = [Mutant(**entry) for entry in yaml.safe_load((TESTS / "mutants.yaml").read_text())]
    for mutant in mutants:
        mutant.planted_in((PROJECT / mutant.file).read_text())
    return mutants


def copy_project(to: Path) -> None:
    """What the tests read."""
    for name in COPIED:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(PROJECT / name, to / name)


def first_failure(project: Path, tests: Sequence[str]) -> str | None:
    """Run tests on the copy: the first that fails, None if all pass. SystemExit if pytest itself cannot go on."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(project / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", found.stdout, re.MULTILINE)
    if found.returncode not in (0, 1) or (found.returncode == 1) != bool(failed):
        sys.exit(found.stdout)
    return failed[1] if failed else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", metavar="NAME", nargs="+", default=[""], help="only faults with one of these in their name"
    )
    only = parser.parse_args().only
    mutants = [mutant for mutant in read_mutants() if any(part in mutant.name for part in only)]
    if not mutants:
        sys.exit(f"no fault has {' or '.join(only)} in its name")
    start = time.perf_counter()
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy_project(Path(folder))
        if failed := first_failure(Path(folder), sorted({test for mutant in mutants for test in mutant.tests})):
            sys.exit(f"{failed} fails without a fault")
        for mutant in mutants:
            begun, file = time.perf_counter(), Path(folder) / mutant.file
            right = file.read_text()
            file.write_text(mutant.planted_in(right))
            failed = first_failure(Path(folder), mutant.tests)
            file.write_text(right)
            if failed is None:
                survivors.append(mutant)
            outcome = f"caught by {failed}" if failed else f"SURVIVED {mutant.survives}"
            print(f"{time.perf_counter() - begun:4.0f} s  {mutant.name}: {outcome}", flush=True)
    others = [mutant for mutant in mutants if not mutant.must_be_caught]
    survived = [mutant for mutant in survivors if not mutant.must_be_caught]
    print(
        f"{len(mutants) - len(survivors)} of {len(mutants)} faults caught in {time.perf_counter() - start:.0f} s; "
        f"{len(survivors) - len(survived)} survived that must be caught"
    )
    if len(survived) < len(survivors) or len(survived) > (1 - LEAST_CAUGHT) * len(others):
        sys.exit(1)


if __name__ == "__main__":
    main()
