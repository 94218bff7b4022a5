"""A package as an MLflow model: loaded without the project, served over HTTP, and registered."""

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

import segbench
from pipeline.package import REQUIRED
from pipeline.reproduce import follow_champions
from segbench import tracking
from segbench.errors import InputError
from segbench.packages import pyfunc
from segbench.packages.card import CARD, IN_MLFLOW
from segbench.packages.model import PackagedModel
from segbench.tracking.models import ToLog, fetched, log_models, write_pyfunc
from tests.packages.packaged import CLASSES, package_at

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)
LOADS = """
import base64, json, sys
from pathlib import Path
import pandas as pd
from mlflow import pyfunc
model = pyfunc.load_model(sys.argv[1])
(answer,) = model.predict(pd.DataFrame({"image": [Path(sys.argv[2]).read_bytes()]}), params={"crf": False})
import segbench
modules = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"answer": answer, "segbench": segbench.__file__, "modules": modules}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow model's folder, and beside it image.png and broken.png."""
    root = tmp_path_factory.mktemp("pyfunc")
    Image.fromarray(IMAGE).save(root / "image.png")
    (root / "broken.png").write_bytes((root / "image.png").read_bytes()[:90])
    return write_model(root)


def write_model(root: Path) -> Path:
    package_at(root / "package" / "model")
    write_pyfunc(
        root / "mlflow_model", package=root / "package" / "model", loader=pyfunc.__name__,
        source=Path(segbench.__file__).parent, requirements=["numpy"], image=(root / "image.png").read_bytes(),
    )  # fmt: skip
    shutil.rmtree(root / "package")
    return root / "mlflow_model"


def test_the_same_model_is_the_same_files(model: Path, tmp_path: Path) -> None:
    """So that DVC takes it for the same."""
    shutil.copy(model.parent / "image.png", tmp_path)
    again = write_model(tmp_path)
    files = {path.relative_to(model): path.read_bytes() for path in model.rglob("*") if path.is_file()}
    assert len(files) > 100
    assert {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()} == files


def check_answer(answer: dict[str, object], model: Path, *, crf: bool) -> None:
    expected = PackagedModel.open(model).label_map(IMAGE, crf=crf)
    with Image.open(io.BytesIO(base64.b64decode(str(answer["label_map"])))) as image:
        assert image.mode == "P" and np.array_equal(np.asarray(image), expected)
        assert np.array_equal(np.asarray(image.convert("RGB")), CLASSES.colorize(expected))
    assert answer["shares"] == {name: float(np.mean(expected == index)) for index, name in enumerate(CLASSES.names)}


def test_it_loads_without_the_project_and_imports_what_it_requires(model: Path, tmp_path: Path) -> None:
    code, image = tmp_path / "loads.py", model.parent / "image.png"
    code.write_text(LOADS)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [sys.executable, str(code), str(model), str(image)], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    told = json.loads(found.stdout.splitlines()[-1])
    assert Path(told["segbench"]).is_relative_to(model / "code")
    check_answer(told["answer"], model, crf=False)
    required = closure({name.lower() for name in REQUIRED})
    distributions = packages_distributions()
    imported = {dist.lower() for module in told["modules"] for dist in distributions.get(module, [])[:1]}
    unnamed = {"segbench", "setuptools", "pip", "pytest"}
    assert imported - required - unnamed == set()


def closure(names: set[str]) -> set[str]:
    """The distributions, and all that they require."""
    found, waiting = set[str](), set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        needed = {re.split(r"[ ;<>=!~\[(]", line)[0].lower() for line in lines}
        waiting |= needed - found
    return found | {name.replace("-", "_") for name in found} | {name.replace("_", "-") for name in found}


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[str]:
    """The address of `mlflow models serve`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local",
         "--port", str(port), "--workers", "1"],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true",
             "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urlopen(f"{address}/ping", timeout=5).close()
                break
            except (URLError, OSError):
                assert process.poll() is None, "the server has ended"
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def ask(server: str, content: bytes) -> list[dict[str, object]]:
    body = {"dataframe_records": [{"image": base64.b64encode(content).decode()}], "params": {"crf": True}}
    request = Request(f"{server}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as response:
        answers: list[dict[str, object]] = json.loads(response.read())["predictions"]
    return answers


def test_a_served_model_answers_with_a_label_map_and_shares(server: str, model: Path) -> None:
    (answer,) = ask(server, (model.parent / "image.png").read_bytes())
    check_answer(answer, model, crf=True)


def test_a_served_model_names_an_image_that_it_cannot_read(server: str, model: Path) -> None:
    with pytest.raises(HTTPError) as raised:
        ask(server, (model.parent / "broken.png").read_bytes())
    assert raised.value.code in (400, 500)
    assert "image 0: not a readable image" in raised.value.read().decode()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """The client of a project's store in which a training of `a key` has run."""
    monkeypatch.chdir(tmp_path)
    for variable in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    with tracking.evaluation_run(dataset="streets", name="color_clusters", key="a key") as run:
        run.log_metrics({"mIoU": 0.5})
    tracking.send_waiting()
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


