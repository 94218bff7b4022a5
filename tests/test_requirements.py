"""The locked packages are those that pyproject.toml asks for, with hashes, from wherever pip is told to look."""

import re
import tomllib
from collections.abc import Sequence

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.parameters import PROJECT

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = PYPROJECT["optional-dependencies"]
ENTRY = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?P<marker> ; [^\\]+)?(?P<hashes>( \\\n    --hash=sha256:\w{64})+)\n"
)


def locked(name: str) -> dict[str, str]:
    """Versions by package. Nothing but versions, markers, hashes and comments is in the file."""
    text = re.sub(r"^ *#.*\n", "", (PROJECT / name).read_text(), flags=re.MULTILINE)
    assert ENTRY.sub("", text) == ""
    return {canonicalize_name(entry["name"]): entry["version"] for entry in ENTRY.finditer(text)}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("requirements.lock", [*PYPROJECT["dependencies"], "setuptools>=77"]),  # which installs the project itself
        ("requirements-dev.lock", [*PYPROJECT["dependencies"], *EXTRAS["dev"]]),
        ("requirements-peers.lock", EXTRAS["peers"]),
        ("requirements-audit.lock", EXTRAS["audit"]),
    ],
)
def test_what_is_asked_for_is_locked(name: str, asked: Sequence[str]) -> None:
    versions = locked(name)
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_the_tests_run_with_what_the_pipeline_runs_with() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


def test_every_lock_is_looked_up_in_advisories() -> None:
    """What is not known there must be an error: pip-audit alone passes it over."""
    recipe = (PROJECT / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    names = {path.name for path in PROJECT.glob("requirements*.lock")}
    assert set(re.findall(r"AUDIT\) -r (\S+)", recipe)) == names - {"requirements.lock"}, "which is part of that of dev"
    (call,) = re.findall(r"^AUDIT = (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert {"--strict", "--disable-pip", "--require-hashes"} <= set(call.split())


def test_the_tests_need_no_compiler() -> None:
    assert "pydensecrf2" not in locked("requirements-dev.lock")
