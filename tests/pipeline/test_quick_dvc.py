"""What is written to dvc.lock is what DVC itself would write, byte by byte."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import modify_yaml

from pipeline import quick_dvc
from pipeline.quick_dvc import parse_once, with_stage
from tests.parameters import PROJECT

TEXT = (PROJECT / "dvc.lock").read_text(encoding="utf-8")
STAGES: dict[str, Any] = yaml.load(TEXT, yaml.CSafeLoader)["stages"]
STARTS = [found.start() for found in re.finditer(r"^  \S", TEXT, re.MULTILINE)]
SHORT = TEXT[: STARTS[5]]
FIRST, *_, LAST = list(STAGES)[:5]
CHANGED = {
    "cmd": "python -m pipeline.train " + "--long-option with-its-value " * 9,
    "deps": [{"path": "ä b", "size": 1}],
}


def by_dvc(folder: Path, text: str, name: str, content: Any) -> str:
    path = folder / "dvc.lock"
    path.write_text(text, encoding="utf-8")
    with modify_yaml(path) as whole:
        whole["stages"].update({name: content})
    return path.read_text(encoding="utf-8")


def test_a_stage_that_is_written_again_changes_no_byte() -> None:
    for name in [*list(STAGES)[:5], "train@scenes-unet", "compare@scenes", list(STAGES)[-1]]:
        assert with_stage(TEXT, name, STAGES[name]) == TEXT, name


@pytest.mark.parametrize("name", [FIRST, list(STAGES)[2], LAST, "new@scenes-none"])
@pytest.mark.parametrize("end", ["", "datasets:\n- name: other\n"])
def test_a_changed_or_new_stage_stands_as_dvc_writes_it(tmp_path: Path, name: str, end: str) -> None:
    text = SHORT + end
    assert with_stage(text, name, CHANGED) == by_dvc(tmp_path, text, name, CHANGED)


def test_a_text_is_parsed_once_and_no_caller_sees_what_another_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed, before = [], quick_dvc.parse

    def parse(text: str, path: str, **how: Any) -> Any:
        parsed.append(text)
        return before(text, path, **how)

    monkeypatch.setattr(quick_dvc, "parse", parse)
    first = parse_once(SHORT, "dvc.lock")
    assert first == yaml.load(SHORT, yaml.CSafeLoader)
    first["stages"].clear()
    assert parse_once(SHORT, "dvc.lock")["stages"]
    assert parsed == [SHORT]
    assert parse_once("a: 1 # why", "dvc.yaml", typ="rt").ca.items, "comments are kept where a file is rewritten"


def test_nothing_tells_after_each_model_how_to_add_the_lock_to_git(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {one: {cmd: echo one}}\n", encoding="utf-8")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    repro = [sys.executable, "-m", "pipeline.quick_dvc", "repro"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    printed = subprocess.run(repro, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert "Running stage 'one'" in printed.stdout
    assert "git" not in printed.stdout + printed.stderr
