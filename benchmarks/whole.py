"""How long the pipeline takes: all of it and in what, nothing to do, and light stages' starts. Run with `make bench`.

In a clone of the last commit in a temporary folder, so that nothing is in DVC's cache and the project stays as it is.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.markdown import print_table
from benchmarks.pipeline_runs import Clone, Process
from pipeline.lock import LOCKS
from segbench.machine import describe_machine

REPEATS = 5
LIGHT_STAGES = ("check", "prepare", "augment", "evaluate", "external", "claims", "compare")
LIMIT_ALL_S, LIMIT_NOTHING_S, LIMIT_START_S, LIMIT_OVERHEAD_S = 900.0, 4.0, 1.5, 8.0
REST = {
    "check": "checks and digests",
    "prepare": "preparation and audit",
    "augment": "augmentation",
    "train": "the rest of training stages: building, samples, files",
    "predict": "the rest of predictions: images, files, multiply-adds",
    "latency": "building networks for latencies",
    "crf": "CRF of test images",
    "evaluate": "scoring",
    "preloaded": "forks of what is imported",
    "claims": "claims",
    "compare": "statistics and pages",
}
"""What a stage does beside the parts that `timed` names."""
WORK = ("training", "validation", "inference", "CRF search", REST["crf"], "sliding window's forms")
"""Parts for which a model's stages are there. All else is overhead."""
CHAIN = ("preloaded", "train", "predict", "crf", "evaluate")
DVC = "DVC itself, and starts and ends of Python"


def by_stage(processes: Iterable[Process]) -> dict[str, list[Process]]:
    """The processes of each stage, in the order of the stages' first ends."""
    stages: dict[str, list[Process]] = {}
    for process in processes:
        stages.setdefault(process.stage, []).append(process)
    return stages


def seconds_by_part(processes: Iterable[Process]) -> dict[str, float]:
    """What the CPU seconds went to, the most first."""
    parts: dict[str, float] = defaultdict(float)
    for process in processes:
        for name, seconds in process.parts.items():
            is_latency = (process.stage, name) == ("latency", "inference")
            named = REST.get(process.stage, f"the rest of {process.stage}") if name == "the rest" else name
            parts["inference for latencies" if is_latency else named] += seconds
    return dict(sorted(parts.items(), key=lambda item: -item[1]))


def overhead_s(processes: Sequence[Process], *, cpu_s: float) -> float:
    """CPU seconds of a model's stages beside WORK, and of its share of DVC, as a mean over models."""
    of_models = [process for process in processes if process.stage in CHAIN]
    beside = sum(seconds for name, seconds in seconds_by_part(of_models).items() if name not in WORK)
    of_dvc = (cpu_s - sum(process.cpu_seconds for process in processes)) * len(of_models) / len(processes)
    return (beside + of_dvc) / len(by_stage(processes)["train"])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="a new folder for the clone, which stays")
    parser.add_argument("--avx2-only", action="store_true", help="as on a processor without bfloat16 and AVX-512")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:  # what sends runs may still write there
        clone = Clone.make(arguments.keep or Path(temporary) / "clone", avx2_only=arguments.avx2_only)
        for lock in LOCKS:  # else what git has of the results is not made again, where it is up to date
            (clone.folder / lock).unlink()
        start = time.perf_counter()
        cpu_s = clone.cpu_seconds(sys.executable, "-m", "pipeline.reproduce")
        results.append(("make reproduce, all to do", time.perf_counter() - start, LIMIT_ALL_S))
        processes = clone.processes()
        nothing_s = statistics.median(clone.run("dvc", "repro", "--quiet") for _ in range(REPEATS))
        results.append(("dvc repro, nothing to do", nothing_s, LIMIT_NOTHING_S))
        results.append(("CPU seconds per model beside its work", overhead_s(processes, cpu_s=cpu_s), LIMIT_OVERHEAD_S))
        for stage in LIGHT_STAGES:
            start_s = statistics.median(
                clone.run(sys.executable, "-m", f"pipeline.{stage}", "--help") for _ in range(REPEATS)
            )
            results.append((f"start of {stage}", start_s, LIMIT_START_S))
    print("# The whole pipeline\n")
    limited = ", computing as one with AVX2 alone, in float32" if arguments.avx2_only else ""
    print(f"{describe_machine()}{limited}. `make reproduce` in a fresh clone, then `dvc repro` with", end=" ")
    print(f"nothing to do; medians of {REPEATS}.\n")
    print_table(
        ["what", "seconds", "limit", ""],
        [
            [name, f"{found_s:.2f}", f"{limit_s:.1f}", "" if found_s <= limit_s else "TOO SLOW"]
            for name, found_s, limit_s in results
        ],
    )
    print("\n## By part\n\nCPU seconds of the stages, without the parts within a part.\n")
    parts = seconds_by_part(processes)
    print_table(
        ["part", "CPU seconds", "%"],
        [[name, f"{seconds:.1f}", f"{100 * seconds / sum(parts.values()):.1f}"] for name, seconds in parts.items()],
    )
    stages = by_stage(processes)
    in_stages_s = sum(process.cpu_seconds for process in processes)
    print("\n## By stage\n")
    print_table(
        ["stage", "processes", "seconds", "CPU seconds", "%", "imports", "peak MiB"],
        [
            [
                stage,
                str(len(of_stage)),
                f"{sum(process.seconds for process in of_stage):.1f}",
                f"{(of_stage_s := sum(process.cpu_seconds for process in of_stage)):.1f}",
                f"{100 * of_stage_s / cpu_s:.1f}",
                f"{sum(process.parts.get('imports', 0.0) for process in of_stage):.1f}",
                f"{max(process.peak_mib for process in of_stage):.0f}",
            ]
            for stage, of_stage in stages.items()
        ]
        + [[DVC, "", "", f"{cpu_s - in_stages_s:.1f}", f"{100 * (cpu_s - in_stages_s) / cpu_s:.1f}", "", ""]],
    )


if __name__ == "__main__":
    main()
