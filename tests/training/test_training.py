"""What trainings leave behind."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segbench.training import training as trainings
from segbench.training.training import RECORD, WEIGHTS, Training, validation_mean_iou
from tests.parameters import PARAMETERS


class Untouched(Training):
    """A training of which only the key counts."""

    settings = {"lr": 0.1}  # type: ignore[assignment] # noqa: RUF012


def a_training() -> Training:
    nothing: Any = SimpleNamespace()
    return Untouched("scenes", "unet", 0, PARAMETERS, nothing, nothing)


def test_code_that_is_edited_while_a_training_runs_does_not_part_it_from_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "checkpoint_folder", lambda key: tmp_path / key)
    monkeypatch.setattr(trainings, "training_key", lambda settings, sources: "before")
    one = a_training()
    folder = one.folder
    monkeypatch.setattr(trainings, "training_key", lambda settings, sources: "after")
    assert one.folder == folder
    assert a_training().folder != folder


def test_a_training_has_ended_when_all_that_it_leaves_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "checkpoint_folder", lambda key: tmp_path)
    one = a_training()
    assert not one.has_ended
    (tmp_path / RECORD).write_text("{}")
    assert not one.has_ended
    (tmp_path / WEIGHTS).touch()
    assert one.has_ended


def record(*curve: float | None) -> dict[str, Any]:
    return {"epochs": [{"epoch": epoch, "val_mean_iou": value} for epoch, value in enumerate(curve, start=1)]}


@pytest.mark.parametrize(("checkpoint", "expected"), [("last", (0.5 + 0.3) / 2), ("best", (0.5 + 0.7) / 2)])
def test_the_validation_score_is_of_the_weights_that_are_kept(checkpoint: str, expected: float) -> None:
    records = [record(None, 0.4, None, 0.5), record(None, 0.7, 0.3)]
    assert validation_mean_iou(records, checkpoint=checkpoint) == pytest.approx(expected)


def test_without_epochs_there_is_no_validation_score() -> None:
    assert validation_mean_iou([{"epochs": []}], checkpoint="last") is None


def test_a_trainings_key_depends_on_its_settings_and_on_the_code_of_its_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: dict[str, Any] = {}

    def spy(settings: dict[str, Any], sources: dict[str, str]) -> str:
        found.update(settings=settings, sources=sources)
        return "key"

    monkeypatch.setattr(trainings, "training_key", spy)
    assert a_training().key == "key"
    assert found["settings"] == {"lr": 0.1}
    assert {"src/segbench/models/unet.py", "src/segbench/training/fit.py"} <= found["sources"].keys()
    assert "src/segbench/models/pspnet.py" not in found["sources"]
