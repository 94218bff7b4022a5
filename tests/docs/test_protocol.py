"""docs/protocol.md has a row for each setting of the training, with its reason and what was measured about it."""

from typing import Any

import yaml

from segbench import params
from tests.docs import guide
from tests.parameters import PARAMS_FILE, PROJECT

ROWS = tuple(guide.table_rows(PROJECT / "docs/protocol.md"))
CODES = {
    child.content for choice, *_ in ROWS for child in choice.children or () if child.type == "code_inline"
}  # of the first column
SETTINGS = {
    *params.Train.model_fields, *params.ModelInput.model_fields, *params.Augment.model_fields, "backbone", "copies",
}  # fmt: skip


def keys_of(value: Any) -> set[str]:
    """The names in a nested part of params.yaml."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    return set(value).union(*map(keys_of, value.values())) if isinstance(value, dict) else set()


def test_each_setting_of_the_training_has_a_row() -> None:
    assert {"weight_decay", "crop_px"} < SETTINGS
    assert SETTINGS - {code.rpartition(".")[2] for code in CODES} == set()


def test_settings_that_rows_name_exist() -> None:
    named = {code for code in CODES if "." in code}
    assert named >= {"train.search", "input.scale"}
    keys = keys_of(yaml.safe_load(PARAMS_FILE.read_text()))
    assert {code for code in named if not set(code.split(".")) <= keys} == set()


def test_each_row_says_what_was_measured() -> None:
    assert len(ROWS) > 30
    assert [row[0].content for row in ROWS if len(row) != 3 or any(len(cell.content) < 3 for cell in row)] == []
