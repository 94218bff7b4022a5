"""`dvc repro` with several models at a time, and then the tables. Not a stage: `make reproduce` runs it.

A network of a few megabytes does not keep two cores busy: two trainings side by side, with a thread each, end in two
thirds of the time that they take one after the other. No model's stages write what another model's stages touch.
"""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline import index, lock, summary
from pipeline.check import failure_log
from pipeline.command import print_anything
from pipeline.preloaded import Forks
from segbench import params
from segbench.errors import InputError
from segbench.files import file_digest, read_json, replacing
from segbench.parallel import available_memory_bytes, num_cores

DVC = (sys.executable, "-m", "pipeline.quick_dvc")
MOST_JOBS = 4
BYTES_OF_A_JOB = 4 * 2**30
"""What a training of a small backbone may take."""
LISTS = {"${benchmark.models}": "models", "${benchmark.variants}": "variants"}
"""What dvc.yaml makes a stage for each of, and its name in the section `benchmark`."""


@dataclass(frozen=True)
class Chain:
    """A model's stages on a dataset, in their order."""

    dataset: str
    model: str
    stages: tuple[str, ...]

    @property
    def expected_seconds(self) -> float:
        """The model's last training time; without one, more than any."""
        report = Path("reports") / self.dataset / "models" / self.model / "training.json"
        try:
            return float(json.loads(report.read_text(encoding="utf-8"))["training_seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return float("inf")


class Jobs:
    """Runs chains side by side, each as a DVC of its own that shares the cores with the others."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._forks = Forks(threads=max(1, num_cores() // number))

    def run(self, chains: Sequence[Chain]) -> dict[Chain, str]:
        """Run them, the longest first, and print each line with the model's name; what the failed ones printed."""
        ordered = sorted(chains, key=lambda chain: -chain.expected_seconds)
        pool = ThreadPoolExecutor(self.number)
        try:
            logs = list(pool.map(self._run, ordered))
        finally:  # also after Ctrl-C or kill
            pool.shutdown(wait=False, cancel_futures=True)
            self._forks.terminate()
        return {chain: log for chain, log in zip(ordered, logs, strict=True) if log}

    def _run(self, chain: Chain) -> str:
        """What the stages printed if one of them failed, else nothing."""
        lines: list[str] = []

        def keep(line: str) -> None:
            print(f"{chain.model:15} | {line}", end="", flush=True)
            lines.append(line)

        failed = self._forks.run_dvc("--wait-for-lock", "repro", "--single-item", *chain.stages, on_line=keep)
        return ("".join(lines) or "error: nothing was printed") if failed else ""


def chains_of(stages: Mapping[str, Any], benchmark: params.Benchmark) -> list[Chain]:
    """Of all models and variants on all datasets. stages: those of dvc.yaml."""
    names: dict[tuple[str, str], list[str]] = {}
    for stage, body in stages.items():
        listed = LISTS.get(body.get("matrix", {}).get("model"))
        for model in getattr(benchmark, listed) if listed else ():
            for dataset in benchmark.datasets:
                names.setdefault((dataset, model), []).append(f"{stage}@{dataset}-{model}")
    return [Chain(dataset, model, tuple(of_chain)) for (dataset, model), of_chain in names.items()]


def out_of_date(chains: Iterable[Chain]) -> list[Chain]:
    """Those of which a stage has to run."""
    changed = changed_stages()
    return [chain for chain in chains if not changed.isdisjoint(chain.stages)]


def changed_stages() -> set[str]:
    """Names of all stages that have to run, such as `compare@scenes`."""
    told = subprocess.run(["dvc", "status", "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if told.returncode:  # DVC has said why
        sys.exit(told.returncode)
    return {stage for stage in json.loads(told.stdout) if "@" in stage}  # all but `check`, which always has to


def default_jobs() -> int:
    """As many as cores and memory allow, at most MOST_JOBS; one where the models would share a GPU."""
    import torch

    if torch.accelerator.is_available():
        return 1
    return max(1, min(MOST_JOBS, num_cores(), available_memory_bytes() // BYTES_OF_A_JOB))


def main() -> None:
    """Make what all models share, then the models, then the rest, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, help="models at a time; what cores and memory allow by default")
    jobs = parser.parse_args().jobs
    if jobs is not None and jobs < 1:
        parser.error(f"--jobs is {jobs}; it must be at least 1")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    for line in lock.mend():
        print(line)
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    all_chains = chains_of(stages, params.load().benchmark)
    forget_failures(all_chains)
    dvc("repro", "augment")
    chains = out_of_date(all_chains)
    failed = Jobs(min(jobs or default_jobs(), len(chains))).run(chains) if chains else {}
    keep_failures(failed)
    say_what_failed(failed, make_tables() if len(failed) < len(all_chains) else [])


def forget_failures(chains: Iterable[Chain]) -> None:
    """What has failed before is tried again."""
    for chain in chains:
        failure_log(chain.dataset, chain.model).unlink(missing_ok=True)


def keep_failures(failed: Mapping[Chain, str]) -> None:
    """Keep what failed models have printed. As long as it is there, the tables name them as failed."""
    for chain, log in failed.items():
        with replacing(failure_log(chain.dataset, chain.model)) as file:
            file.write_text(log, encoding="utf-8")


def make_tables(*options: str) -> list[str]:
    """Make all that is left and can be made, and print the tables. Stages that could not be made; DVC has said why.

    options: for `dvc repro`.
    """
    code = subprocess.run([*DVC, "repro", "--keep-going", *options], check=False).returncode
    unmade = changed_stages() if code else set()
    datasets = [dataset for dataset in params.load().benchmark.datasets if f"compare@{dataset}" not in unmade]
    follow_champions(datasets)
    if datasets:
        print_tables(datasets)
    return sorted(unmade)


def say_what_failed(failed: Iterable[Chain], unmade: Sequence[str]) -> None:
    """End with an error if there is any. unmade: names of stages that all models share, and that could not be made."""
    models = ", ".join(f"{chain.model} on {chain.dataset}" for chain in failed)
    where = {
        models: "failed, as said above and in reports/DATASET/models/MODEL/failed.log",
        ", ".join(unmade): "could not be made, as said above",
    }
    again = "the others are done. Run again when that is mended: nothing that is done is done twice"
    errors = [f"error: {names}: {what}; {again}" for names, what in where.items() if names]
    if errors:
        sys.exit("\n".join(errors))


def follow_champions(datasets: Iterable[str]) -> None:
    """Let MLflow's alias `champion` follow champion.json.

    The stage `package` does so, but does not run where DVC takes former packages out of its cache.
    """
    from segbench.packages.card import CARD, IN_MLFLOW  # late: processes that were forked before must not have numba
    from segbench.tracking.models import registered_champion

    for dataset in datasets:
        packages, report = Path("data/packages") / dataset, Path("reports") / dataset / "champion.json"
        if not packages.is_dir() or not report.exists():
            continue
        chosen = read_json(report)
        champion = chosen["champion"]
        card = packages / champion["model"] / IN_MLFLOW / CARD if champion else None
        if card and not card.exists():
            continue
        if registered_champion(dataset) != (file_digest(card) if card else ""):
            from pipeline.register import register  # torch takes seconds to import

            register(dataset, packages=packages, chosen=chosen)


def print_tables(datasets: Iterable[str]) -> None:
    """Bring the page over all datasets up to date, and print the tables of some."""
    index.main(reports=Path("reports"))
    summary.main(datasets)


def dvc(*arguments: str) -> None:
    """Run DVC; if it fails, end with its exit code. It has said why."""
    code = subprocess.run([*DVC, *arguments], check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    print_anything()
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped. Run again when you like: nothing that is done is done twice", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
