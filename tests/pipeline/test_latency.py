"""The stage latency: a network that cannot be built leaves the others their times."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from pipeline import latency
from segbench.files import read_json
from segbench.models.build import build_model
from tests.parameters import PARAMETERS
from tests.training.test_fit import some_data


def test_a_network_that_cannot_be_built_is_named_and_the_others_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(section: Any, **arguments: Any) -> nn.Module:
        if section.architecture == "unet":
            raise AttributeError("no such layer")
        return build_model(section, **arguments)

    benchmark = PARAMETERS.benchmark.model_copy(update={"models": ["unet", "color_clusters"], "variants": []})
    monkeypatch.setattr("segbench.params.load", lambda: PARAMETERS.model_copy(update={"benchmark": benchmark}))
    monkeypatch.setattr(latency, "build_model", build)
    data = some_data(tmp_path, num_train=1)
    latency.main(dataset="scenes", prepared=data.root, out=tmp_path / "latency.json")
    assert list(read_json(tmp_path / "latency.json")["models"]) == ["color_clusters"]
    assert capsys.readouterr().err == "warning: unet is not timed: AttributeError: no such layer\n"
