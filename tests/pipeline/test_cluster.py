"""A real cluster of Ray, of two machines on this one. One is killed in the middle of a training; one model fails."""

import os
import signal
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from segbench.checkpoints import LAST, WEIGHTS
from segbench.files import read_csv, read_json
from tests.parameters import PROJECT
from tests.pipeline import servers
from tests.pipeline.project import Project, epochs_in
from tests.pipeline.test_dvc import stages_run
from tests.pipeline.test_shared import Clone, Shared, make_origin

pytest.importorskip("ray", reason="ray is not installed")
pytest.importorskip("moto", reason="moto[server] is not installed")
pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed")
pytestmark = pytest.mark.long

EPOCHS = 30
PROGRAM = ("python", "-m", "pipeline.cluster")
OBJECT_STORE_BYTES = 100 * 2**20


def change(project: Project) -> None:
    """A longer training, one of two seeds, and a model that cannot be trained."""

    def longer(parameters: dict[str, Any]) -> None:
        parameters["benchmark"]["models"] = ["color_clusters", "fcn_8s", "unet"]
        parameters["datasets"]["scenes"]["train"]["epochs"] = EPOCHS
        parameters["models"]["color_clusters"]["train"] = {"seeds": [0, 1]}

    project.edit(longer)
    source = project.root / "src/segbench/models/unet.py"
    before = source.read_text()
    fails = "        if self.training:\n            raise RuntimeError('out of order')\n"
    source.write_text(before.replace("        x = self.up(x)", f"{fails}        x = self.up(x)"))
    assert source.read_text() != before


@dataclass
class Outcome:
    """What the command printed, where it ran, and the epochs of the checkpoint that the killed machine has left."""

    clone: Clone
    output: str
    code: int
    before: list[dict[str, Any]]
    client: MlflowClient


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    from ray.cluster_utils import Cluster

    root = tmp_path_factory.mktemp("cluster")
    origin, folder = make_origin(root / "origin", change=change), root / "shared"
    node: dict[str, Any] = {"object_store_memory": OBJECT_STORE_BYTES}
    with (
        servers.s3() as s3_address,
        servers.mlflow(store=f"sqlite:///{root / 'mlflow.db'}", s3_address=s3_address) as address,
    ):
        clone = Shared(origin, s3_address, address).clone("caller")
        clone.share()
        cluster = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 0, "include_dashboard": False})
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, **node)
            process = clone.start("--shared", str(folder), "--address", cluster.address, program=PROGRAM)
            try:
                before = kill_machine_that_trains("fcn_8s", folder / "checkpoints", process)
                output = process.communicate()[0]
            finally:
                process.kill()
        finally:
            cluster.shutdown()
        yield Outcome(clone, output, process.returncode, before, MlflowClient(address))


def kill_machine_that_trains(model: str, checkpoints: Path, command: Popen[str]) -> list[dict[str, Any]]:
    """Kill the raylet above the training and all that it has started, once there is a checkpoint; its epochs."""
    while command.poll() is None:
        time.sleep(0.2)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                if "pipeline.train" not in words or model not in words:
                    continue
                key_folders = [path.parent for path in checkpoints.glob(f"*/{LAST}.ckpt")]
                raylets = [parent for parent in process.parents() if parent.name() == "raylet"]
                if not key_folders or not raylets:
                    continue
                for one in [*raylets[0].children(recursive=True), raylets[0]]:
                    with suppress(psutil.Error):
                        os.kill(one.pid, signal.SIGKILL)
                return epochs_in(key_folders[0] / f"{LAST}.ckpt")
    raise AssertionError(f"no training of {model}: {command.communicate()[0]}")


def test_the_tables_are_made_from_what_the_cluster_trained(outcome: Outcome) -> None:
    assert "fcn_8s on scenes: done" in outcome.output
    assert "color_clusters on scenes, seed 1: done" in outcome.output
    here = stages_run(outcome.output)
    assert "compare@scenes" in here
    assert not here & {
        f"{stage}@scenes-{model}" for stage in ("train", "crf") for model in ("color_clusters", "fcn_8s")
    }
    table = (outcome.clone.root / "reports/scenes/benchmark.md").read_text()
    assert "| fcn_8s" in table and "| color_clusters" in table
    assert outcome.clone.status() == {}
    left = outcome.clone.root.with_name("shared") / "checkpoints"
    assert list(left.glob(f"*/{WEIGHTS}")) == []