def log(model: Path, *, digest: str, rule: str = "mean_iou", champion: str | None = "color_clusters") -> bool:
    packaged = ToLog("color_clusters", model, digest, "a key")
    other = ToLog("unet", model, f"{digest} of unet", "another key, whose run is in another store")
    return log_models("streets", [packaged, other], champion=champion, tags={"rule": rule})


def test_the_champion_is_registered_once_and_older_versions_stay(project: MlflowClient, model: Path) -> None:
    assert log(model, digest="first") and log(model, digest="first")
    (first,) = project.search_model_versions("name = 'segbench-streets'")
    assert first.tags["rule"] == "mean_iou"
    assert log(model, digest="second")
    versions = {version.version: version for version in project.search_model_versions("name = 'segbench-streets'")}
    assert len(versions) == 2
    champion = project.get_model_version_by_alias("segbench-streets", "champion")
    assert int(champion.version) == int(first.version) + 1
    assert log(model, digest="first", rule="pixel_accuracy"), "the first is the champion again, by another rule"
    again = project.get_model_version_by_alias("segbench-streets", "champion")
    assert (again.version, again.tags["rule"]) == (first.version, "pixel_accuracy")
    assert log(model, digest="first", champion=None) and log(model, digest="first", champion=None)
    assert not project.get_registered_model("segbench-streets").aliases, "no model is the champion"
    assert len(project.search_model_versions("name = 'segbench-streets'")) == 2


def test_a_store_without_any_champion_takes_packages(project: MlflowClient, model: Path) -> None:
    assert log(model, digest="first", champion=None)
    assert project.search_registered_models() == []


def test_a_model_is_of_the_run_that_trained_it_and_is_fetched_by_each_address(
    project: MlflowClient, model: Path
) -> None:
    log(model, digest="first")
    experiment = project.get_experiment_by_name("streets")
    assert experiment is not None
    (run,) = project.search_runs([experiment.experiment_id], "tags.`segbench.training_key` = 'a key'")
    assert len(run.outputs.model_outputs) == 1
    for address in (
        "models:/segbench-streets@champion", "models:/segbench-streets/1", f"runs:/{run.info.run_id}/color_clusters",
    ):  # fmt: skip
        with fetched(address) as folder:
            assert PackagedModel.open(folder).card == PackagedModel.open(model).card
    for missing in ("models:/segbench-streets@best", "runs:/0123/unet", "models:/other/1"):
        with pytest.raises(InputError, match=rf"^{missing}: not in the MLflow store .*mlflow\.db: "), fetched(missing):
            pass


def test_a_project_that_was_moved_finds_its_models(
    project: MlflowClient, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(model, digest="first")
    (tmp_path / "moved").mkdir()
    for name in ("mlflow.db", "mlartifacts"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    monkeypatch.chdir(tmp_path / "moved")
    for address in ("models:/segbench-streets@champion", "models:/segbench-streets/1"):
        with fetched(address) as folder:
            assert PackagedModel.open(folder).card == PackagedModel.open(model).card


def test_the_alias_follows_the_champion_though_no_package_is_made(
    project: MlflowClient, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a budget is set and taken back: DVC then takes the former packages out of its cache."""
    for name in ("small", "large"):
        package = tmp_path / "data/packages/streets" / name
        shutil.copytree(model, package)
        card = json.loads((package / IN_MLFLOW / CARD).read_text())
        (package / IN_MLFLOW / CARD).write_text(json.dumps({**card, "model": name}))
    rule = {"score": "mean_iou", "most_latency_ms": None, "most_memory_mib": None}
    report = tmp_path / "reports/streets/champion.json"
    report.parent.mkdir(parents=True)
    for champion in ("large", "small", None, "large"):
        chosen = {"model": champion, "score": 0.5, "crf": False} if champion else None
        report.write_text(json.dumps({"rule": rule, "champion": chosen}))
        follow_champions(["streets"])
        if champion:
            with fetched("models:/segbench-streets@champion") as folder:
                assert PackagedModel.open(folder).card.model == champion
        else:  # no model keeps to the budget
            assert not project.get_registered_model("segbench-streets").aliases
    monkeypatch.setattr("pipeline.register.register", None)
    follow_champions(["streets"])  # nothing is to be done, so MLflow is not asked


def test_a_store_that_fails_costs_one_line(
    project: MlflowClient, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert not log(model, digest="first")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: MLflow: http://127.0.0.1:9: the server cannot be reached")
    assert line.endswith("python -m pipeline.register logs them")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert log(model, digest="first")


def test_bytes_that_are_no_image_are_named(model: Path) -> None:
    labeller = pyfunc._load_pyfunc(str(model / IN_MLFLOW))
    for content, told in ((b"", "image 0: not a readable image"), ("%", "image 0: neither bytes nor base64")):
        with pytest.raises(InputError, match=told):
            labeller.predict({"image": [content]})  # type: ignore[arg-type]
