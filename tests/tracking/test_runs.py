"""What the store shows of runs that nothing disturbs, or a kill alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from segbench import tracking
from segbench.machine import git_commit
from segbench.tracking import runs
from tests.tracking.stores import UNDISTURBED, Project, live_at_once, log_epochs, nothing_waits, without_tags


def test_an_evaluation_completes_the_run_of_its_training(project: Project) -> None:
    project.train(epochs=[1], key="old")
    project.train(epochs=[1, 2, 3], key="k")
    project.evaluate(key="k")
    assert tracking.send_waiting() and nothing_waits()
    old, new = without_tags(project.shows())
    assert new == UNDISTURBED
    assert old["metrics"] == {"loss": [(1, 1.0)]}


def test_a_killed_training_continues_its_run(project: Project) -> None:
    project.train_and_be_killed(epochs=[1, 2])
    assert tracking.send_waiting()
    (killed,) = project.shows()
    assert killed["status"] == "KILLED" and killed["metrics"] == {"loss": [(1, 1.0), (2, 0.5)]}
    project.train(epochs=[2, 3])  # the epoch after the last checkpoint is repeated
    project.evaluate()
    assert tracking.send_waiting() and nothing_waits()
    assert without_tags(project.shows()) == [UNDISTURBED]


def test_a_killed_training_that_never_continues_is_closed(project: Project) -> None:
    project.train_and_be_killed(epochs=[1], key="before an edit")
    project.train(epochs=[1], key="after an edit")
    assert tracking.send_waiting()
    assert [run["status"] for run in project.shows()] == ["KILLED", "FINISHED"]


def test_a_training_shows_its_curves_while_it_runs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    live_at_once(monkeypatch)
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "k") as run:
        for epoch in (1, 2):
            log_epochs(run, [epoch])
            (shown,) = project.shows()
            assert shown["status"] == "RUNNING" and len(shown["metrics"]["loss"]) == epoch
            assert tracking.send_waiting(), "others leave it alone"
    assert project.shows()[0]["status"] == "FINISHED" and nothing_waits()


def test_short_stages_never_import_mlflow(project: Project) -> None:
    code = (
        "import sys, pathlib; from segbench import tracking\n"
        f"folder = pathlib.Path({str(project.root)!r})\n"
        "with tracking.training_run(dataset='d', name='m', key='k', checkpoints=folder):\n"
        "    pass\n"
        "with tracking.evaluation_run(dataset='d', name='m', key='k') as run: run.log_metrics({'a': 1})\n"
        "print('mlflow' in sys.modules)\n"
    )
    assert project.run(code).stdout == "False\n"
    assert tracking.send_waiting()
    assert project.shows()[0]["metrics"] == {"a": [(0, 1.0)]}


@pytest.mark.parametrize("damaged", [b"", b"/", b"\xff"])
def test_a_damaged_name_beside_the_checkpoints_costs_no_other_run(project: Project, damaged: bytes) -> None:
    project.evaluate(key="other")
    (project.root / "k").mkdir()
    (project.root / "k" / runs.NAME_FILE).write_bytes(damaged)
    project.train(epochs=[1])
    assert tracking.send_waiting()
    assert [run["metrics"] for run in project.shows()] == [{"test.mean_iou": [(0, 0.5)]}, {"loss": [(1, 1.0)]}]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (SystemExit, "KILLED")])
def test_a_stage_that_ends_early_says_so(project: Project, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "c"):
        raise error
    assert tracking.send_waiting()
    assert project.shows()[0]["status"] == status


def test_a_run_may_fail_without_an_error(project: Project) -> None:
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "c") as run:
        run.fail("not finite")
    assert not tracking.has_begun(project.root / "c")
    assert tracking.send_waiting()
    (shown,) = project.shows()
    assert shown["status"] == "FAILED" and shown["tags"][tracking.FAILURE_TAG] == "not finite"


def test_a_run_and_its_experiment_say_where_they_come_from(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "swift-fox")
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    project.train(epochs=[])
    assert tracking.send_waiting()
    tags = project.shows()[0]["tags"]
    expected = {
        "segbench.training_key": "k", "mlflow.source.name": "dvc repro", "mlflow.source.git.commit": git_commit(),
        "dvc_exp_name": "swift-fox", "machine": "two cores",
    }  # fmt: skip
    assert expected.items() <= tags.items()
    assert "dvc_exp_baseline_rev" not in tags
    experiment = project.client.get_experiment_by_name("d")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert str(experiment.artifact_location) == (project.root / "mlartifacts" / "d").as_uri()


def test_processes_that_begin_together_share_one_new_store(project: Project) -> None:
    project.database.unlink()
    code = (
        "import sys; from pathlib import Path; from segbench import tracking\n"
        "name, folder = sys.argv[1:]\n"
        "tracking.runs.LIVE_AFTER_S = 0.0\n"
        "with tracking.training_run(dataset='d', name=name, key=name, checkpoints=Path(folder)) as r:\n"
        "    r.log_metrics({'loss': 1})\n"
    )  # fmt: skip
    processes = [
        subprocess.Popen([sys.executable, "-c", code, f"m{n}", str(project.root / f"c{n}")], stderr=subprocess.PIPE)
        for n in range(3)
    ]
    assert [process.communicate()[1] for process in processes] == [b""] * 3
    assert [process.returncode for process in processes] == [0] * 3
    assert sorted(run["name"] for run in project.shows()) == ["m0", "m1", "m2"]
    assert nothing_waits()


@pytest.mark.parametrize("other_time", [1, 2**41], ids=["the other is older", "the other is younger"])
def test_machines_that_begin_together_share_one_experiment_and_one_benchmark(
    project: Project, monkeypatch: pytest.MonkeyPatch, other_time: int
) -> None:
    """Another machine, which no lock here holds up, makes each of them between our look and our own try."""
    make_experiment, make_run = MlflowClient.create_experiment, MlflowClient.create_run
    others: list[str] = []

    def create_experiment(client: MlflowClient, name: str, artifact_location: str, tags: dict[str, str]) -> str:
        if client.get_experiment_by_name(name) is None:
            make_experiment(client, name, artifact_location, tags)
        return str(make_experiment(client, name, artifact_location, tags))

    def create_run(client: MlflowClient, experiment: str, time: int, tags: dict[str, str], name: str) -> Run:
        if name == "benchmark" and not others:
            others.append(make_run(client, experiment, other_time, tags, name).info.run_id)
            make_run(client, experiment, other_time, {"mlflow.parentRunId": others[0]}, "of the other")
        return make_run(client, experiment, time, tags, name)

    monkeypatch.setattr(MlflowClient, "create_experiment", create_experiment)
    monkeypatch.setattr(MlflowClient, "create_run", create_run)
    project.train(epochs=[1])
    assert tracking.send_waiting() and nothing_waits()
    assert sorted(run["name"] for run in project.shows()) == ["m", "of the other"]
    assert (project.client.get_run(others[0]).info.lifecycle_stage == "active") == (other_time == 1)


def test_another_store_can_be_named(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.database.unlink()
    uri = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(project.root)  # where MLflow keeps the files of such a store
    project.train(epochs=[1])
    assert tracking.send_waiting()
    assert [run["name"] for run in project.shows(MlflowClient(uri))] == ["m"]
    assert not project.database.exists()


def test_a_project_that_was_moved_keeps_its_files(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In new processes, since MLflow remembers where it found files."""
    moved = Project(tmp_path / "moved here" / "Bäume")
    log_file = (
        "from pathlib import Path; from segbench import tracking; path = Path({path!r}); path.write_text('content')\n"
        "with tracking.evaluation_run(dataset='d', name='m', key='k') as run: run.log_file(path)\n"
        "assert tracking.send_waiting()\n"
    )
    list_files = (
        f"from mlflow import MlflowClient; client = MlflowClient('sqlite:///{moved.database}')\n"
        "runs = client.search_runs([client.get_experiment_by_name('d').experiment_id])\n"
        "(run,) = (run for run in runs if run.info.run_name == 'm')\n"
        "print([item.path for item in client.list_artifacts(run.info.run_id)])\n"
    )
    assert project.run(log_file.format(path=str(tmp_path / "a.txt"))).stderr == ""
    moved.root.mkdir(parents=True)
    for name in ("mlflow.db", "mlartifacts"):
        (project.root / name).rename(moved.root / name)
    monkeypatch.setenv("DVC_ROOT", str(moved.root))
    found = moved.run(log_file.format(path=str(tmp_path / "b.txt")) + list_files)
    assert (found.stdout, found.stderr) == ("['a.txt', 'b.txt']\n", "")
    assert not (project.root / "mlartifacts").exists()
