"""The array job of docs/machines.md on a real SLURM, of this machine alone; one job is queued again while it trains."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from segbench.checkpoints import LAST
from segbench.files import read_csv
from tests.parameters import PROJECT
from tests.pipeline import servers
from tests.pipeline.project import Project, epochs_in
from tests.pipeline.test_dvc import stages_run
from tests.pipeline.test_shared import MODELS, Clone, Shared, make_origin

pytest.importorskip("moto", reason="moto[server] is not installed")
pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed")
pytestmark = pytest.mark.long

EPOCHS = 30
LIMIT_S = 300


def change(project: Project) -> None:
    """A training that lasts until it is queued again."""
    project.edit(lambda parameters: parameters["datasets"]["scenes"]["train"].update(epochs=EPOCHS))


def recipe(folder: Path, shared: Shared) -> str:
    """The script as the page has it, with this machine's names, one core per job, and without a GPU."""
    text = (PROJECT / "docs/machines.md").read_text()
    (found,) = re.findall(r"(?:^    .*\n|^\n)+", text[text.index("    #!/bin/bash") :], flags=re.MULTILINE)[:1]
    script = re.sub("^    ", "", found, flags=re.MULTILINE)
    replaced = {
        "/shared/venv": sys.prefix, "/shared/": f"{folder}/", "GIT_URL": shared.origin.as_uri(),
        "http://SERVER:5000": shared.mlflow, "--array=1-11": f"--array=1-{len(MODELS)}",
        "--cpus-per-task=4": "--cpus-per-task=1", "THREADS=4": "THREADS=1", "#SBATCH --gres=gpu:1\n": "",
    }  # fmt: skip
    for name, value in replaced.items():
        assert name in script
        script = script.replace(name, value)
    return script


@dataclass
class Outcome:
    """The clone that puts the results together, the jobs' logs, and the epochs that the first start had trained."""

    clone: Clone
    logs: str
    before: list[dict[str, Any]]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    root = tmp_path_factory.mktemp("slurm")
    origin, folder = make_origin(root / "origin", change=change), root / "folder"
    folder.mkdir()
    with (
        servers.slurm(root / "cluster") as variables,
        servers.s3() as s3_address,
        servers.mlflow(store=f"sqlite:///{root / 'mlflow.db'}", s3_address=s3_address) as address,
    ):
        shared = Shared(origin, s3_address, address)
        clone = shared.clone("caller")
        clone.share()
        (folder / "models.txt").write_text("".join(f"scenes-{model}\n" for model in MODELS))
        (root / "job.sh").write_text(recipe(folder, shared))
        environment = {**shared.environment, **variables}

        def slurm(*command: str) -> str:
            return subprocess.run(
                command, cwd=root, env=environment, check=True, text=True, stdout=subprocess.PIPE
            ).stdout.strip()

        job = slurm("sbatch", "--parsable", "job.sh")
        number, started = 1 + MODELS.index("fcn_8s"), time.monotonic()
        checkpoints = folder / "segbench/checkpoints"
        while not (left := list(checkpoints.glob(f"*/{LAST}.ckpt"))):
            assert time.monotonic() < started + LIMIT_S and slurm("squeue", "--noheader"), logs(root)
            time.sleep(0.2)
        slurm("scontrol", "requeue", f"{job}_{number}")
        while "PENDING" not in slurm("squeue", "--noheader", f"--job={job}_{number}", "--format=%T"):
            time.sleep(0.2)
        before = epochs_in(left[0])
        slurm("scontrol", "update", f"jobid={job}_{number}", "StartTime=now")  # SLURM would wait for two minutes
        while slurm("squeue", "--noheader"):
            assert time.monotonic() < started + LIMIT_S, logs(root)
            time.sleep(0.5)
        yield Outcome(clone, logs(root), before)


def logs(root: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(root.glob("slurm-*.out")))


def test_the_array_trains_and_the_tables_are_made_from_what_it_has_pushed(outcome: Outcome) -> None:
    here = stages_run(outcome.clone.run("repro", "--pull"))
    assert "compare@scenes" in here, outcome.logs
    assert not {stage for stage in here if stage.partition("@")[0] in ("train", "predict", "crf")}, outcome.logs
    assert outcome.clone.status() == {}


def test_the_job_that_was_queued_again_has_continued(outcome: Outcome) -> None:
    assert 0 < len(outcome.before) < EPOCHS
    curves = read_csv(outcome.clone.root / "data/records/scenes/fcn_8s/curves.csv")
    assert curves["epoch"].tolist() == list(range(1, EPOCHS + 1))
    seconds = [row["seconds"] for row in outcome.before]
    assert curves["seconds"].tolist()[: len(seconds)] == seconds, "these epochs were not trained again"
