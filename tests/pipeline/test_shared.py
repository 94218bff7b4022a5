"""Three clones on one S3 store and one MLflow server: two train a model each, and the third makes the table.

The commands are those of docs/machines.md. Its own folder, environment and cache make each clone
a machine of its own.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.docs.guide import block_with
from tests.parameters import PROJECT
from tests.pipeline import servers
from tests.pipeline.project import CHECK, Project, undisturbed_environment
from tests.pipeline.test_dvc import stages_run

pytest.importorskip("moto", reason="moto[server] is not installed")
pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed")
pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
pytestmark = pytest.mark.long

GIT = ("git", "-c", "user.name=tester", "-c", "user.email=tester@example.org")
MODELS = ["color_clusters", "fcn_8s"]


@dataclass
class Shared:
    """What all machines reach: the git repository, the S3 store and the MLflow server."""

    origin: Path
    s3: str
    mlflow: str

    @property
    def environment(self) -> dict[str, str]:
        """Of a machine's shell."""
        identity = {f"GIT_{role}_{what}": "tester" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return undisturbed_environment() | servers.CREDENTIALS | identity | {"MLFLOW_TRACKING_URI": self.mlflow}

    def clone(self, name: str) -> "Clone":
        return Clone(self.origin.with_name(name), self)


class Clone(Project):
    """A machine's clone of the project."""

    def __init__(self, root: Path, shared: Shared) -> None:
        self.root, self.environment, self.s3 = root, shared.environment, shared.s3
        root.mkdir()
        self.git("clone", "--quiet", str(shared.origin), ".")

    def git(self, *arguments: str) -> str:
        return self.run(*arguments, program=GIT)

    def follow(self, block: str) -> str:
        """Run a block of docs/machines.md, with the store and the bucket that are here."""
        here = block.replace("s3://BUCKET", f"s3://{servers.BUCKET}").replace("https://ADDRESS", self.s3)
        return self.run("-e", "-c", here, program=("bash",))

    def share(self) -> None:
        """What is done once."""
        self.follow(block_with("git rm --quiet dvc.lock src/dvc.lock"))


def make_origin(root: Path, *, change: Callable[[Project], object] = lambda project: None) -> Path:
    """A git repository with little to do, whose dvc.lock names results that are nowhere, as this one's does."""
    project = Project(root)
    for name in (".gitignore", ".dvc/.gitignore", "dvc.lock"):
        shutil.copy(PROJECT / name, root / name)
    shutil.copytree(PROJECT / "data", root / "data", ignore=lambda _, names: [n for n in names if n != "README.md"])
    project.run("config", "--unset", "core.no_scm")
    change(project)
    for arguments in ("init --quiet", "config receive.denyCurrentBranch updateInstead", "add --all"):
        project.run(*arguments.split(), program=("git",))
    project.run("commit", "--quiet", "--message", "a project", program=GIT)
    return root


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    origin = make_origin(tmp_path_factory.mktemp("machines") / "origin")
    with (
        servers.s3() as s3_address,
        servers.postgresql() as store,
        servers.mlflow(store=store, s3_address=s3_address) as address,
    ):
        yield Shared(origin, s3_address, address)


@pytest.fixture(scope="module")
def trained(shared: Shared) -> list[Clone]:
    """Two clones, each with one of the models, which both have pushed."""
    first = shared.clone("first")
    first.share()
    clones = [first, shared.clone("second")]
    of_two = "evaluate@scenes-unet evaluate@scenes-pspnet"
    for clone, model in zip(clones, MODELS, strict=True):
        output = clone.follow(block_with(f"dvc repro --pull {of_two}").replace(of_two, f"evaluate@scenes-{model}"))
        expected = {CHECK, *(f"{stage}@scenes-{model}" for stage in ("train", "predict", "crf", "evaluate"))}
        assert stages_run(output) == expected
    return clones


@pytest.fixture(scope="module")
def third(shared: Shared, trained: list[Clone]) -> tuple[Clone, str]:
    """The clone that has trained nothing, where `dvc repro --pull` has run, and what that printed."""
    clone = shared.clone("third")
    return clone, clone.follow(block_with("dvc repro --pull"))


def test_the_third_makes_the_table_and_trains_nothing(third: tuple[Clone, str]) -> None:
    clone, output = third
    of_models = {f"{stage}@scenes-{model}" for stage in ("train", "predict", "crf") for model in MODELS}
    assert set(re.findall(r"Stage '(.*?)' is cached", output)) == of_models
    assert not stages_run(output) & {*of_models, "prepare@scenes", "augment@scenes"}
    table = (clone.root / "reports/scenes/benchmark.md").read_text()
    assert all(f"| {model} " in table for model in MODELS)
    assert clone.status() == {}


def test_it_has_the_weights_and_scores_of_those_who_trained(third: tuple[Clone, str], trained: list[Clone]) -> None:
    clone, _ = third
    for other, model in zip(trained, MODELS, strict=True):
        for name in (
            f"data/weights/scenes/{model}/seed_0.pt",
            f"data/records/scenes/{model}/validation.json",
            f"reports/scenes/models/{model}/scores.json",
        ):
            assert (clone.root / name).read_bytes() == (other.root / name).read_bytes()
    assert "validation.json" in clone.run("metrics", "show", "--all-commits")


def test_the_runs_of_all_are_in_one_store_with_their_files(shared: Shared, third: tuple[Clone, str]) -> None:
    client = MlflowClient(shared.mlflow)
    experiment = client.get_experiment_by_name("scenes")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    names = sorted(run.info.run_name for run in found)
    assert names == ["audit", "benchmark", *MODELS], "one run for each training, whoever evaluated it"
    runs = {run.info.run_name: run for run in found}
    for model in MODELS:
        run = runs[model]
        assert run.info.status == "FINISHED" and "mIoU/test" in run.data.metrics
        assert run.data.tags["mlflow.parentRunId"] == runs["benchmark"].info.run_id
        assert "curves.csv" in {item.path for item in client.list_artifacts(run.info.run_id)}
    shown = {item.path for item in client.list_artifacts(runs["benchmark"].info.run_id)}
    assert "index.html" in {Path(path).name for path in shown}, shown
    assert client.get_model_version_by_alias("segbench-scenes", "champion").run_id in {
        runs[model].info.run_id for model in MODELS
    }


def test_no_machine_keeps_runs_to_itself(trained: list[Clone], third: tuple[Clone, str]) -> None:
    for clone in (*trained, third[0]):
        waiting = clone.root / "data/tracking"
        assert not waiting.exists() or not [path for path in waiting.iterdir() if path.is_dir()]
        assert not (clone.root / "mlflow.db").exists()
