"""The stages where trainings diverge: of fcn_8s the only one, by a huge learning rate, of fcn_32s one of two."""

import csv
import io
import os
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from mlflow import MlflowClient

from segbench import params, tracking
from segbench.checkpoints import RECORD
from segbench.datasets.prepared import Prepared
from segbench.files import read_json, write_json
from segbench.report.pages.brief import brief_table
from segbench.training.curves import Epoch
from segbench.training.samples import AugmentedSamples
from segbench.training.training import Training
from tests.pipeline.stages import PER_MODEL, PER_VARIANT, STAGES, run_stage, tiny_parameters

pytestmark = pytest.mark.slow

REPORTS = Path("reports/scenes")


@pytest.fixture(scope="module")
def stderr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """All stages have run in the current folder, and this is what they wrote to stderr."""
    parameters = tiny_parameters()
    parameters["benchmark"]["models"] = models = ["fcn_8s", "color_clusters", "fcn_32s"]
    parameters["models"]["fcn_8s"]["train"] = {"lr": 1e6, "gradient_clip_norm": None, "warmup_epochs": 0}
    parameters["models"]["fcn_32s"]["train"] = {"seeds": [0, 3]}
    root, before = tmp_path_factory.mktemp("diverging"), Path.cwd()
    (root / "params.yaml").write_text(yaml.safe_dump(parameters))
    os.chdir(root)
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as written:
            patch.delenv("DVC_ROOT", raising=False)
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            for stage in (name for name in STAGES if name not in PER_VARIANT):
                for model in models if stage in PER_MODEL else [""]:
                    if (stage, model) == ("train", "fcn_32s"):
                        leave_a_diverged_training(model, seed=3)
                    run_stage(stage, model=model)
        yield written.getvalue()
    finally:
        os.chdir(before)


def leave_a_diverged_training(model: str, *, seed: int) -> None:
    """What a stage leaves that was killed after it: a record, and a checkpoint that nothing can be resumed from."""
    data = Prepared.open(Path("data/prepared/scenes"))
    samples = AugmentedSamples(Path("data/augmented/scenes"), data)
    training = Training("scenes", model, seed, params.load(), data, samples)
    epoch = Epoch(epoch=1, train_loss=9.0, lr=0.1, seconds=1.0, images_per_second=1.0, peak_memory_mib=1.0)
    write_json(
        training.folder / RECORD,
        {
            "dataset": "scenes", "seed": seed, "training_key": training.key, "commit": "c0ffee", "parameters": 0,
            "backbone_parameters": 0, "machines": ["one"],
            "training_seconds": 1e6, "training_images_per_second": 1e-6, "training_peak_memory_mib": 1_000_000,
            "epochs": [asdict(epoch)], "diverged_in_epoch": 2,
        },
    )  # fmt: skip
    (training.folder / "last.ckpt").touch()


def test_one_line_says_which_training_diverged_and_why_it_may_have(stderr: str) -> None:
    (line,) = [line for line in stderr.splitlines() if "fcn_8s" in line and "seed 0" in line]
    assert line == (
        "warning: scenes: the training of fcn_8s with seed 0 has stopped: the loss was not finite in epoch 1; likely "
        "causes: learning rate too high (lr 1e+06), no warm-up (warmup_epochs 0), gradients not clipped "
        "(gradient_clip_norm null)"
    )


def test_the_training_report_has_the_seed_and_the_epoch_and_no_costs_of_the_failed(stderr: str) -> None:
    report = read_json(REPORTS / "models/fcn_8s/training.json")
    assert report["trainings"] == [] and report["training_seconds"] is None
    assert [(failed["seed"], failed["epoch"]) for failed in report["failed"]] == [(0, 1)]
    assert read_json(Path("data/records/scenes/fcn_8s/validation.json")) == {"val": {"scenes": {}}}
    report = read_json(REPORTS / "models/fcn_32s/training.json")
    assert [training["seed"] for training in report["trainings"]] == [0]
    assert report["failed"] == [{"seed": 3, "epoch": 2, "commit": "c0ffee"}]
    assert 0 < report["training_seconds"] < 1e5
    assert read_json(REPORTS / "models/color_clusters/training.json")["failed"] == []


