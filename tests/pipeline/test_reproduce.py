"""`make reproduce`: models side by side, with the results that they have one after the other."""

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.reproduce import Chain, chains_of, main, out_of_date
from segbench import params
from segbench.parallel import THREAD_LIMITS
from tests.pipeline.project import CHECK, Project, let_programs_be_interrupted
from tests.pipeline.stages import STAGES
from tests.pipeline.test_dvc import stages_run

pytestmark = pytest.mark.slow

PROGRAM = (sys.executable, "-m", "pipeline.reproduce", "--jobs")
PATIENCE_S = 20


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which every process has one thread, as where several models are made at a time."""
    project = Project(tmp_path_factory.mktemp("reproduce"))
    project.environment |= {**dict.fromkeys(THREAD_LIMITS, "1"), "PYTHONPATH": str(project.root / "src")}
    return project


def reproduce(project: Project, *, jobs: int = 2) -> tuple[int, str]:
    """The exit code and the output."""
    process = project.start(str(jobs), program=PROGRAM)
    output = process.communicate()[0]
    return process.returncode, output


@pytest.mark.long
@pytest.mark.parametrize(
    ("signal_number", "code"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGINT, 128 + signal.SIGINT),
    ],
)
def test_what_is_killed_leaves_no_process(project: Project, signal_number: signal.Signals, code: int) -> None:
    let_programs_be_interrupted()
    process = project.start("2", program=PROGRAM)
    assert process.stdout is not None
    assert next((line for line in process.stdout if "epoch 1/" in line), "") != ""
    process.send_signal(signal_number)
    process.communicate()
    assert process.returncode == code
    end = time.monotonic() + PATIENCE_S
    while still_working(project.root) and time.monotonic() < end:
        time.sleep(0.2)
    assert still_working(project.root) == []


def still_working(folder: Path) -> list[list[str]]:
    """Commands of the processes that run in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except psutil.Error:  # it has ended meanwhile
            continue
    return found


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_model_that_fails_does_not_stop_the_others_and_is_in_the_table(project: Project, jobs: int) -> None:
    source = project.root / "src/segbench/models/fcn.py"
    before = source.read_text()
    source.write_text(before.replace("        super().__init__()\n", "        raise RuntimeError('out of order')\n", 1))
    code, output = reproduce(project, jobs=jobs)
    source.write_text(before)
    assert code == 1
    assert "fcn_8s          | RuntimeError: out of order" in output
    assert "error: fcn_8s on scenes: failed, as said above and in reports/DATASET/models/MODEL/failed.log; " in output
    assert (project.root / "reports/scenes/models/color_clusters/scores.json").exists()
    table = (project.root / "reports/scenes/benchmark.md").read_text()
    (line,) = [line for line in table.splitlines() if line.startswith("| fcn_8s ")]
    assert "failed: RuntimeError: out of order (see reports/scenes/models/fcn_8s/failed.log)" in line
    assert "| color_clusters" in table


@pytest.mark.long
def test_what_failed_is_made_when_it_is_mended_and_the_tables_end_the_run(project: Project) -> None:
    code, output = reproduce(project)
    assert code == 0, output
    assert re.findall(r"Running stage '(train@.*?)'", output) == ["train@scenes-fcn_8s"]
    assert not (project.root / "reports/scenes/models/fcn_8s/failed.log").exists()
    assert "| fcn_8s" in output and "the page:  reports/scenes/index.html" in output
    assert project.status() == {}


@pytest.mark.long
def test_a_lock_that_a_killed_dvc_has_cut_short_is_put_back_and_costs_no_training(project: Project) -> None:
    """DVC would take it for all that there is."""
    path = project.root / "dvc.lock"
    project.run("repro", CHECK)  # each stage copies the lock as it starts, so that now all stages are in the copy
    before = path.read_text()
    os.truncate(path, 5000)
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    code, output = reproduce(project)
    assert code == 0, output
    assert "dvc.lock was cut short, since dvc was killed while it wrote the file; its former content is back." in output
    assert stages_run(output) == {CHECK}
    assert path.read_text() == before


@pytest.mark.long
def test_a_model_beside_others_has_the_weights_that_it_has_alone(project: Project) -> None:
    project.edit(lambda parameters: parameters["datasets"]["scenes"]["train"].update(epochs=3))
    code, output = reproduce(project)
    assert code == 0, output
    assert set(re.findall(r"^(\w+) +\| Running stage 'train@", output, re.MULTILINE)) == {"color_clusters", "fcn_8s"}
    folder = project.root / "data/weights/scenes"
    beside = {path.parent.name: path.read_bytes() for path in folder.glob("*/seed_0.pt")}
    assert beside.keys() == {"color_clusters", "fcn_8s"}
    stages = [f"train@scenes-{model}" for model in beside]
    project.run("repro", "--force", "--no-run-cache", "--single-item", *stages)
    assert {path.parent.name: path.read_bytes() for path in folder.glob("*/seed_0.pt")} == beside


@pytest.mark.long
def test_a_dataset_without_any_scores_does_not_stop_the_tables_of_the_others(project: Project) -> None:
    def add(parameters: dict[str, Any]) -> None:
        """A dataset before the other, on which every training diverges."""
        datasets = parameters["datasets"]
        rate = {"lr": 1e6, "gradient_clip_norm": None, "warmup_epochs": 0}
        datasets["wild"] = {**datasets["scenes"], "train": {**datasets["scenes"]["train"], **rate}}
        parameters["benchmark"] |= {"datasets": ["wild", "scenes"], "models": ["fcn_8s"]}

    project.edit(add)
    code, output = reproduce(project)
    assert code == 1
    assert "error: reports/wild/models: no model has scores, so there is nothing to compare: fcn_8s diverged" in output
    tables, (error,) = output.splitlines()[:-1], output.splitlines()[-1:]
    assert "the page:  reports/scenes/index.html" in tables and "the page:  reports/wild/index.html" not in tables
    unmade = ["claims@wild", "compare@wild", "package@wild"]
    assert error.startswith(f"error: {', '.join(unmade)}: could not be made, as said above; the others are done. ")
    assert sorted(project.status()) == unmade


def test_chains_are_all_that_dvc_yaml_makes_of_a_model_or_a_variant() -> None:
    benchmark = params.Benchmark(datasets=["scenes", "mine"], models=["unet"], variants=["unet_no_skips"])
    of_variants = ("variant", "evaluate_variant")
    assert chains_of(STAGES, benchmark) == [
        Chain(dataset, "unet", tuple(f"{stage}@{dataset}-unet" for stage in ("train", "predict", "crf", "evaluate")))
        for dataset in ("scenes", "mine")
    ] + [
        Chain(dataset, "unet_no_skips", tuple(f"{stage}@{dataset}-unet_no_skips" for stage in of_variants))
        for dataset in ("scenes", "mine")
    ]


def test_the_longest_training_comes_first_and_an_unknown_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "reports/scenes/models/unet/training.json"
    report.parent.mkdir(parents=True)
    report.write_text('{"training_seconds": 12.5}')
    assert Chain("scenes", "unet", ()).expected_seconds == 12.5
    assert Chain("scenes", "new", ()).expected_seconds == float("inf")


def test_no_models_at_a_time_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce", "--jobs", "0"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.endswith("error: --jobs is 0; it must be at least 1\n")


def test_what_stops_dvc_is_told_by_dvc_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    with pytest.raises(SystemExit, match="253"):  # DVC's code where there is no project
        out_of_date([])
    assert "ERROR: you are not inside of a DVC repository" in capfd.readouterr().err
