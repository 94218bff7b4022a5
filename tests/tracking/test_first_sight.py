"""What a person sees first in MLflow: few numbers in a good order, the data, and the models below their benchmark."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_PARENT_RUN_ID
from playwright.sync_api import expect, sync_playwright

from pipeline.screenshot import mlflow_ui, view_address
from segbench import tracking
from segbench.tracking import waiting
from segbench.tracking.names import CURVES, RESOURCES, SCORES, VIEW_TAGS
from tests.report.pages.test_page import CHROMIUM
from tests.tracking.stores import Project, nothing_waits

EPOCH: dict[str, float | None] = {
    "train_loss": 1.5, "lr": 0.1, "seconds": 4.0, "images_per_second": 20.0, "peak_memory_mib": 900.0,
    "val_loss": None, "val_pixel_accuracy": 0.8, "val_mean_iou": 0.5,
}  # fmt: skip
RECORD = {"parameters": 5_431_227, "training_seconds": 90.0, "training_peak_memory_mib": 2163, "seed": 0}
SECTIONS = ["mIoU", "other", "resources", "system", "training"]


def log_all(project: Project, *, key: str = "k") -> Run:
    """A training of two epochs, its evaluation and its latency, as the stages log them."""
    with tracking.training_run(dataset="d", name="m", key=key, checkpoints=project.root / key) as run:
        log_data(run)
        for epoch in (1, 2):
            run.log_epoch(EPOCH, step=epoch)
            run.log_metrics(tracking.machine_load(), step=epoch)
        run.log_metrics(tracking.resources(RECORD))
    with tracking.evaluation_run(dataset="d", name="m", key=key) as run:
        log_data(run)
        run.log_metrics(dict.fromkeys(SCORES.values(), 0.5))
        run.log_metrics(tracking.resources({"multiply_adds": 1_008_638_592, "peak_memory_mib": 144}))
    with tracking.known_run(dataset="d", key=key) as run:
        run.log_metrics(tracking.resources({"latency_ms": 8.96, "latency_low_ms": 8.51}))
    assert tracking.send_waiting() and nothing_waits()
    return next(run for run in project.runs() if run.data.tags["segbench.training_key"] == key)


def log_data(run: tracking.Run) -> None:
    num_images = {"train": 160, "val": 40, "test": 60}
    run.log_dataset(name="d", digest="2a68aa72fc2252f4", folder=Path("data/prepared/d"), num_images=num_images)


def benchmarks(project: Project, lifecycle: ViewType = ViewType.ACTIVE_ONLY) -> list[Run]:
    """The runs that no other is above."""
    experiment = project.client.get_experiment_by_name("d")
    assert experiment is not None
    found = project.client.search_runs([experiment.experiment_id], run_view_type=lifecycle)
    return [run for run in found if MLFLOW_PARENT_RUN_ID not in run.data.tags]


def test_a_run_has_few_metrics_and_those_that_people_compare_come_first(project: Project) -> None:
    found = log_all(project).data.metrics
    curves = {*CURVES.values(), "training/images_seen"} - {"training/loss_validation"}
    in_order = sorted(found)  # as the pages of MLflow sort them: by the characters' codes
    assert in_order[:3] == ["mIoU/test", "mIoU/test_crf", "mIoU/validation"]
    assert in_order[3:6] == ["other/aAcc", "other/mAcc", "other/mDice"]
    assert list(dict.fromkeys(name.partition("/")[0] for name in in_order)) == SECTIONS
    assert len(found.keys() - curves) <= 16 and curves < found.keys()


def test_costs_have_units_that_a_person_reads(project: Project) -> None:
    found = log_all(project).data.metrics
    assert {name: value for name, value in found.items() if name.startswith("resources/")} == {
        "resources/latency_ms": 8.96, "resources/multiply_adds_g": 1.008638592, "resources/parameters_m": 5.431227,
        "resources/peak_memory_mib": 2163, "resources/training_min": 1.5,
    }  # fmt: skip


def test_curves_have_epochs_as_steps_and_the_images_seen_as_another_axis(project: Project) -> None:
    run_id = log_all(project).info.run_id
    points = {
        name: [(point.step, point.value) for point in project.client.get_metric_history(run_id, name)]
        for name in ("mIoU/validation", "training/loss", "training/lr", "training/images_seen")
    }
    assert points == {
        "mIoU/validation": [(1, 0.5), (2, 0.5)], "training/loss": [(1, 1.5), (2, 1.5)],
        "training/lr": [(1, 0.1), (2, 0.1)], "training/images_seen": [(1, 80), (2, 160)],
    }  # fmt: skip


def test_each_epoch_shows_what_the_machine_does(project: Project) -> None:
    run = log_all(project)
    names = ["cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage"]
    for name in names:
        history = project.client.get_metric_history(run.info.run_id, f"system/{name}")
        assert [point.step for point in history] == [1, 2], name
    assert 0 < run.data.metrics["system/system_memory_usage_percentage"] < 100
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 100


def test_the_data_is_an_input_with_its_fingerprint_and_size(project: Project) -> None:
    (used,) = log_all(project).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("d", "2a68aa72fc2252f4")
    assert json.loads(used.dataset.profile or "") == {"num_images": 260, "train": 160, "val": 40, "test": 60}
    assert json.loads(used.dataset.source) == {"uri": "data/prepared/d"}
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "training"}


def test_runs_lie_below_their_benchmark(project: Project) -> None:
    for key in ("a", "b"):
        log_all(project, key=key)
    with tracking.evaluation_run(dataset="d", name="audit", key="audit"):
        pass
    with tracking.benchmark_run(dataset="d") as run:
        run.log_metrics({tracking.TOTAL_MINUTES: 12})
    assert tracking.send_waiting()
    (benchmark,) = benchmarks(project)
    assert benchmark.info.run_name == "benchmark" and benchmark.info.status == "FINISHED"
    assert benchmark.data.metrics == {"training/total_min": 12}
    others = [run for run in project.runs() if run.info.run_id != benchmark.info.run_id]
    assert sorted(run.info.run_name or "" for run in others) == ["audit", "m", "m"]
    assert {run.data.tags[MLFLOW_PARENT_RUN_ID] for run in others} == {benchmark.info.run_id}
    assert {run.data.tags["mlflow.runType"] for run in others} == {"evaluation"}, "the UI unfolds these"


def test_processes_that_send_at_the_same_time_make_one_benchmark(project: Project) -> None:
    code = (
        "import sys; from segbench import tracking\n"
        "with tracking.evaluation_run(dataset='d', name=sys.argv[1], key=sys.argv[1]): pass\n"
        "print('begun', flush=True); sys.stdin.readline(); assert tracking.send_waiting()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2], text=True,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
    assert [process.communicate("go\n") for process in processes] == [("", "")] * 2
    assert tracking.send_waiting()
    assert len(benchmarks(project)) == 1 and len(project.runs()) == 3


def test_an_experiment_of_dvc_has_a_benchmark_of_its_own(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    log_all(project, key="a")
    monkeypatch.setenv("DVC_EXP_NAME", "it's-mine")
    log_all(project, key="b")
    named = {run.info.run_id: run.info.run_name for run in benchmarks(project)}
    above = {
        run.data.tags["segbench.training_key"]: named[run.data.tags[MLFLOW_PARENT_RUN_ID]]
        for run in project.runs()
        if MLFLOW_PARENT_RUN_ID in run.data.tags
    }
    assert above == {"a": "benchmark", "b": "benchmark its-mine"}


@pytest.mark.parametrize("logs", ["model", "benchmark"])
def test_a_benchmark_that_was_deleted_is_restored(project: Project, logs: str) -> None:
    log_all(project, key="a")
    (before,) = benchmarks(project)
    project.client.delete_run(before.info.run_id)
    waiting._opened.cache_clear()  # the next stage is another process
    if logs == "model":
        log_all(project, key="a")
    else:
        with tracking.benchmark_run(dataset="d"):
            pass
        assert tracking.send_waiting()
    (after,) = benchmarks(project, ViewType.ALL)
    assert (after.info.run_id, after.info.lifecycle_stage) == (before.info.run_id, "active")


def test_what_only_completes_a_run_makes_none(project: Project) -> None:
    log_all(project, key="a")
    with tracking.known_run(dataset="d", key="of another store") as run:
        run.log_metrics({"resources/latency_ms": 9})
    assert tracking.send_waiting() and nothing_waits()
    assert sorted(run.info.run_name or "" for run in project.runs()) == ["benchmark", "m"]


def test_a_run_lasts_as_long_as_its_training(project: Project) -> None:
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "k"):
        pass
    assert tracking.send_waiting()
    (before,) = (run for run in project.runs() if run.info.run_name == "m")
    with tracking.evaluation_run(dataset="d", name="m", key="k") as run:
        run.log_metrics({"mIoU/test": 0.5})
    assert tracking.send_waiting()
    (after,) = (run for run in project.runs() if run.info.run_name == "m")
    assert after.data.metrics == {"mIoU/test": 0.5} and after.info.status == "FINISHED"
    assert after.info.end_time == before.info.end_time


TABLE: dict[str, list[Any]] = {"class": ["road", "pole, sign"], "IoU": [0.9, None]}


def test_tables_are_files_that_mlflow_shows_as_tables(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for names in (("classes", "crf_search"), ("classes",)):
        with tracking.evaluation_run(dataset="d", name="m", key="k") as run:
            for name in names:
                run.log_table(name, TABLE)
        assert tracking.send_waiting()
    (found,) = (run for run in project.runs() if run.info.run_name == "m")
    shown = json.loads(found.data.tags[MLFLOW_LOGGED_ARTIFACTS])
    assert shown == [{"path": f"{name}.json", "type": "table"} for name in ("classes", "crf_search")]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.database}")  # load_table does not ask the client
    loaded = project.client.load_table(found.info.experiment_id, "classes.json", [found.info.run_id])
    assert loaded["class"].tolist() == TABLE["class"] and loaded["IoU"].isna().tolist() == [False, True]
    assert loaded["IoU"][0] == 0.9


def test_a_parameter_that_changes_later_is_a_tag(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """As of the CRF, which may be searched again for the same training."""
    for steps in (2, 2, 5):
        with tracking.evaluation_run(dataset="d", name="m", key="k") as run:
            run.log_parameters({"crf": {"steps": steps, "objective": "x" * 7000}})
        assert tracking.send_waiting()
    (found,) = (run for run in project.runs() if run.info.run_name == "m")
    assert found.data.params == {"crf.steps": "2", "crf.objective": "x" * 6000}
    assert {name: value for name, value in found.data.tags.items() if name.startswith("now.")} == {"now.crf.steps": "5"}
    assert capsys.readouterr().err == ""


def test_an_experiment_has_views_of_its_metrics(project: Project) -> None:
    log_all(project)
    experiment = project.client.get_experiment_by_name("d")
    assert experiment is not None
    assert VIEW_TAGS.items() <= experiment.tags.items()
    views = {name.rpartition(".")[2]: json.loads(value) for name, value in VIEW_TAGS.items()}
    assert {key: view["name"] for key, view in views.items()} == {
        "scores": "Scores, best first", "images_seen": "Curves by images seen",
    }  # fmt: skip
    state = json.loads(views["scores"]["state"])
    assert state["selectedColumns"] == [f"metrics.`{name}`" for name in (*SCORES.values(), *RESOURCES.values())]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`mIoU/test`", False)
    axis = json.loads(views["images_seen"]["state"])["globalLineChartConfig"]
    assert (axis["xAxisKey"], axis["selectedXAxisMetricKey"]) == ("metric", "training/images_seen")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_scores_of_each_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    log_all(project)
    monkeypatch.chdir(project.root)
    with mlflow_ui() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_context(viewport={"width": 1600, "height": 900}).new_page()
        tab.goto(view_address(address, "d", "scores"))
        heads = tab.get_by_role("columnheader")
        expect(heads.filter(has_text="mIoU/test").first).to_be_visible(timeout=60_000)
        shown = [text.strip() for text in heads.all_inner_texts()]
        places = [
            next(at for at, text in enumerate(shown) if text.endswith(name)) for name in list(SCORES.values())[:3]
        ]
        assert places == sorted(places), "the scores stand in the table, in the order of SCORES"
        expect(tab.get_by_role("link", name="m", exact=True).first).to_be_visible()
        browser.close()


def test_an_experiment_of_an_earlier_version_gets_the_views(project: Project) -> None:
    number = project.client.create_experiment("d")
    project.client.set_experiment_tag(number, "mlflow.note.content", "a person's words")
    log_all(project)
    tags = project.client.get_experiment(number).tags
    assert {**VIEW_TAGS, "mlflow.note.content": "a person's words"}.items() <= tags.items()


def test_a_run_names_the_state_of_dvc_lock(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    (project.root / "dvc.lock").write_text("schema: '2.0'\n")
    tags = log_all(project).data.tags
    assert tags["dvc_lock_md5"] == "8bf2a4444c7ae2c16f126761249fdf06"
