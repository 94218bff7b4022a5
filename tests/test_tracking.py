"""MLflow on a real SQLite store."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from segbench import tracking
from segbench.machine import git_commit


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_killed_training_rejoins_its_run(store: MlflowClient, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    for steps in ([1, 2], [3]):
        with tracking.training_run(dataset="d", name="m", key="k", checkpoints=checkpoints) as run:
            for step in steps:
                run.log_metrics({"loss": 1 / step, "absent": None}, step=step)
    experiment = store.get_experiment_by_name("d")
    assert experiment is not None
    (found,) = store.search_runs([experiment.experiment_id])
    history = store.get_metric_history(found.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert "absent" not in found.data.metrics
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "m"


def test_evaluation_completes_the_run_of_its_training(store: MlflowClient, tmp_path: Path) -> None:
    for number, key in enumerate(["old", "new"]):
        with tracking.training_run(dataset="d", name="m", key=key, checkpoints=tmp_path / str(number)) as training:
            training.log_parameters({"train": {"lr": 0.1}, "long": "x" * 5000})
    with tracking.evaluation_run(dataset="d", name="m", key="new") as evaluation:
        evaluation.log_metrics({"test.mean_iou": 0.5})
        file = tmp_path / "file.txt"
        file.write_text("content")
        evaluation.log_file(file, "folder")
    assert evaluation.run_id == training.run_id
    data = store.get_run(training.run_id).data
    assert data.params == {"train.lr": "0.1", "long": "x" * 5000}
    assert data.metrics == {"test.mean_iou": 0.5}
    assert [item.path for item in store.list_artifacts(training.run_id, "folder")] == ["folder/file.txt"]


def test_a_run_and_its_experiment_say_where_they_come_from(
    store: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "swift-fox")
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=tmp_path / "c") as run:
        run.set_tags({"machine": "two cores"})
    tags = store.get_run(run.run_id).data.tags
    expected = {
        "segbench.training_key": "k", "mlflow.source.name": "dvc repro", "mlflow.source.git.commit": git_commit(),
        "dvc_exp_name": "swift-fox", "machine": "two cores",
    }  # fmt: skip
    assert expected.items() <= tags.items()
    assert "dvc_exp_baseline_rev" not in tags
    experiment = store.get_experiment_by_name("d")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert str(experiment.artifact_location) == (tmp_path / "mlartifacts" / "d").as_uri()


def test_a_failing_stage_marks_its_run(store: MlflowClient, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        tracking.training_run(dataset="d", name="m", key="k", checkpoints=tmp_path / "c") as run,
    ):
        raise RuntimeError
    assert store.get_run(run.run_id).info.status == "FAILED"


def test_processes_that_begin_together_share_one_new_store(store: MlflowClient, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from segbench import tracking\n"
        "with tracking.training_run(dataset='d', name=sys.argv[1], key=sys.argv[1], checkpoints=Path(sys.argv[2])):\n"
        "    pass\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, f"m{n}", str(tmp_path / f"c{n}")], stderr=subprocess.PIPE)
        for n in range(3)
    ]
    for process in processes:
        assert process.communicate()[1].count(b"Traceback") == 0
    experiment = store.get_experiment_by_name("d")
    assert experiment is not None
    runs = store.search_runs([experiment.experiment_id])
    assert sorted(str(run.info.run_name) for run in runs) == ["m0", "m1", "m2"]


def test_another_store_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    (tmp_path / "project").mkdir()
    uri = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=tmp_path / "c"):
        pass
    assert MlflowClient(uri).get_experiment_by_name("d") is not None
    assert not (tmp_path / "project" / "mlflow.db").exists()
