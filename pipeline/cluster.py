"""`make reproduce` over a cluster of Ray: models side by side on its machines, and then the tables here. Not a stage.

Each task works in a clone of its own, on the machine that Ray chooses, and shares nothing with others but DVC's remote,
where results go, and the folder --shared, where checkpoints lie: the task of a machine that was lost starts again on
another, and its training continues there. docs/machines.md says how to use it.
"""

import argparse
import ctypes
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline import lock
from pipeline.check import failure_log, reason_of
from pipeline.command import print_anything
from pipeline.reproduce import (
    Chain,
    chains_of,
    dvc,
    forget_failures,
    keep_failures,
    make_tables,
    out_of_date,
    say_what_failed,
)
from segbench import params
from segbench.errors import InputError
from segbench.files import read_json
from segbench.parallel import THREAD_LIMITS

PASSED_ON = ("AWS_", "MLFLOW_")
"""Variables that begin so are the tasks', too: where the remote and MLflow's server are, and the keys to them."""


@dataclass(frozen=True)
class Work:
    """A model's stages on a dataset, or the training with one seed alone, whose result stays in the shared folder."""

    chain: Chain
    seed: int | None = None

    @property
    def name(self) -> str:
        """For people: `fcn_8s on scenes`."""
        return f"{self.chain.model} on {self.chain.dataset}" + ("" if self.seed is None else f", seed {self.seed}")