def test_only_what_ended_well_leaves_weights_and_no_checkpoint_stays(stderr: str) -> None:
    weights = Path("data/weights/scenes")
    assert [path.name for path in sorted((weights / "fcn_32s").iterdir())] == ["diverged.json", "seed_0.pt"]
    assert [path.name for path in (weights / "fcn_8s").iterdir()] == ["diverged.json"]
    assert read_json(weights / "fcn_8s/diverged.json") == {"seed_0": 1}
    assert [path.name for path in (weights / "color_clusters").iterdir()] == ["seed_0.pt"]
    state = torch.load(weights / "fcn_32s/seed_0.pt", weights_only=True)
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert not list(Path("data/checkpoints").iterdir())


def test_the_run_of_a_diverged_training_has_failed_and_says_why(stderr: str) -> None:
    client = MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_experiment_by_name("scenes")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs["fcn_8s"].info.status == "FAILED"
    reason = runs["fcn_8s"].data.tags[tracking.FAILURE_TAG]
    assert reason.startswith("the loss was not finite in epoch 1; likely causes: learning rate too high (lr 1e+06)")
    for name in ("color_clusters", "fcn_32s, seed 0"):
        assert runs[name].info.status == "FINISHED" and tracking.FAILURE_TAG not in runs[name].data.tags


def test_the_stages_after_it_leave_nothing_of_a_model_without_weights(stderr: str) -> None:
    for name in ("predictions", "refined"):
        assert not list(Path("data", name, "scenes/fcn_8s").iterdir())
        assert [path.name for path in Path("data", name, "scenes/fcn_32s").iterdir()] == ["seed_0"]
    for name in ("prediction", "crf", "scores", "metrics"):
        assert read_json(REPORTS / f"models/fcn_8s/{name}.json") == {}


def test_a_failed_model_is_last_in_every_table_with_the_epoch_and_without_scores(stderr: str) -> None:
    with (REPORTS / "benchmark.csv").open() as file:
        *others, last = csv.DictReader(file)
    assert {row["model"] for row in others} == {"color_clusters", "fcn_32s"}
    assert {name: value for name, value in last.items() if value} == {
        "model": "fcn_8s", "crf": "off", "as_in_paper": "True", "failure": "diverged in epoch 1",
    }  # fmt: skip
    assert not any(row["failure"] for row in others)
    table = [line for line in (REPORTS / "benchmark.md").read_text().split("\n## ")[0].splitlines() if "| " in line]
    cells = [cell.strip() for cell in table[-1].strip("|").split("|")]
    assert cells[:2] == ["fcn_8s (diverged in epoch 1)", "yes"] and set(cells[2:]) == {"\N{EN DASH}"}
    latex = (REPORTS / "benchmark.tex").read_text()
    assert "fcn\\_8s (diverged in epoch 1) & -- & " in latex.partition("\\bottomrule")[0].splitlines()[-1]
    page = (REPORTS / "index.html").read_text()
    body = page.partition('<table id="benchmark"')[2].partition("</tbody>")[0]
    assert "fcn_8s <small>diverged in epoch 1</small>" in body.rpartition("<tr")[2]
    *_, last_row, _, _ = brief_table(pd.read_csv(REPORTS / "benchmark.csv"))
    assert "fcn_8s (diverged in epoch 1)" in last_row
    compared = (REPORTS / "differences.csv").read_text() + (REPORTS / "metrics.json").read_text()
    assert "fcn_8s" not in compared and "fcn_32s" in compared


def test_scores_of_some_trainings_say_which_ones_failed(stderr: str) -> None:
    expected = "1 of 2 trainings; seed 3 diverged in epoch 2"
    with (REPORTS / "benchmark.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "fcn_32s"]
    scores = read_json(REPORTS / "models/fcn_32s/scores.json")
    for row in rows:
        assert (row["deviations"], row["seeds"]) == (f"seeds [0, 3], {expected}", "0")
        assert float(row["mIoU"]) == pytest.approx(scores[f"crf_{row['crf']}"]["mean_iou"])
    assert len(rows) == 2
    for name in ("benchmark.md", "benchmark.tex", "index.html"):
        assert expected in (REPORTS / name).read_text().replace("\\_", "_")


def test_a_claim_that_needs_a_failed_model_is_not_run_for_that_reason(stderr: str) -> None:
    findings = [found for found in read_json(REPORTS / "claims.json") if found["first"] == "fcn_8s"]
    assert {found["verdict"] for found in findings} == {"not run"}
    assert {found["difference"] for found in findings} == {"fcn_8s diverged in epoch 1"}
