"""Imports: a stage's sources are declared, go downwards only, and stay light where no torch is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.stages import PROJECT, STAGES, body

# From the ground up: a module imports only modules of earlier lines.
FLOORS = """
errors machine
labels
files
params metrics transforms parallel crf.energy crf.lanes
datasets.source losses resume boundaries statistics report.markdown report.numbers report.charts
datasets.scenes datasets.download datasets.prepared models.layers report.lecture report.sliding
datasets.camvid datasets.voc2012 datasets.cityscapes datasets.oxford_pet datasets.ade20k datasets.coco
datasets.class_table datasets.audit datasets.preparation augmentation scoring external report.content report.pictures
datasets.folder
models.backbones models.color_clusters models.sliding_window
datasets.catalog samples models.fcn models.unet models.pspnet report.columns report.assemble report.published
models.deeplab_v1 models.deeplab_v2 models.deeplab_v3 models.deeplab_v3_plus report.page report.table report.results
report.wording report.plots report.audit report.sweep report.brief
crf.lattice zoo inference report.figures tracking
crf.on_cpu crf.in_torch
crf.refinement costs fitting
crf.tuning trainings
report.crf
""".strip().splitlines()
FLOOR = {name: floor for floor, line in enumerate(FLOORS) for name in line.split()}

# These cannot change a result: values of params.yaml are dependencies themselves.
NEUTRAL = {"errors", "params", "parallel", "tracking"}
SOURCE = PROJECT / "src" / "segbench"


def module_path(name: str) -> Path:
    return SOURCE / f"{name.replace('.', '/')}.py"


def imported(path: Path) -> set[str]:
    """Modules of segbench that a file imports anywhere, as `datasets.prepared`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "segbench":
            parent = node.module.removeprefix("segbench").lstrip(".")
            names = [parent, *(f"{parent}.{alias.name}".lstrip(".") for alias in node.names)]
            found |= {name for name in names if name and module_path(name).is_file()}
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("segbench") for alias in node.names), f"{path}: use from-imports"
    return found


def needed_sources(script: Path) -> set[str]:
    """Files that a script imports, directly or not, and that can change its result."""
    modules: set[str] = set()
    waiting = imported(script)
    while waiting:
        name = waiting.pop()
        if name not in modules | NEUTRAL:
            modules.add(name)
            waiting |= imported(module_path(name))
    return {str(module_path(name).relative_to(PROJECT)) for name in modules}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_sources_that_it_imports(stage: str) -> None:
    script = PROJECT / "pipeline" / f"{stage}.py"
    declared = [dep for dep in body(stage)["deps"] if dep.startswith(("src/", "pipeline/"))]
    files = {
        str(path.relative_to(PROJECT))
        for dep in declared
        for path in ([PROJECT / dep] if dep.endswith(".py") else (PROJECT / dep).rglob("*.py"))
        if path.name != "__init__.py"
    }
    needed = needed_sources(script) | {f"pipeline/{stage}.py"}
    assert needed - files == set(), "imported, but not in deps"
    for dep in declared:
        assert any(path == dep or path.startswith(f"{dep}/") for path in needed), f"{dep} is in deps in vain"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_downwards_only(path: Path) -> None:
    if path.name == "__init__.py":
        assert not imported(path)
        return
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for other in imported(path):
        assert FLOOR[other] < FLOOR[name], f"{name} imports {other}, which is not below it"


def test_models_know_nothing_of_parameters_stages_or_each_other() -> None:
    shared = {"models.layers", "models.backbones", "labels", "files", "errors"}
    for path in (SOURCE / "models").glob("*.py"):
        assert imported(path) <= shared, path.name


@pytest.mark.parametrize("stage", ["check", "prepare", "augment", "evaluate", "external", "lecture", "compare"])
def test_a_stage_without_networks_starts_without_torch(stage: str) -> None:
    code = f"import sys, pipeline.{stage}; sys.exit(bool({{'torch', 'lightning', 'mlflow'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


def test_tracking_is_the_only_mlflow_import() -> None:
    files = [*SOURCE.rglob("*.py"), *(PROJECT / "pipeline").glob("*.py")]
    assert [path.name for path in files if "mlflow import" in path.read_text()] == ["tracking.py"]
