"""The page's last part: each link has a target in the project, and each training can be found again."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from segbench import params
from segbench.datasets.catalog import Attribution, attribution
from segbench.params.models import section_of
from segbench.report.pages.about import about, commit_day
from segbench.report.pages.page import page_html
from segbench.report.table.content import Origin
from tests.parameters import PARAMETERS, PROJECT
from tests.pipeline.stages import body
from tests.report.sample_pages import ATTRIBUTION, a_page, some_classes
from tests.report.sample_results import a_model

REPORT = "reports/${item}"
OF_MODEL = "reports/${item.dataset}/models/${item.model}"


def outputs(stage: str) -> set[str]:
    found = [output for kind in ("outs", "metrics", "plots") for output in body(stage).get(kind, [])]
    return {path for output in found for path in ([output] if isinstance(output, str) else output)}


def origin(**how: object) -> Origin:
    (found,) = about([a_model("mine", **how)], ATTRIBUTION).origins  # type: ignore[arg-type]
    return found


def test_each_link_leads_to_a_file_of_the_project_or_of_a_stage() -> None:
    page = a_page(models=("mine",), classes=some_classes(2), num_images=1, height_px=12, width_px=16)
    (part,) = re.findall(r'<section id="about".*?</section>', page_html(page), flags=re.S)
    links = [link for link in re.findall(r'href="(.*?)"', part) if "//" not in link]
    ours = [link.removeprefix("../../") for link in links if link.startswith("../../")]
    assert {"params.yaml", "docs/protocol.md", "CITATION.cff", "src/segbench/models/unet.py"} == {*ours}
    assert all((PROJECT / path).is_file() for path in ours)
    made = {path.replace(OF_MODEL, "models/mine") for path in outputs("evaluate")}
    made |= {path.replace(f"{REPORT}/", "") for stage in ("prepare", "claims", "compare") for path in outputs(stage)}
    beside = {link for link in links if not link.startswith("../../")}
    assert len(beside) > 10 and beside <= made


@pytest.mark.parametrize("architecture", [section.architecture for section in PARAMETERS.models.values()])
def test_every_architecture_has_a_source_file(architecture: str) -> None:
    model = a_model("mine")
    model.training["settings"]["model"]["architecture"] = architecture
    (found,) = about([model], ATTRIBUTION).origins
    name = section_of(architecture).network.partition(":")[2]
    assert f"class {name}(" in (PROJECT / found.links[0].path.removeprefix("../../")).read_text()


def test_each_training_has_its_key() -> None:
    assert dict(origin(seeds=(0, 3)).training_keys) == {0: "key0", 3: "key3"}
    page = a_page(models=("mine",), classes=some_classes(2), num_images=1, height_px=12, width_px=16)
    text = re.sub(r"\s+", " ", page_html(page))
    assert "Keys in MLflow: <code>key0</code> (seed 0), <code>key1</code> (seed 1)" in text


def test_values_are_those_that_the_model_was_trained_with() -> None:
    values = yaml.safe_load(origin(train={"lr": 0.25}).values)
    assert values["models"] == {"mine": {"architecture": "unet", "skips": True}}
    assert values["backbone"] == {"name": "resnet18", "weights": "bundled"} and values["train"]["lr"] == 0.25
    assert set(yaml.safe_load(origin(epochs=0, backbone="none").values)) == {"models"}


def test_the_day_of_a_commit_is_known_where_the_commit_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, "2021-03-04T12:00:00Z")
    settings = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*settings, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    commit_day.cache_clear()
    known = commit.stdout.strip()
    assert commit_day(known) == commit_day(f"{known}-dirty") == "2021-03-04"
    for unknown in ("0" * 40, "unknown", "HEAD", "--output=x"):
        assert commit_day(unknown) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    commit_day.cache_clear()
    assert commit_day(known) == "", "there is no git"


def test_a_dataset_has_a_licence_and_the_papers_that_its_users_must_name() -> None:
    camvid = attribution(params.CamvidSource.model_validate({"kind": "camvid", "root": "camvid", "split": "published"}))
    assert camvid.licence.startswith("CC BY-NC 4.0") and camvid.home.endswith("/VideoRec/CamVid/")
    assert [paper.split(",")[0].split()[-1] for paper in camvid.papers] == ["Brostow", "Brostow", "Badrinarayanan"]
    scenes = attribution(PARAMETERS.dataset("scenes").source)
    assert scenes == Attribution("MIT, as segbench, which draws them", "", ())


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and {"message", "title", "authors"} <= set(citation)
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert "The segbench authors" in (PROJECT / "LICENSE").read_text()
    assert citation["authors"] == [{"name": "The segbench authors"}]
