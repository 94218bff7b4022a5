"""How long the pipeline takes: all of it and in what, nothing to do, and light stages' starts. Run with `make bench`.

In a clone of the last commit in a temporary folder, so that nothing is in DVC's cache and the project stays as it is.
"""

import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from benchmarks.markdown import print_table
from benchmarks.pipeline_runs import Clone, Process
from segbench.machine import describe_machine

REPEATS = 5
LIGHT_STAGES = ("check", "prepare", "augment", "evaluate", "external", "claims", "compare")
LIMIT_ALL_S, LIMIT_NOTHING_S, LIMIT_START_S = 900.0, 5.0, 1.5
REST = {
    "check": "checks and digests",
    "prepare": "preparation and audit",
    "augment": "augmentation",
    "train": "the rest of training stages: building, samples, files",
    "predict": "the rest of predictions: images, files, multiply-adds",
    "latency": "building networks for latencies",
    "crf": "CRF of test images",
    "evaluate": "scoring",
    "claims": "claims",
    "compare": "statistics and pages",
}
"""What a stage does beside the parts that `timed` names."""
DVC = "DVC itself, and starts and ends of Python"


def seconds_by_stage(processes: Iterable[Process]) -> dict[str, list[Process]]:
    """The processes of each stage, in the order of the stages' first ends."""
    stages: dict[str, list[Process]] = {}
    for process in processes:
        stages.setdefault(process.stage, []).append(process)
    return stages


def seconds_by_part(processes: Iterable[Process], *, total_s: float) -> dict[str, float]:
    """What the seconds went to, the most first."""
    parts: dict[str, float] = defaultdict(float)
    for process in processes:
        for name, seconds in process.parts.items():
            is_latency = (process.stage, name) == ("latency", "inference")
            named = REST.get(process.stage, f"the rest of {process.stage}") if name == "the rest" else name
            parts["inference for latencies" if is_latency else named] += seconds
    parts[DVC] = total_s - sum(parts.values())
    return dict(sorted(parts.items(), key=lambda item: -item[1]))


def main() -> None:
    """Print the tables."""
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        clone = Clone.make(Path(temporary) / "clone")
        total_s = clone.run("dvc", "repro", "--quiet")
        processes = clone.processes()
        nothing_s = statistics.median(clone.run("dvc", "repro", "--quiet") for _ in range(REPEATS))
        results += [("dvc repro, all to do", total_s, LIMIT_ALL_S)]
        results += [("dvc repro, nothing to do", nothing_s, LIMIT_NOTHING_S)]
        for stage in LIGHT_STAGES:
            start_s = statistics.median(
                clone.run(sys.executable, "-m", f"pipeline.{stage}", "--help") for _ in range(REPEATS)
            )
            results.append((f"start of {stage}", start_s, LIMIT_START_S))
    print("# The whole pipeline\n")
    print(f"{describe_machine()}. `dvc repro` of a fresh clone, then with nothing to do; medians of {REPEATS}.\n")
    print_table(
        ["what", "seconds", "limit", ""],
        [
            [name, f"{found_s:.2f}", f"{limit_s:.1f}", "" if found_s <= limit_s else "TOO SLOW"]
            for name, found_s, limit_s in results
        ],
    )
    print("\n## By part\n\nSeconds of the main thread, without the parts within a part.\n")
    print_table(
        ["part", "seconds", "%"],
        [
            [name, f"{seconds:.1f}", f"{100 * seconds / total_s:.1f}"]
            for name, seconds in seconds_by_part(processes, total_s=total_s).items()
        ],
    )
    print("\n## By stage\n")
    print_table(
        ["stage", "processes", "seconds", "%", "CPU seconds", "imports, s", "peak MiB"],
        [
            [
                stage,
                str(len(of_stage)),
                f"{(wall_s := sum(process.seconds for process in of_stage)):.1f}",
                f"{100 * wall_s / total_s:.1f}",
                f"{sum(process.cpu_seconds for process in of_stage):.1f}",
                f"{sum(process.parts.get('imports', 0.0) for process in of_stage):.1f}",
                f"{max(process.peak_mib for process in of_stage):.0f}",
            ]
            for stage, of_stage in seconds_by_stage(processes).items()
        ],
    )


if __name__ == "__main__":
    main()
