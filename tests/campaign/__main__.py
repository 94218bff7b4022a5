"""Disturb the pipeline, see that it ends with the same results, and write reports/reliability.md.

`python -m tests.campaign --kills 54` kills stages of a small copy of the project at random moments, then plants faults
one at a time. After each, `dvc repro` must end with what an undisturbed run has left, byte for byte, or stop with one
clear line and end so after that. Nothing may be left over: no process, no half-written file, no MLflow run that seems
to go on.
"""

import argparse
import queue
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from segbench.machine import describe_machine, git_commit
from segbench.parallel import num_cores
from tests.campaign.faults import FAULTS, Fault, Impossible
from tests.campaign.ground import Ground, Outcome
from tests.campaign.kills import Kill, draw_kills, strike
from tests.campaign.report import Entry, report
from tests.parameters import PROJECT
from tests.pipeline.project import let_programs_be_interrupted

REPORT = PROJECT / "reports/reliability.md"


def make_ground(folder: Path, number: int) -> Ground:
    """A copy of the project with a variant, so that there is a stage of each kind, and its undisturbed results."""
    root = folder / f"copy_{number}"
    root.mkdir()
    ground = Ground(root)
    few_colors = {"of": "color_clusters", "num_clusters": 4}
    ground.edit(lambda parameters: parameters["variants"].update(few_colors=few_colors))
    ground.edit(lambda parameters: parameters["benchmark"].update(variants=["few_colors"]))
    ground.edit(lambda parameters: parameters["datasets"]["scenes"]["train"].update(epochs=4))
    ground.make_reference()
    return ground


def outcome_of(happen: Callable[[Ground], Outcome], grounds: "queue.Queue[Ground]") -> Outcome | Impossible:
    """Let it happen to the next copy that is free, which is then put back as it was. Whatever goes wrong is told."""
    ground = grounds.get()
    outcome: Outcome | Impossible
    try:
        outcome = happen(ground)
    except Impossible as reason:
        outcome = reason
    except Exception as error:
        outcome = Outcome((), (f"the campaign itself fails: {type(error).__name__}: {error}",))
    ground.settle()
    ground.reset()
    grounds.put(ground)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=54, help="how many kills; 54 by default")
    parser.add_argument("--seed", type=int, default=0, help="of the kills and their moments")
    parser.add_argument("--jobs", type=int, default=min(4, num_cores()), help="copies that are disturbed side by side")
    parser.add_argument("--only", metavar="TEXT", help="only what has this in its name; writes no report")
    arguments = parser.parse_args()
    let_programs_be_interrupted()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        made = list(pool.map(partial(make_ground, Path(folder).resolve()), range(arguments.jobs)))
        refuse_unequal(made)
        print(f"{time.perf_counter() - start:4.0f} s  {len(made)} undisturbed runs with equal results", flush=True)
        grounds: queue.Queue[Ground] = queue.Queue()
        for ground in made:
            grounds.put(ground)

        def entry_of(disturbance: Kill | Fault) -> Entry:
            happen = partial(strike, kill=disturbance) if isinstance(disturbance, Kill) else disturbance.happen
            entry = Entry(disturbance, outcome_of(happen, grounds))
            print(f"{time.perf_counter() - start:4.0f} s  {entry}", flush=True)
            return entry

        kills = draw_kills(arguments.kills, stages=list(made[0].seconds), seed=arguments.seed)
        disturbances: list[Kill | Fault] = [*kills, *FAULTS]
        entries = list(pool.map(entry_of, [each for each in disturbances if (arguments.only or "") in str(each)]))
    lines = report(entries, seed=arguments.seed, machine=describe_machine(), commit=git_commit())
    if arguments.only is None:
        REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    if any(entry.is_lost for entry in entries):
        sys.exit(1)


def refuse_unequal(grounds: Sequence[Ground]) -> None:
    """SystemExit if undisturbed runs differ: their results cannot serve as the reference then."""
    first, *others = grounds
    for other in others:
        paths = first.reference.keys() | other.reference.keys()
        unequal = sorted(path for path in paths if first.reference.get(path) != other.reference.get(path))
        if unequal:
            sys.exit(f"undisturbed runs differ: {', '.join(unequal)}")


if __name__ == "__main__":
    main()