def test_trainings_are_of_the_commit_that_was_cloned(outcome: Outcome) -> None:
    reports = (outcome.clone.root / "reports/scenes/models").glob("*/training.json")
    commits = {training["commit"] for report in reports for training in read_json(report)["trainings"]}
    assert len(commits) == 1 and not commits.pop().endswith("-dirty")


def test_the_training_of_the_lost_machine_has_continued(outcome: Outcome) -> None:
    assert 0 < len(outcome.before) < EPOCHS
    curves = read_csv(outcome.clone.root / "reports/scenes/models/fcn_8s/curves.csv")
    assert curves["epoch"].tolist() == list(range(1, EPOCHS + 1))
    seconds = [row["seconds"] for row in outcome.before]
    assert curves["seconds"].tolist()[: len(seconds)] == seconds, "these epochs were not trained again"


def test_a_model_that_fails_is_in_the_table_with_its_log(outcome: Outcome) -> None:
    assert "unet on scenes: failed: RuntimeError: out of order" in outcome.output
    assert outcome.code == 1
    assert "error: unet on scenes: failed, as said above and in reports/DATASET/" in outcome.output.splitlines()[-1]
    reports = outcome.clone.root / "reports/scenes"
    assert "raise RuntimeError('out of order')" in (reports / "models/unet/failed.log").read_text()
    assert read_json(reports / "models/unet/training.json")["trainings"] == []
    (line,) = [line for line in (reports / "benchmark.md").read_text().splitlines() if line.startswith("| unet ")]
    assert "failed: RuntimeError: out of order (see reports/scenes/models/unet/failed.log)" in line


def test_the_runs_of_the_machines_are_in_one_store(outcome: Outcome) -> None:
    experiment = outcome.client.get_experiment_by_name("scenes")
    assert experiment is not None
    runs = outcome.client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs if run.info.run_name == "fcn_8s"] == ["FINISHED"]
    assert sum("mIoU/test" in run.data.metrics for run in runs) == 3, "of fcn_8s, and of two seeds of color_clusters"


def test_a_task_ends_with_the_process_that_ray_has_killed(tmp_path: Path) -> None:
    """As when the command itself is killed: what would go on could not be told from a task that is started again."""
    project = tmp_path / "project"
    for name in (".dvc", "data"):
        (project / name).mkdir(parents=True)
    (project / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (project / "dvc.yaml").write_text("stages:\n  long:\n    cmd: sleep 60\n")
    archive = tmp_path / "clone.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(project, arcname=".")
    script = f"""
from pathlib import Path
from pipeline.cluster import do
do(Path({str(archive)!r}).read_bytes(), ["long"], None, "failed.log", {str(tmp_path / "shared")!r}, {{}}, None)
"""
    worker = Popen([sys.executable, "-c", script], cwd=PROJECT, env=os.environ | {"TMPDIR": str(tmp_path)})
    try:
        of_worker = psutil.Process(worker.pid)
        while not (sleeping := [child for child in of_worker.children(recursive=True) if child.name() == "sleep"]):
            assert worker.poll() is None
            time.sleep(0.1)
        (dvc,) = of_worker.children()
    finally:
        worker.kill()
        worker.wait()
    try:
        assert psutil.wait_procs([dvc], timeout=10)[1] == []
    finally:
        for process in sleeping:
            process.kill()


def test_uncommitted_changes_are_refused_in_one_line(outcome: Outcome) -> None:
    outcome.clone.git("checkout", "--quiet", ".")
    outcome.clone.git("clean", "--quiet", "--force", "-d")
    outcome.clone.edit(lambda parameters: parameters["train"].update(lr=0.001))
    told = outcome.clone.run("--shared", "/nowhere", program=PROGRAM, fails=True)
    assert told == "error: params.yaml: not committed; workers clone the last commit\n"
