"""Sources: a stage depends on what it imports and on nothing else, and words in the code rerun nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from segbench import sources
from segbench.sources import code_digest, source_digests
from tests.parameters import PARAMETERS, PROJECT
from tests.pipeline.stages import body

CODE = '''"""What the module is for."""

LIMIT = 3
"""Of something."""


def enlarge(x: int) -> int:
    """Make it larger."""
    return x + 1  # by one
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What the module is for.", "Ein Wort, größer."),
        ("Of something.", "Of something else,\nin two lines."),
        ("Make it larger.", "Make it larger.\n\n    x: a number"),
        ("  # by one", ""),
        ("\n\n\ndef", "\n\n\n# a comment\n\ndef"),
    ],
)
def test_words_do_not_change_a_digest(old: str, new: str) -> None:
    assert old in CODE
    assert code_digest(CODE.replace(old, new)) == code_digest(CODE)


@pytest.mark.parametrize(("old", "new"), [("LIMIT = 3", "LIMIT = 4"), ("x + 1", "x + 2"), ("    return", "    x += 0\n    return")])  # fmt: skip  # noqa: E501
def test_code_changes_a_digest(old: str, new: str) -> None:
    assert code_digest(CODE.replace(old, new)) != code_digest(CODE)


def test_a_text_that_code_uses_is_code() -> None:
    assert code_digest('print("a # b")') != code_digest('print("a # c")')
    assert code_digest('x = """a"""') != code_digest('x = """b"""')


def train_sources(model: str) -> set[str]:
    return set(source_digests("pipeline.train", PARAMETERS.model(model).network_module))


def test_a_training_depends_on_its_own_network_alone() -> None:
    networks = {f"src/segbench/models/{name}.py" for name in ("fcn", "unet", "pspnet", "deeplab_v1", "sliding_window")}
    assert train_sources("unet") & networks == {"src/segbench/models/unet.py"}
    assert train_sources("fcn_8s") == train_sources("fcn_32s")
    assert train_sources("unet") ^ train_sources("fcn_8s") == {"src/segbench/models/unet.py", "src/segbench/models/fcn.py"}  # fmt: skip  # noqa: E501
    assert {"src/segbench/training/losses.py", "src/segbench/models/backbones.py"} < train_sources("unet")


@pytest.mark.parametrize("stage", ["prepare", "augment", "train", "predict", "crf", "evaluate", "evaluate_variant"])
def test_words_of_reports_and_parameters_concern_no_network(stage: str) -> None:
    """Values of parameters are dependencies of their own."""
    used = source_digests(f"pipeline.{stage}")
    assert f"pipeline/{stage}.py" in used
    assert not [path for path in used if "report/pages/web" in path or "/params/" in path or "tracking" in path]


def test_an_edit_of_drawings_concerns_the_stages_that_draw_files() -> None:
    """What evaluate shows in MLflow alone is no result."""
    stages = (
        "prepare", "augment", "train", "predict", "crf", "evaluate", "evaluate_variant", "external", "claims", "compare"
    )  # fmt: skip
    drawing = "src/segbench/report/drawing/figures.py"
    assert [stage for stage in stages if drawing in source_digests(f"pipeline.{stage}")] == [
        "prepare", "augment", "crf", "evaluate", "compare",
    ]  # fmt: skip


def test_the_page_depends_on_its_template_style_and_script() -> None:
    used = source_digests("pipeline.compare")
    suffixes = {Path(path).suffix for path in used if path.startswith("src/segbench/report/pages/web/")}
    assert suffixes == {".py", ".jinja", ".css", ".js"}
    assert not [path for path in source_digests("pipeline.evaluate") if path.endswith(".css")]


def test_every_module_is_used_by_a_stage_or_neutral() -> None:
    """A module that no stage declares would leave stale results."""
    stages = [f"pipeline.{path.stem}" for path in (PROJECT / "pipeline").glob("*.py") if path.stem != "__init__"]
    loaded = [entry.network_module for entry in PARAMETERS.models.values()]
    used = set(source_digests(*stages, *loaded, *source_modules()))
    neutral = {f"src/segbench/{name.replace('.', '/')}.py" for name in sources.NEUTRAL}
    neutral_rooms = ("params", "tracking", "search", "cli")
    everything = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "src/segbench").rglob("*.py")
        if path.name != "__init__.py" and path.parent.name not in neutral_rooms
    }
    assert everything - used - neutral == set()


def test_digests_import_none_of_the_code_that_they_are_of() -> None:
    """`check` runs each time and digests trainings too."""
    code = (
        "import sys; from segbench.sources import source_digests; "
        "print(len(source_digests('pipeline.train', 'segbench.models.unet')) > 20, "
        "*({'torch', 'lightning', 'segbench.training', 'pipeline.train'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True"]


def source_modules() -> Iterator[str]:
    return (f"segbench.datasets.{path.stem}" for path in (PROJECT / "src/segbench/datasets").glob("*.py"))


@pytest.mark.parametrize(
    "stage", ["check", "prepare", "augment", "evaluate", "evaluate_variant", "external", "claims", "compare"]
)
def test_a_stage_without_networks_starts_without_heavy_imports(stage: str) -> None:
    heavy = {"torch", "lightning", "mlflow", "matplotlib"} | ({"pandas"} if stage != "compare" else set())
    code = f"import sys, pipeline.{stage}; print(*({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize(
    ("stage", "heavy"),
    [
        ("predict", {"torch._dynamo", "sympy", "lightning", "torchmetrics", "mlflow", "matplotlib", "pandas"}),
        ("crf", {"torch._dynamo", "sympy", "lightning", "torchmetrics", "mlflow", "matplotlib", "pandas"}),
        ("train", {"scipy.signal", "mlflow"}),  # Lightning itself needs torch's compiler
    ],
)
def test_a_stage_with_networks_starts_without_what_it_does_not_use(stage: str, heavy: set[str]) -> None:
    code = f"import sys, pipeline.{stage}; print(*({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("stage", ["train", "predict", "crf", "variant"])
def test_what_takes_long_is_found_on_other_machines(stage: str) -> None:
    """DVC pushes no output that it does not cache, and takes results out of its cache only if it has all of them."""
    outputs = [output for kind in ("outs", "metrics", "plots") for output in body(stage).get(kind, [])]
    assert outputs and all(isinstance(output, str) for output in outputs), "with an option, such as cache: false"
