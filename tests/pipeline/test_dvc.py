"""The pipeline as DVC runs it: what an edit reruns, what a mistake spares, and a training that is killed."""

import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.pipeline.project import CHECK, Project
from tests.pipeline.stages import commands, filled

pytestmark = pytest.mark.slow

OF_ALL = {"latency@scenes", "package@scenes"}
"""Stages that run the networks of all models."""
MODEL_CHAIN = {f"{stage}@scenes-fcn_8s" for stage in ("train", "predict", "crf")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose first training was killed in its second epoch, and that `dvc repro` then finished."""
    project = Project(tmp_path_factory.mktemp("dvc"))
    project.edit(lambda parameters: parameters["datasets"]["scenes"].update(train={"epochs": 5}))
    training = project.start("repro", "train@scenes-fcn_8s")
    assert training.stdout is not None
    for line in training.stdout:
        if line.startswith("epoch 2/5"):
            os.killpg(training.pid, signal.SIGKILL)
            break
    training.wait()
    project.last_output = project.run("repro")  # type: ignore[attr-defined]
    return project


def test_a_killed_training_continues_and_ends_in_one_run(project: Project) -> None:
    output: str = project.last_output  # type: ignore[attr-defined]
    epochs = [line.split()[1] for line in output.splitlines() if line.startswith("epoch ")]
    assert epochs in (["2/5", "3/5", "4/5", "5/5"], ["3/5", "4/5", "5/5"]), output
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("scenes")
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == "fcn_8s"]
    assert len(runs) == 1
    assert runs[0].info.status == "FINISHED"
    steps = {metric.step for metric in client.get_metric_history(runs[0].info.run_id, "training/loss")}
    assert steps == {1, 2, 3, 4, 5}
    curves = (project.root / "reports/scenes/models/fcn_8s/curves.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in curves] == ["epoch", "1", "2", "3", "4", "5"]


def test_nothing_is_left_to_do(project: Project) -> None:
    assert project.status() == {}
    assert stages_run(project.run("repro")) == {CHECK}


def test_a_models_parameter_concerns_that_model_alone(project: Project) -> None:
    before = (project.root / "params.yaml").read_text()
    project.edit(lambda parameters: parameters["models"]["fcn_8s"].update(train={"lr": 0.001}))
    assert set(project.status()) == {CHECK} | OF_ALL | MODEL_CHAIN
    (project.root / "params.yaml").write_text(before)


def test_words_and_files_that_nothing_imports_rerun_nothing(project: Project) -> None:
    (project.root / "src/segbench/models/unrelated.py").write_text("ANSWER = 42\n")
    project.edit_source("src/segbench/models/fcn.py", '"""FCN: fully convolutional network."""', '"""Another word."""')
    project.edit_source("src/segbench/training/fit.py", "\n\ndef fit(", "\n\n# A remark.\ndef fit(")
    assert project.status() == {}


def test_an_edit_of_a_models_code_concerns_that_model_alone_and_says_why(project: Project) -> None:
    path, old, new = "src/segbench/models/fcn.py", "for skip in (16, 8)", "for skip in [16, 8]"
    project.edit_source(path, old, new)
    status = project.status()
    assert set(status) == MODEL_CHAIN | OF_ALL
    for stage, (changes,) in status.items():
        of_model = "/fcn_8s" if stage in MODEL_CHAIN else ""
        digests = f"data/sources/{stage.partition('@')[0]}{of_model}.json"
        assert changes == {"changed deps": {digests: {path: "modified"}}}
    project.edit_source(path, new, old)
    assert project.status() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["train"].update(lr=-1), "params.yaml: train.lr is -1; it must be greater than 0"),
        (lambda p: p["models"]["fcn_8s"].update(head=3), "params.yaml: models.fcn_8s has no parameter head; it has"),
        (lambda p: p["augment"]["transforms"].append({"Flipp": {}}), "augment.transforms.3.Flipp: albumentations"),
        (lambda p: p["augment"]["transforms"].append({"VerticalFlip": {"q": 1}}), "VerticalFlip has no argument q"),
        (lambda p: p["benchmark"]["models"].append("fcn_9s"), "benchmark.models names fcn_9s; it must be one of"),
        (
            lambda p: p["variants"]["unet_no_skips"].update(skps=0),
            "variants.unet_no_skips has no parameter skps; it",
        ),
        (
            lambda p: p["datasets"]["scenes"]["claims"]["thin_classes"].append("mast"),
            "thin_classes names mast; it must",
        ),
    ],
)
def test_a_mistake_in_params_is_one_line_and_spares_every_output(
    project: Project, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    before, files = (project.root / "params.yaml").read_text(), project.files()
    project.edit(change)
    output = project.run("repro", fails=True)
    (project.root / "params.yaml").write_text(before)
    assert len([line for line in output.splitlines() if line.startswith("error: ") and message in line]) == 1, output
    assert "Traceback" not in output
    assert files == project.files()
    assert project.status() == {}


def test_a_dataset_that_is_not_there_spares_the_prepared_one(project: Project) -> None:
    before, files = (project.root / "params.yaml").read_text(), project.files()
    (project.root / "empty").mkdir()
    camvid = {
        "source": {"kind": "camvid", "root": "empty", "split": "published"},
        "claims": {"thin_classes": ["pole"], "context_classes": []},
    }
    project.edit(lambda parameters: parameters["datasets"]["scenes"].update(camvid))
    output = project.run("repro", fails=True)
    (project.root / "params.yaml").write_text(before)
    assert "error: " in output and "train.txt: no such file; the root of CamVid holds" in output
    assert "Traceback" not in output
    project.run("repro", CHECK)  # sees that the source is as before
    assert files == project.files()
    assert project.status() == {}


@pytest.mark.long
def test_an_edit_of_params_while_a_training_runs_is_refused(project: Project) -> None:
    """DVC takes parameters down when the stage has ended, and would record the new value for the old training."""
    before = (project.root / "params.yaml").read_text()
    project.edit(lambda parameters: parameters["models"]["fcn_8s"].update(train={"lr": 0.001}))
    training = project.start("repro", "train@scenes-fcn_8s")
    assert training.stdout is not None
    for line in training.stdout:
        if line.startswith("epoch 1/5"):
            project.edit(lambda parameters: parameters["models"]["fcn_8s"].update(train={"lr": 0.0001}))
            break
    output, _ = training.communicate()
    told = "error: params.yaml: models.fcn_8s.train.lr was 0.001 and is 0.0001: changed while train@scenes-fcn_8s ran"
    assert len([line for line in output.splitlines() if line.startswith(told)]) == 1, output
    assert training.returncode != 0
    assert not (project.root / "data/weights/scenes/fcn_8s").exists()

    project.edit(lambda parameters: parameters["models"]["fcn_8s"].update(train={"lr": 0.001}))
    output = project.run("repro", "train@scenes-fcn_8s")
    assert "epoch " not in output, "what was trained by the former value is still there"
    (project.root / "params.yaml").write_text(before)
    project.run("repro")
    assert project.status() == {}


def test_a_training_whose_dvc_was_killed_does_not_outlive_it_beside_the_next_one(project: Project) -> None:
    """It has 12 epochs; by then params.yaml says 2, and `dvc repro` runs again at once."""
    before, training = (project.root / "params.yaml").read_text(), "train@scenes-fcn_8s"
    project.edit(lambda parameters: parameters["models"]["fcn_8s"].update(train={"lr": 0.002, "epochs": 12}))
    dvc = project.start("repro", training)
    assert dvc.stdout is not None
    for line in dvc.stdout:
        if line.startswith("epoch 1/12"):
            dvc.terminate()
            break
    dvc.wait()
    project.edit(lambda parameters: parameters["models"]["fcn_8s"].update(train={"lr": 0.002, "epochs": 2}))
    output = project.run("repro", training)
    assert "epoch 2/2" in output and "/12" not in output
    results = project.files()
    rest, _ = dvc.communicate(timeout=60)  # until the last process that can write to it has ended
    assert "epoch 12/12" not in rest
    assert project.files() == results
    record = json.loads((project.root / "data/records/scenes/fcn_8s/training.json").read_text())
    assert record["settings"]["train"]["epochs"] == 2
    (project.root / "params.yaml").write_text(before)
    project.run("repro")


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '(.*?)'", output))


@pytest.mark.long
def test_results_of_former_values_come_out_of_the_cache(project: Project) -> None:
    """A, B, A; and results that were removed."""
    before = (project.root / "params.yaml").read_text()
    chain = {f"{stage}@scenes-color_clusters" for stage in ("train", "predict", "crf", "evaluate")}
    results = project.files()
    project.edit(lambda parameters: parameters["models"]["color_clusters"].update(num_clusters=2))
    assert chain <= stages_run(project.run("repro"))
    (project.root / "params.yaml").write_text(before)
    shutil.rmtree(project.root / "data/augmented")
    expensive = {name for name in chain if not name.startswith("evaluate")}
    output = project.run("repro")
    assert set(re.findall(r"Stage '(.*?)' is cached", output)) >= expensive | {"augment@scenes"}, output
    assert not stages_run(output) & {*expensive, "augment@scenes"}
    made = ("/augmented/", "/predictions/", "/records/", "/refined/", "/scenes/models/", "/weights/")
    now = project.files()
    changed = {path for path in {**results, **now} if now.get(path) != results.get(path)}
    assert not [path for path in changed if any(name in path for name in made)]
    assert project.status() == {}


@pytest.mark.long
def test_a_kill_before_dvc_has_the_weights_costs_no_training(project: Project) -> None:
    """DVC takes seconds for its copy when the stage has ended, and removes what the stage has left if killed then."""
    before = (project.root / "params.yaml").read_text()
    project.edit(lambda parameters: parameters["models"]["fcn_8s"].update(train={"lr": 0.001, "epochs": 1}))
    project.run("repro", CHECK)
    command = filled(commands("train")[0], dataset="scenes", model="fcn_8s")
    trained = project.run(*shlex.split(command)[1:], program=("python",))
    assert "epoch 1/1" in trained
    (folder,) = (project.root / "data/checkpoints").iterdir()
    assert not list(folder.glob("*.ckpt"))
    output = project.run("repro")
    assert "train@scenes-fcn_8s" in stages_run(output) and "epoch" not in output
    assert not folder.exists(), "the table is made, so that DVC has its copy"
    (project.root / "params.yaml").write_text(before)
    project.run("repro")


@pytest.mark.long
def test_a_network_with_a_former_value_is_taken_out_of_the_cache(project: Project) -> None:
    """Dropout 0.5, 0.3, 0.5: two trainings, even where nothing but DVC's cache has the first one's weights."""
    before, training = (project.root / "params.yaml").read_text(), "train@scenes-fcn_8s"
    weights = project.root / "data/weights/scenes/fcn_8s/seed_0.pt"
    first = weights.read_bytes()
    project.edit(lambda parameters: parameters["models"]["fcn_8s"].update(dropout=0.3, train={"epochs": 1}))
    assert "epoch 1/1" in project.run("repro", training)
    assert weights.read_bytes() != first
    for name in ("weights", "checkpoints"):
        shutil.rmtree(project.root / "data" / name)
    (project.root / "params.yaml").write_text(before)
    output = project.run("repro", training)
    assert f"Stage '{training}' is cached" in output and "epoch " not in output, output
    assert weights.read_bytes() == first
    project.run("checkout")
    assert project.status() == {}


@pytest.mark.long
def test_what_a_killed_repetition_has_left_goes_where_its_results_are_in_place(project: Project) -> None:
    """DVC takes the results out of its cache then, and no stage would look at what was left."""
    reports = project.root / "reports/scenes/models"
    trainings = json.loads((reports / "fcn_8s/training.json").read_text())["trainings"]
    done, other = (
        project.root / "data/checkpoints" / trainings[0]["training_key"],
        project.root / "data/checkpoints/other",
    )
    for folder in (done, other):
        folder.mkdir(parents=True)
        (folder / "last.ckpt").touch()
    weights = project.root / "data/weights/scenes/fcn_8s/seed_0.pt"
    weights.rename(weights.with_suffix(".aside"))
    project.run("repro", CHECK)
    assert done.exists(), "it may be needed"
    weights.with_suffix(".aside").rename(weights)
    project.run("repro", CHECK)
    assert not done.exists() and other.exists()
    shutil.rmtree(other)


@pytest.mark.long
def test_a_variant_is_a_stage_where_it_is_asked_for(project: Project) -> None:
    """Few colours, which are quick to fit; a variant is its model's values with others, so both are read."""
    before = (project.root / "params.yaml").read_text()
    listed = project.run("stage", "list", "--all", "--name-only").split()
    assert "evaluate@scenes-fcn_8s" in listed and not [name for name in listed if "variant" in name]

    few_colors = {"of": "color_clusters", "num_clusters": 4}
    project.edit(lambda parameters: parameters["variants"].update(few_colors=few_colors))
    project.edit(lambda parameters: parameters["benchmark"].update(variants=["few_colors"]))
    variant, judged = "variant@scenes-few_colors", {"latency@scenes", "claims@scenes", "compare@scenes"}
    packaged = {"package@scenes"}
    counted = "evaluate_variant@scenes-few_colors"
    assert stages_run(project.run("repro")) == {CHECK, variant, counted} | judged | packaged
    assert project.status() == {}
    folder = project.root / "reports/scenes/models/few_colors"
    told = json.loads((folder / "training.json").read_text())["settings"]
    assert told["model"]["num_clusters"] == 4 and told["train"]["epochs"] == 5
    assert "few_colors" not in (project.root / "reports/scenes/benchmark.csv").read_text()

    project.edit(lambda parameters: parameters["models"]["color_clusters"].update(train={"epochs": 6}))
    project.run("repro", CHECK)
    chain = {f"{stage}@scenes-color_clusters" for stage in ("train", "predict", "crf")}
    assert set(project.status()) == {variant} | OF_ALL | chain, "what a variant has from its model concerns it too"

    (project.root / "params.yaml").write_text(before)
    shutil.rmtree(folder)
    assert stages_run(project.run("repro")) == {CHECK} | judged | packaged
    assert project.status() == {}


@pytest.mark.long
def test_a_clone_compares_a_changed_model_with_what_git_has_of_the_others(project: Project) -> None:
    """As the guide says, for parameters and code, without any data or weights. The last test, since it removes them."""
    for name in ("data", ".dvc/cache"):
        shutil.rmtree(project.root / name)
    project.edit(lambda parameters: parameters["models"]["color_clusters"].update(num_clusters=3))
    project.edit_source("src/segbench/models/color_clusters.py", "FITTED_PIXELS = 200_000", "FITTED_PIXELS = 2_000")
    output = project.run("repro", "prepare", "augment", "external") + project.run("repro", "--allow-missing")
    assert "Running stage 'train@scenes-color_clusters'" in output
    assert "Running stage 'compare@scenes'" in output
    assert "fcn_8s':" not in output, "of the other model, no stage runs"
    table = (project.root / "reports/scenes/benchmark.md").read_text()
    assert "color_clusters" in table
    assert "fcn_8s" in table
    assert "fcn_8s is not packaged: data/weights/scenes/fcn_8s/seed_0.pt is not here" in output
    assert [path.name for path in (project.root / "data/packages/scenes").iterdir()] == ["color_clusters"]
