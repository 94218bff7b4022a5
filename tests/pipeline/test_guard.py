"""What a stage is told must not change while it runs, since DVC takes down afterwards what a result is of."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.guard import refuse_changes, unchanged
from segbench.errors import InputError
from segbench.files import file_digest, write_json
from segbench.sources import code_digest
from tests.parameters import PROJECT
from tests.pipeline.project import CHECK
from tests.pipeline.stages import tiny_parameters

SOURCE = Path("src/segbench/models/fcn.py")
OUTPUT = Path("data/weights/scenes/fcn_8s/seed_0.pt")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if DVC had started the training of fcn_8s on scenes in this folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@scenes-fcn_8s")
    SOURCE.parent.mkdir(parents=True)
    for file in ("dvc.yaml", "src/dvc.yaml"):
        shutil.copy(PROJECT / file, file)
    Path("params.yaml").write_text(yaml.safe_dump(tiny_parameters()))
    SOURCE.write_text("ANSWER = 42\n")
    write_json(Path("data/sources/train/fcn_8s.json"), {str(SOURCE): code_digest(SOURCE.read_text())})


def edit(change: Callable[[dict[str, Any]], Any]) -> None:
    parameters = tiny_parameters()
    change(parameters)
    Path("params.yaml").write_text(yaml.safe_dump(parameters))


def run(during: Callable[[], Any]) -> None:
    with unchanged(dataset="scenes", model="fcn_8s"):
        during()
        OUTPUT.parent.mkdir(parents=True)
        OUTPUT.touch()


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("during", "told"),
    [
        (
            lambda: edit(lambda p: p["train"].update(lr=0.0001)),
            r"params.yaml: train.lr was 0.004 and is 0.0001: changed while train@scenes-fcn_8s ran",
        ),
        (lambda: edit(lambda p: p["models"]["fcn_8s"].update(train={"lr": 1})), r"models.fcn_8s.train"),
        (
            lambda: edit(lambda p: p["datasets"]["scenes"]["train"].pop("epochs")),
            r"scenes.train.epochs was 2 and is No",
        ),
        (lambda: Path("params.yaml").write_text("train: {lr: 0.0001"), r"params.yaml: backbone"),
        (
            lambda: write_json(Path("data/sources/train/fcn_8s.json"), {str(SOURCE): "after"}),
            r"data/sources/train/fcn_8s.json: src/segbench/models/fcn.py: changed while",
        ),
    ],
)
def test_a_change_while_a_stage_runs_is_one_line_and_leaves_no_output(during: Callable[[], Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        run(during)
    assert "\n" not in str(raised.value)
    assert not OUTPUT.parent.exists()


@pytest.mark.usefixtures("stage")
def test_what_the_stage_does_not_depend_on_may_change() -> None:
    def change(parameters: dict[str, Any]) -> None:
        parameters["models"]["unet"]["train"] = {"lr": 1}
        parameters["datasets"]["scenes"]["leave_out"] = ["test/0000"]
        parameters["crf"]["trials"] += 1

    run(lambda: edit(change))
    assert OUTPUT.exists()


@pytest.mark.usefixtures("stage")
def test_the_check_itself_must_see_one_state_of_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", CHECK)
    former = Path("data/sources/train/fcn_8s.json")
    with pytest.raises(InputError, match=r"^src/segbench/models/fcn.py: changed while src/dvc.yaml:check ran"):
        run(lambda: SOURCE.write_text("ANSWER = 43\n"))
    assert former.exists(), "DVC keeps the former output of this stage too"


@pytest.mark.usefixtures("stage")
def test_a_stage_may_refuse_before_its_end() -> None:
    """As a training does before it removes what it would continue from."""
    with unchanged(dataset="scenes", model="fcn_8s"):
        refuse_changes()
        edit(lambda p: p["train"].update(lr=0.0001))
        with pytest.raises(InputError, match=r"train.lr"):
            refuse_changes()
        edit(lambda p: None)


@pytest.mark.usefixtures("stage")
def test_a_source_that_was_edited_since_the_check_is_refused_before_any_work() -> None:
    """Undone later, it would leave no trace; words alone may change."""
    SOURCE.write_text("# A remark.\nANSWER = 42\n")
    run(lambda: None)
    shutil.rmtree(OUTPUT.parent)
    SOURCE.write_text("ANSWER = 43\n")
    with pytest.raises(InputError, match=r"^src/segbench/models/fcn.py: edited since the stage check"):
        run(lambda: None)
    assert not OUTPUT.parent.exists()


@pytest.mark.usefixtures("stage")
def test_weights_that_were_replaced_since_the_check_are_refused_before_any_work() -> None:
    weights = Path("my.pth")
    weights.write_bytes(b"first")
    write_json(Path("data/sources/train/fcn_8s.json"), {"my.pth": file_digest(weights)})
    run(weights.touch)
    shutil.rmtree(OUTPUT.parent)
    weights.write_bytes(b"other")
    with pytest.raises(InputError, match=r"^my.pth: edited since the stage check"):
        run(lambda: None)
