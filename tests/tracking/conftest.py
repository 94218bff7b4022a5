from pathlib import Path

import pytest

from tests.tracking.stores import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project.make(tmp_path, monkeypatch)
