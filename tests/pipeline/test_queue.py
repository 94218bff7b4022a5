"""Experiments of `dvc queue start -j 2` that have a training in common: it is done once, for both."""

import shutil
import sys
import time

import pytest
import yaml
from mlflow import MlflowClient

from tests.parameters import PROJECT
from tests.pipeline.project import Project

pytestmark = pytest.mark.long

PATIENCE_S = 600
TARGET = "crf@scenes-fcn_8s"
STEPS = (1, 3)
"""Of mean field: each candidate of the search says its own, so that the two results differ whatever is found."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in git, whose queue has done two experiments that differ in the CRF's search alone."""
    project = Project(tmp_path_factory.mktemp("queue"))
    project.run("config", "--unset", "core.no_scm")
    shutil.copy(PROJECT / ".gitignore", project.root)
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "A project")
    for steps in STEPS:
        project.run("exp", "run", "--queue", TARGET, "-S", f"crf.steps=[{steps}]", "--name", f"steps-{steps}")
    project.run("queue", "start", "--jobs", "2")
    end = time.monotonic() + PATIENCE_S
    while "Success" not in (status := project.run("queue", "status")) or any(
        word in status for word in ("Queued", "Running")
    ):
        assert time.monotonic() < end and "Failed" not in status, status + logs(project)
        time.sleep(1)
    return project


def git(project: Project, *arguments: str) -> str:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    return project.run(*identity, *arguments, program=("git",))


def logs(project: Project) -> str:
    return "".join(project.run("queue", "logs", f"steps-{steps}") for steps in STEPS)


def test_both_have_the_training_and_their_own_search(project: Project) -> None:
    locks = [
        yaml.safe_load(git(project, "show", f"{ref}:dvc.lock"))["stages"]
        for ref in git(project, "for-each-ref", "--format=%(refname)", "refs/exps/*/*/steps-*").split()
    ]
    assert len(locks) == 2
    first, second = (lock["train@scenes-fcn_8s"]["outs"] for lock in locks)
    assert first == second  # the record too, which has the seconds that the training took
    assert locks[0][TARGET]["outs"] != locks[1][TARGET]["outs"]


def test_it_was_trained_once_in_one_run(project: Project) -> None:
    epochs = [line for line in logs(project).splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 2, epochs
    project.run("-m", "pipeline.send_runs", program=(sys.executable,))
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("scenes")
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == "fcn_8s"]
    assert [run.info.status for run in runs] == ["FINISHED"]


def test_no_checkpoint_is_left(project: Project) -> None:
    (folder,) = (project.root / "data/checkpoints").iterdir()
    assert not list(folder.glob("*.ckpt"))