def do(
    clone: bytes, stages: Sequence[str], seed: tuple[str, str, int] | None, failed_before: str, shared: str,
    environment: dict[str, str], timeout_s: float | None, *after: object,
) -> str:  # fmt: skip
    """Run stages in a new clone, on the machine that Ray chose, and push the results. The log if that failed, or "".

    clone: a tar archive of it; seed: (dataset, model, seed) to do the training with that seed alone, and push nothing;
    failed_before: the log of a former failure, which no longer counts; after: tasks that end before this one starts.
    Ray sends this function by value, so it uses nothing of the project, which the machine does not have.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux alone has it

    def end_with_worker() -> None:
        """Ray kills this process when the caller is killed: dvc is then told to end, and the stages end with dvc."""
        if prctl:
            prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG

    def run(*command: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=root, env=os.environ | environment | {"PATH": path},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=end_with_worker,  # one system call, which is known before the fork
        )  # fmt: skip
        try:
            if process.wait(timeout_s):
                raise RuntimeError
        except subprocess.TimeoutExpired:
            log.write(f"\nerror: not done after {timeout_s:g} s, the limit\n".encode())
            raise RuntimeError from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)  # the stages end with dvc
                process.wait()

    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    root = Path(tempfile.mkdtemp(prefix="segbench-"))
    try:
        with tarfile.open(fileobj=io.BytesIO(clone)) as archive:
            archive.extractall(root, filter="data")
        (root / failed_before).unlink(missing_ok=True)
        for name in ("checkpoints", "locks", "tracking"):  # what a lost task has left, who trains, what MLflow lacks
            (Path(shared) / name).mkdir(parents=True, exist_ok=True)
            (root / "data" / name).symlink_to(Path(shared) / name)
        if seed:
            dataset, model, number = seed
            values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
            of_dataset = values["models"][model].setdefault("train_on", {}).setdefault(dataset, {})
            of_dataset["seeds"] = [number]
            (root / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
            # Nobody has edited it: the seed's result is of the commit, and may say so.
            subprocess.run(["git", "update-index", "--assume-unchanged", "params.yaml"], cwd=root, check=True)
        with tempfile.TemporaryFile() as log:
            try:
                run("dvc", "repro", "--pull", *stages)
                if not seed:
                    run("dvc", "push", "--run-cache")
                    run("pipeline.send_runs")
            except RuntimeError:
                log.seek(0)
                return log.read().decode(errors="replace") or "error: nothing was printed"
        return ""
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Make what all models share here, the models on the cluster, and the tables here, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="a folder that all machines see, for checkpoints")
    parser.add_argument("--address", default="auto", help="of the cluster; by default that of this machine")
    parser.add_argument("--num-cpus", type=int, default=1, help="of a task")
    parser.add_argument("--num-gpus", type=float, default=0, help="of a task; 0.5 lets two share one")
    parser.add_argument("--retries", type=int, default=3, help="of a task whose machine was lost")
    parser.add_argument("--timeout-s", type=float, help="for a model's stages; without it, there is no limit")
    options = parser.parse_args()
    _refuse_uncommitted("workers clone the last commit")
    _refuse_without_shared_stores()
    for line in lock.mend():
        print(line)
    dvc("repro", "--pull", "augment")
    dvc("push")
    _refuse_uncommitted("what all models share was made anew, and workers clone the last commit")
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    all_chains = chains_of(stages, params.load().benchmark)
    forget_failures(all_chains)
    dvc("repro", "src/dvc.yaml")
    failed = _on_cluster(out_of_date(all_chains), options)
    keep_failures(failed)
    unmade = make_tables("--pull")
    for chain in all_chains:
        if not set(unmade).isdisjoint(chain.stages):
            continue  # its trainings may go on from there; what the others have left is in DVC's cache now
        report = Path("reports") / chain.dataset / "models" / chain.model / "training.json"
        for record in read_json(report)["trainings"]:
            shutil.rmtree(options.shared / "checkpoints" / record["training_key"], ignore_errors=True)
    say_what_failed(failed, unmade)


def _on_cluster(chains: Sequence[Chain], options: argparse.Namespace) -> dict[Chain, str]:
    """Do them, the longest first. The logs of those that failed."""
    import ray

    try:
        ray.init(address=options.address, log_to_driver=False)
    except ConnectionError as error:
        raise InputError(f"--address {options.address}: no cluster of Ray ({error}); start it: ray start") from None
    needed = {"CPU": options.num_cpus, "GPU": options.num_gpus}
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(each.get(kind, 0) >= number for kind, number in needed.items()) for each in machines):
        raise InputError(f"no machine of the cluster has {needed['CPU']} CPUs and {needed['GPU']:g} GPUs for a task")
    clone = ray.put(_clone())
    environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    environment |= dict.fromkeys(THREAD_LIMITS, str(options.num_cpus))
    task = ray.remote(num_cpus=options.num_cpus, num_gpus=options.num_gpus, max_retries=options.retries)(do)

    def start(work: Work, stages: Sequence[str], after: Sequence[Any]) -> Any:
        chain = work.chain
        seed = None if work.seed is None else (chain.dataset, chain.model, work.seed)
        log = str(failure_log(chain.dataset, chain.model))
        shared = str(options.shared.resolve())
        return task.remote(clone, stages, seed, log, shared, environment, options.timeout_s, *after)

    parameters = params.load()
    running: dict[Any, Work] = {}
    for chain in sorted(chains, key=lambda chain: -chain.expected_seconds):
        seeds = parameters.train_for(chain.dataset, chain.model).seeds
        alone = [Work(chain, seed) for seed in seeds if len(seeds) > 1 and chain.model in parameters.models]
        before = [start(work, chain.stages[:1], []) for work in alone]
        running |= {**dict(zip(before, alone, strict=True)), start(Work(chain), chain.stages, before): Work(chain)}
    failed = {}
    while running:
        (ended,), _ = ray.wait(list(running), num_returns=1)
        work = running.pop(ended)
        try:
            log = ray.get(ended)
        except ray.exceptions.RayError as error:  # such as a machine that was lost once more than --retries
            log = f"error: {' '.join(str(error).split())}"
        print(f"{work.name}: {f'failed: {reason_of(log)}' if log else 'done'}", flush=True)
        if log and work.seed is None:
            failed[work.chain] = log
    ray.shutdown()
    return failed


def _refuse_uncommitted(why: str) -> None:
    """InputError if files differ from the last commit."""
    told = subprocess.run(["git", "status", "--porcelain"], stdout=subprocess.PIPE, text=True, check=False)
    if told.returncode:  # git has said why
        sys.exit(told.returncode)
    if names := [line[3:] for line in told.stdout.splitlines()]:
        raise InputError(f"{', '.join(names[:3])}{', ...' if names[3:] else ''}: not committed; {why}")


def _refuse_without_shared_stores() -> None:
    """InputError if what the tasks make could not be found again."""
    remote = subprocess.run(["dvc", "config", "core.remote"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if not remote.stdout.strip():
        raise InputError(
            "DVC has no default remote, where results of other machines go; see docs/machines.md: dvc remote add"
        )
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise InputError("MLFLOW_TRACKING_URI is not set; it must name the MLflow server of all machines")


def _clone() -> bytes:
    """A clone of the last commit, without its history, as a tar archive."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path.cwd().resolve().as_uri()
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", source, folder], check=True)
        archived = io.BytesIO()
        with tarfile.open(fileobj=archived, mode="w") as archive:
            archive.add(folder, arcname=".")
        return archived.getvalue()


if __name__ == "__main__":
    print_anything()
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
