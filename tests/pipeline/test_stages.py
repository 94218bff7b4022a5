"""The stages in one process on tiny scenes: their outputs, their run, and what they read."""

import csv
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.files import file_digest
from segbench.images import read_label_map, write_image
from segbench.packages.model import PackagedModel
from segbench.scoring import metrics
from segbench.scoring.counts import read_counts
from tests.parameters import PROJECT
from tests.pipeline.stages import (
    PER_MODEL,
    PER_VARIANT,
    STAGES,
    body,
    filled,
    parameters_of,
    run_stage,
    tiny_parameters,
)

STEPS = {"variant": "train"}
"""The first module of a stage that has not a module of its own name."""
CANDIDATES: list[dict[str, float]] = [{"lr": 1e-9}, {"lr": 0.01, "backbone_lr_factor": 1}]
Accessed = dict[tuple[str, str], set[str]]
"""Paths of params.yaml that a stage's main read, by stage and model."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Accessed]]:
    """A folder in which all stages have run, and what they read of params.yaml."""
    root = tmp_path_factory.mktemp("project")
    parameters = tiny_parameters()
    parameters["benchmark"]["models"] = models = ["color_clusters", "sliding_window", "fcn_8s"]
    parameters["benchmark"]["variants"] = variants = ["fcn_8s_bilinear"]
    parameters["models"]["fcn_8s"]["train"] = {"seeds": [0, 3]}
    parameters["train"]["search"] = {"epochs": 1, "candidates": []}
    parameters["models"]["sliding_window"]["train"] = {"search": {"epochs": 1, "candidates": CANDIDATES}}
    parameters["datasets"]["scenes"]["predictions"] = {"truth_itself": "elsewhere"}
    (root / "elsewhere").mkdir()
    (root / "params.yaml").write_text(yaml.safe_dump(parameters))
    accessed: Accessed = {}
    before = Path.cwd()
    os.chdir(root)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("DVC_ROOT", raising=False)
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            for stage in STAGES:
                if stage == "external":
                    _write_truth_in_colours(root / "elsewhere")
                for model in models if stage in PER_MODEL else variants if stage in PER_VARIANT else [""]:
                    with pytest.MonkeyPatch.context() as spying:
                        accessed[stage, model] = _spy(spying)
                        run_stage(stage, model=model)
        yield root, accessed
    finally:
        os.chdir(before)


def _write_truth_in_colours(folder: Path) -> None:
    data = Prepared.open(Path("data/prepared/scenes"))
    for row in data.split("test"):
        write_image(folder / f"{row.name}.png", data.classes.colorize(data.label_map(row)))


def _spy(patch: pytest.MonkeyPatch) -> set[str]:
    """Note every field that is read of the parameters that `params.load` returns from now on."""
    noted: set[str] = set()
    paths: dict[int, str] = {}
    alive: list[Any] = []
    load = params.load

    def name_sections(value: Any, path: str) -> None:
        if isinstance(value, params.Section):
            paths[id(value)] = path
            for field in type(value).model_fields:
                name_sections(getattr(value, field), f"{path}.{field}".lstrip("."))
        elif isinstance(value, dict):
            for key, entry in value.items():
                name_sections(entry, f"{path}.{key}")

    def spying_load(*arguments: Any) -> params.Params:
        loaded = load(*arguments)
        alive.append(loaded)
        noted_before = set(noted)  # by a former command of the stage
        name_sections(loaded, "")
        noted.clear()
        noted.update(noted_before)
        return loaded

    def getattribute(self: params.Section, name: str) -> Any:
        if id(self) in paths and name in type(self).model_fields:
            noted.add(f"{paths[id(self)]}.{name}".lstrip("."))
        return object.__getattribute__(self, name)

    patch.setattr(params, "load", spying_load)
    patch.setattr(params.Section, "__getattribute__", getattribute, raising=False)
    return noted


def _model(stage: str) -> str:
    return "fcn_8s" if stage in PER_MODEL else "fcn_8s_bilinear" if stage in PER_VARIANT else ""


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "check"])
def test_a_stage_reads_the_parameters_that_it_declares(stage: str, project: tuple[Path, Accessed]) -> None:
    model = _model(stage)
    declared = [filled(path, dataset="scenes", model=model) for path in parameters_of(stage)]
    read = project[1][stage, model]

    def is_under(path: str, parent: str) -> bool:
        return path == parent or path.startswith(f"{parent}.")

    for path in read - {"models", "variants"}:
        # Reading `datasets` on the way to `datasets.scenes.epochs` is reading no value, nor is looking for a name.
        assert any(is_under(path, known) or is_under(known, path) for known in declared), f"{path} is not declared"
    for known in declared:
        assert any(is_under(path, known) or is_under(known, path) for path in read), f"{known} is declared in vain"


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "check"])
def test_a_stage_depends_on_the_digests_of_its_sources(stage: str, project: tuple[Path, Accessed]) -> None:
    files = [path for entry in body(stage)["params"] if isinstance(entry, dict) for path in entry]
    failures = [path for path in files if path.startswith("data/sources/failed/")]
    assert len(failures) == (stage in ("train", "variant")), "what a cluster could not do counts as trained"
    (file,) = set(files).difference(failures)
    digests = json.loads((project[0] / filled(file, dataset="scenes", model=_model(stage))).read_text())
    assert f"pipeline/{STEPS.get(stage, stage)}.py" in digests
    expected = {"fcn.py"} if stage in ("train", "predict", "crf", "variant") else set()
    if stage in ("latency", "package"):
        expected = {"fcn.py", "color_clusters.py", "sliding_window.py"}
    networks = {"fcn.py", "color_clusters.py", "sliding_window.py", "unet.py"}
    assert {Path(path).name for path in digests if path.startswith("src/segbench/models/")} & networks == expected
    assert ("src/segbench/params/models.py" in digests) == (stage == "compare")


def test_the_table_holds_what_the_metrics_say(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    with (root / "reports/scenes/benchmark.csv").open() as file:
        rows = list(csv.DictReader(file))
    results = pd.read_csv(root / "reports/scenes/results.csv")
    models = ("color_clusters", "sliding_window", "fcn_8s")
    assert {(row["model"], row["crf"]) for row in rows[1:]} == {(m, crf) for m in models for crf in ("off", "on")}
    assert rows[0]["model"] == "truth_itself" and float(rows[0]["mIoU"]) == float(rows[0]["mIoU_within_1_px"]) == 1
    assert [float(row["mIoU"]) for row in rows] == sorted((float(row["mIoU"]) for row in rows), reverse=True)
    for row in rows[1:]:
        assert float(row["mIoU_low"]) <= float(row["mIoU"]) <= float(row["mIoU_high"])
        assert bool(row["mIoU_seed_spread"]) == (row["model"] == "fcn_8s")
        scores = json.loads((root / f"reports/scenes/models/{row['model']}/scores.json").read_text())
        is_this = (results["model"] == row["model"]) & (results["crf"] == row["crf"]) & (results["class"] == "all")
        of_seeds = results[is_this].pivot(index="seed", columns="metric", values="value")
        for metric, name in (("mIoU", "mean_iou"), ("aAcc", "pixel_accuracy")):
            assert float(row[metric]) == pytest.approx(of_seeds[metric].iloc[0]), "others have one training"
            assert scores[f"crf_{row['crf']}"][name] == pytest.approx(of_seeds[metric].mean())
        summary = json.loads((root / f"reports/scenes/models/{row['model']}/metrics.json").read_text())
        assert summary["mIoU_crf" if row["crf"] == "on" else "mIoU"] == scores[f"crf_{row['crf']}"]["mean_iou"]
    declared = json.loads((root / "reports/scenes/metrics.json").read_text())["scenes"]
    assert declared == {row["model"] + ("+crf" if row["crf"] == "on" else ""): float(row["mIoU"]) for row in rows}
    page = (root / "reports/scenes/benchmark.md").read_text()
    by_model = {row["model"]: row for row in rows if row["crf"] == "off"}
    assert f"{100 * float(by_model['fcn_8s']['mIoU']):.1f}" in page
    assert "tf_efficientnet_lite0, weights bundled" in page
    assert int(by_model["fcn_8s"]["parameters"]) > 3_000_000
    assert int(by_model["color_clusters"]["parameters"]) == 0
    assert float(by_model["fcn_8s"]["multiply_adds"]) > 1e7
    assert by_model["fcn_8s"]["seeds"] == "0 3" and by_model["fcn_8s"]["resolution_px"] == "64x48"
    assert by_model["truth_itself"]["parameters"] == ""


def test_metrics_are_those_of_the_predicted_pngs(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    data = Prepared.open(root / "data/prepared/scenes")
    folder = root / "data/predictions/scenes/fcn_8s"
    assert sorted(path.name for path in folder.iterdir()) == ["seed_0", "seed_3"]
    totals = []
    for seed in ("seed_0", "seed_3"):
        total = np.zeros((len(data.classes),) * 2, np.int64)
        for row in data.split("test"):
            predicted = read_label_map(folder / seed / f"{row.name}.png")
            total += metrics.confusion_matrix(
                truth=data.label_map(row), predicted=predicted, num_classes=len(data.classes)
            )
        totals.append(total)
    assert not np.array_equal(totals[0], totals[1])
    report = json.loads((root / "reports/scenes/models/fcn_8s/scores.json").read_text())
    assert report["crf_off"]["mean_iou"] == pytest.approx(
        np.mean([metrics.compute_scores(one).mean_iou for one in totals])
    )
    counts = read_counts(root / "reports/scenes/models/fcn_8s/counts.npz")["off"]
    assert np.array_equal(counts.confusions, totals)


def test_predictions_are_indexed_pngs_in_the_classes_colours(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    with Image.open(next((root / "data/predictions/scenes/fcn_8s/seed_0").iterdir())) as image:
        assert image.mode == "P"
        assert image.size == (64, 48)


def test_a_models_chain_is_one_run_with_curves_parameters_tags_and_pictures(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("scenes")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == [
        "audit", "benchmark", "color_clusters", "fcn_8s, seed 0", "fcn_8s, seed 3", "fcn_8s_bilinear, seed 0",
        "fcn_8s_bilinear, seed 3", "sliding_window", "sliding_window, trial 1", "sliding_window, trial 2",
    ]  # fmt: skip
    run = runs["fcn_8s, seed 3"]
    assert run.info.status == "FINISHED"
    for curve in ("training/loss", "training/lr", "mIoU/validation", "training/images_per_second"):
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, curve)] == [1, 2], curve
    assert run.data.params["train.lr"] == str(tiny_parameters()["train"]["lr"])
    assert run.data.params["model.upsampling"] == "transposed"
    assert {"machine", "dataset_fingerprint", "torch", "mlflow.source.git.commit"} <= run.data.tags.keys()
    assert run.data.tags["report"] == "reports/scenes/models/fcn_8s"
    assert run.data.tags["mlflow.parentRunId"] == runs["benchmark"].info.run_id
    data = Prepared.open(root / "data/prepared/scenes")
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("scenes", data.fingerprint)
    assert json.loads(used.dataset.profile or "") == {"num_images": 13, "train": 8, "val": 2, "test": 3}
    counts = read_counts(root / "reports/scenes/models/fcn_8s/counts.npz")["off"]
    assert run.data.metrics["mIoU/test"] == metrics.compute_scores(counts.confusions[1]).mean_iou
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"confusion_crf_off.png", "confusion_crf_on.png", "scores.json", "curves.csv", "crf_search.png"} <= files
    latency = json.loads((root / "reports/scenes/latency.json").read_text())["models"]["fcn_8s"]["latency_ms"]
    assert run.data.metrics["resources/latency_ms"] == latency
    assert len(client.list_artifacts(run.info.run_id, "image_truth_prediction")) == 3
    assert not list((root / "data/checkpoints").iterdir())


def test_what_has_many_values_is_a_table_in_mlflow_and_few_are_metrics(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    client, runs = _runs(root)
    run = runs["fcn_8s, seed 3"]
    once = {name for name in run.data.metrics if not name.startswith(("training/", "system/", "mIoU/validation"))}
    assert once == {
        "mIoU/test", "mIoU/test_crf", "other/aAcc", "other/mAcc", "other/mDice", "resources/latency_ms",
        "resources/multiply_adds_g", "resources/parameters_m", "resources/peak_memory_mib", "resources/training_min",
    }  # fmt: skip
    counts = read_counts(root / "reports/scenes/models/fcn_8s/counts.npz")
    names = list(Prepared.open(root / "data/prepared/scenes").classes.names)
    scores = {crf: metrics.compute_scores(counts[crf].confusions[1]) for crf in ("off", "on")}
    classes, confusion, search = (_table(client, run, name) for name in ("classes", "confusion_crf_on", "crf_search"))
    assert classes["class"].tolist() == names == confusion["true class"].tolist()
    assert np.array_equal(classes["IoU"].astype(float), scores["off"].class_iou, equal_nan=True)
    assert np.array_equal(classes["precision_crf"].astype(float), scores["on"].class_precision, equal_nan=True)
    assert np.array_equal(confusion[names].to_numpy(), counts["on"].confusions[1]), "true classes are rows"
    choice = json.loads((root / "reports/scenes/models/fcn_8s/crf.json").read_text())
    assert search["mean_iou"].tolist() == [candidate["score"] for candidate in choice["candidates"]]
    chosen = {f"crf.{name}": str(value) for name, value in choice["chosen"].items()} if choice["chosen"] else {}
    logged = {name: value for name, value in run.data.params.items() if name.startswith("crf")}
    assert logged == (chosen or {"crf": "none"})


def test_the_run_above_the_models_has_the_table_and_the_page(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    client, runs = _runs(root)
    above = runs["benchmark"]
    table, written = _table(client, above, "benchmark"), pd.read_csv(root / "reports/scenes/benchmark.csv")
    assert list(table.columns) == list(written.columns)
    assert table["model"].tolist() == written["model"].tolist()
    assert table["mIoU"].tolist() == pytest.approx(written["mIoU"].tolist())
    assert {"index.html", "examples.png"} <= {item.path for item in client.list_artifacts(above.info.run_id)}
    assert above.data.tags["report"] == "reports/scenes/index.html"
    assert above.info.status == "FINISHED" and list(above.data.metrics) == ["training/total_min"]
    below = {name for name, run in runs.items() if run.data.tags.get("mlflow.parentRunId") == above.info.run_id}
    assert below == runs.keys() - {"benchmark"}


def _runs(root: Path) -> tuple[MlflowClient, dict[str, Run]]:
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("scenes")
    assert experiment is not None
    return client, {run.info.run_name or "": run for run in client.search_runs([experiment.experiment_id])}


def _table(client: MlflowClient, run: Run, name: str) -> pd.DataFrame:
    assert {"path": f"{name}.json", "type": "table"} in json.loads(run.data.tags["mlflow.loggedArtifacts"])
    content = json.loads(Path(client.download_artifacts(run.info.run_id, f"{name}.json")).read_text())
    return pd.DataFrame(**content)


def test_a_network_is_trained_with_the_candidate_that_was_best_for_it(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    report = json.loads((root / "reports/scenes/models/sliding_window/training.json").read_text())
    search = report["search"]
    assert [trial["values"] for trial in search["trials"]] == CANDIDATES
    scores = [trial["val_mean_iou"] for trial in search["trials"]]
    assert search["best"] == CANDIDATES[scores.index(max(scores))]
    schedule = report["settings"]["train"]
    assert {name: schedule[name] for name in search["best"]} == search["best"]
    assert schedule["epochs"] == 2, "the trials' one epoch is theirs alone"
    table = pd.read_csv(root / "reports/scenes/benchmark.csv").set_index("model")
    assert table["searched"].loc["sliding_window"].iloc[0] == ", ".join(f"{k} {v}" for k, v in search["best"].items())
    assert table["searched"].loc[["color_clusters", "fcn_8s"]].isna().all()
    other = json.loads((root / "reports/scenes/models/fcn_8s/training.json").read_text())
    assert other["search"] is None


def test_claims_are_judged_by_the_models_that_ran(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    findings = json.loads((root / "reports/scenes/claims.json").read_text())
    verdicts = {finding["says"]: finding["verdict"] for finding in findings}
    assert verdicts["Convolution instead of sliding gives the same scores in less time"] == "holds"
    assert verdicts["The dense CRF improves DeepLab v1"] == "not run"
    colour = next(finding for finding in findings if finding["says"].startswith("Colour alone"))
    assert colour["verdict"] in ("holds", "undecided", "does not hold")
    scores = json.loads((root / "reports/scenes/models/color_clusters/scores.json").read_text())
    assert colour["second"] == f"color_clusters {100 * scores['crf_off']['mean_iou']:.1f}"
    assert colour["second"] in (root / "reports/scenes/claims.md").read_text()


def test_a_variant_is_trained_predicted_and_counted_as_its_model(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    reports = root / "reports/scenes/models"
    told, of_model = (
        json.loads((reports / name / "training.json").read_text())["settings"] for name in ("fcn_8s_bilinear", "fcn_8s")
    )
    changed = {"name": "fcn_8s_bilinear", "upsampling": "bilinear"}
    assert told == {**of_model, "model": {**of_model["model"], **changed}} and told["train"]["seeds"] == [0, 3]
    counts, counts_of_model = (read_counts(reports / name / "counts.npz") for name in ("fcn_8s_bilinear", "fcn_8s"))
    assert list(counts) == ["off"]
    data, folder = Prepared.open(root / "data/prepared/scenes"), root / "data/predictions/scenes/fcn_8s_bilinear"
    for seed_index, seed in enumerate(("seed_0", "seed_3")):
        for image_index, row in enumerate(data.split("test")):
            expected = metrics.confusion_matrix(
                truth=data.label_map(row), predicted=read_label_map(folder / seed / f"{row.name}.png"),
                num_classes=len(data.classes),
            )  # fmt: skip
            of_image = counts["off"].images.seed(seed_index).select(image_index)
            assert np.array_equal(of_image.correct, np.diagonal(expected))
            assert np.array_equal(of_image.predicted, expected.sum(axis=0))
    assert not np.array_equal(counts["off"].confusions, counts_of_model["off"].confusions)
    near, near_of_model = (found["off"].near_boundaries for found in (counts, counts_of_model))
    assert np.array_equal(near.true, near_of_model.true)


def test_a_variants_run_has_its_parameters_and_scores(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("scenes")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    run = runs["fcn_8s_bilinear, seed 3"]
    assert run.data.params["model.upsampling"] == "bilinear"
    counts = read_counts(root / "reports/scenes/models/fcn_8s_bilinear/counts.npz")["off"].confusions
    assert run.data.metrics["mIoU/test"] == metrics.compute_scores(counts[1]).mean_iou
    assert "mIoU/test_crf" not in run.data.metrics


def test_a_variant_is_in_the_claims_alone(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    findings = json.loads((root / "reports/scenes/claims.json").read_text())
    (found,) = (finding for finding in findings if finding["second"].startswith("fcn_8s_bilinear"))
    assert found["says"] == "Learnt upsampling beats fixed interpolation"
    assert found["judged_by"] == "one factor: upsampling transposed, not bilinear"
    page = (root / "reports/scenes/claims.md").read_text()
    assert f"| {found['judged_by']} " in page
    assert "make more one-factor pairs" not in page, "no model of this benchmark has another variant"
    others = ("benchmark.csv", "benchmark.md", "benchmark.tex", "differences.csv", "results.csv", "metrics.json")
    assert [name for name in others if "bilinear" in (root / "reports/scenes" / name).read_text()] == []
    assert "fcn_8s_bilinear" in (root / "reports/scenes/index.html").read_text()


def test_a_variants_digests_hold_all_that_it_has_from_its_model(project: tuple[Path, Accessed]) -> None:
    """Since dvc.yaml cannot name the model, an edit of it would not train the variant anew."""
    root, _ = project
    digests = json.loads((root / "data/sources/variant/fcn_8s_bilinear.json").read_text())
    parameters = yaml.safe_load((root / "params.yaml").read_text())["models"]["fcn_8s"]
    assert {**parameters, "upsampling": "bilinear"}.items() <= digests["model"].items()
    modules = {"pipeline/train.py", "pipeline/predict.py", "src/segbench/params/overrides.py"}
    assert modules < digests.keys()


def test_every_model_is_packaged_and_the_champion_registered(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    packages, predictions = root / "data/packages/scenes", root / "data/predictions/scenes"
    assert {path.name for path in packages.iterdir()} == {"color_clusters", "sliding_window", "fcn_8s"}
    data = Prepared.open(root / "data/prepared/scenes")
    chosen = json.loads((root / "reports/scenes/champion.json").read_text())
    seeds = {each["model"]: each["seed"] for each in chosen["candidates"]}
    for folder in packages.iterdir():
        model = PackagedModel.open(folder)
        assert model.card.seed == seeds.get(folder.name, 0)
        assert model.card.origin["dataset_fingerprint"] == data.fingerprint
        for row in data.split("test"):
            predicted = read_label_map(predictions / folder.name / f"seed_{model.card.seed}" / f"{row.name}.png")
            assert np.array_equal(model.label_map(data.image(row), crf=False), predicted), folder.name
    name = chosen["champion"]["model"]
    scores = PackagedModel.open(packages / name).card.scores
    with (root / "reports/scenes/benchmark.csv").open() as file:
        (row_off,) = (each for each in csv.DictReader(file) if (each["model"], each["crf"]) == (name, "off"))
    assert scores["test"]["crf_off"]["mIoU"] == [float(row_off[key]) for key in ("mIoU", "mIoU_low", "mIoU_high")]
    assert scores["validation"] == {"mean_iou": chosen["champion"]["score"]}
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    champion = client.get_model_version_by_alias("segbench-scenes", "champion")
    assert champion.tags["segbench.package"] == file_digest(packages / name / "data/model/model.json")
    training = json.loads((root / f"reports/scenes/models/{name}/training.json").read_text())
    keys = {each["seed"]: each["training_key"] for each in training["trainings"]}
    run = client.get_run(champion.run_id)
    assert run.data.tags["segbench.training_key"] == keys[chosen["champion"]["seed"]]
    page = (root / "reports/scenes/benchmark.md").read_text()
    assert f"Champion: {name}" in page and "models:/segbench-scenes@champion" in page


def test_sliding_takes_more_multiply_adds_the_finer_the_stride(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    forms = json.loads((root / "reports/scenes/models/sliding_window/prediction.json").read_text())["forms"]
    assert [form["stride"] for form in forms] == [16, 8, 4, 2, 1]
    factors = [form["slid_multiply_adds"] / form["convolutional_multiply_adds"] for form in forms]
    assert factors == sorted(factors) and factors[-1] > 10
    assert all(form["same_class"] == 1 for form in forms)
    assert forms[-1]["num_positions"] == 64 * 48
    assert f" {64 * 48:,} |" in (root / "reports/scenes/sliding_window.md").read_text()


def test_pictures_have_the_expected_sizes(project: tuple[Path, Accessed]) -> None:
    root, _ = project
    of_model = [f"models/fcn_8s/{name}.png" for name in ("crf_steps", "predictions")]
    for name in ("images.jpg", "augmentation.png", "examples.png", *of_model):
        with Image.open(root / "reports/scenes" / name) as image:
            assert image.width > 500
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 50


@pytest.mark.parametrize("stage", PER_MODEL[:3])
def test_a_model_that_is_not_in_params_is_refused(stage: str, project: tuple[Path, Accessed]) -> None:
    before = set((project[0] / "data").rglob("*"))
    with pytest.raises(InputError, match=r"params.yaml: models\.no_such is not there; known models: color_clusters"):
        run_stage(stage, model="no_such")
    assert set((project[0] / "data").rglob("*")) == before


def test_a_prediction_of_another_size_is_refused(project: tuple[Path, Accessed], tmp_path: Path) -> None:
    root, _ = project
    path = next((root / "data/predictions/scenes/fcn_8s/seed_3").iterdir())
    content = path.read_bytes()
    Image.new("P", (10, 10)).save(path)
    try:
        with pytest.raises(InputError, match=r"\.png: .* must have the truth's shape \(48, 64\)"):
            run_stage("evaluate", model="fcn_8s")
    finally:
        path.write_bytes(content)


def test_a_kill_costs_no_training_that_has_ended(project: tuple[Path, Accessed], tmp_path: Path) -> None:
    root, _ = project
    command = filled(body("train")["cmd"], dataset="scenes", model="fcn_8s").replace("data/weights", str(tmp_path))
    arguments = [sys.executable, *shlex.split(command)[1:]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "src")])}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(arguments, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)

    killed = start()
    assert killed.stdout is not None
    epochs = 0
    for line in killed.stdout:
        epochs += line.startswith("epoch ")
        if epochs == 3:  # the second seed's first
            killed.kill()
            break
    killed.communicate()
    assert not list(tmp_path.iterdir())
    output = start().communicate()[0]
    assert [line.split()[1] for line in output.splitlines() if line.startswith("epoch ")] in (["2/2"], ["1/2", "2/2"])
    for seed in ("seed_0", "seed_3"):
        again, before = (
            torch.load(folder / f"scenes/fcn_8s/{seed}.pt", weights_only=True)
            for folder in (tmp_path, root / "data/weights")
        )
        assert all(torch.equal(again[name], before[name]) for name in before)


def test_scores_are_made_without_the_images_that_are_left_out(project: tuple[Path, Accessed]) -> None:
    """The last test of this file, since it makes the reports anew."""
    root, _ = project
    counts = root / "reports/scenes/models/fcn_8s/counts.npz"
    name, before = Prepared.open(root / "data/prepared/scenes").split("test")[1].name, read_counts(counts)["on"]
    content = (root / "params.yaml").read_text()
    parameters = yaml.safe_load(content)
    try:
        parameters["datasets"]["scenes"]["leave_out"] = [f"test/{name}"]
        (root / "params.yaml").write_text(yaml.safe_dump(parameters))
        for model in parameters["benchmark"]["models"]:
            run_stage("evaluate", model=model)
        for stage in ("external", "claims", "compare"):
            run_stage(stage)
        after = read_counts(counts)["on"]
        np.testing.assert_array_equal(after.images.correct, np.delete(before.images.correct, 1, axis=1))
        assert after.confusions.sum() < before.confusions.sum()
        for page in ("benchmark.md", "benchmark.tex", "claims.md", "index.html"):
            text = (root / "reports/scenes" / page).read_text()
            assert f"Scores are made without 1 of 3 test images, as params.yaml says: test/{name}." in text, page
        parameters["datasets"]["scenes"]["leave_out"] = ["test/none"]
        (root / "params.yaml").write_text(yaml.safe_dump(parameters))
        for stage in ("prepare", "evaluate"):
            with pytest.raises(InputError, match=r"^params.yaml: datasets.scenes.leave_out names test/none; it must"):
                run_stage(stage, model="fcn_8s")
    finally:
        (root / "params.yaml").write_text(content)
