"""Every command that README and docs/ show is run: here as it stands, or by another test, or it says why it cannot be.

Here, the blocks whose commands are all in RUN are run in the order of the pages, in a small project in git: one cheap
network, few images, one epoch, and an environment that is there already. A command that no list names fails a test.
"""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from tests.docs.guide import ALL_BLOCKS, Block
from tests.parameters import PARAMS_FILE, PROJECT, WHOLE_IMAGES
from tests.pipeline.project import Project
from tests.pipeline.stages import make_tiny

RUN: dict[str, tuple[str, ...]] = {
    "source .venv/bin/activate": (),
    "make setup": (),
    "dvc repro prepare@mine": ("reports/mine/audit.md", "reports/mine/images.jpg"),
    "make reproduce": ("reports/mine/index.html", "reports/scenes/index.html", "data/packages/scenes/unet"),
    "segbench predict models:/segbench-scenes@champion photos/ --out labelled": (
        "labelled/label_maps/a.png", "labelled/overlays/a.jpg", "labelled/summary.csv", "labelled/summary.json",
    ),
    "segbench show scenes/unet": (),
    "segbench predict scenes/unet clip.mp4 --out labelled_video": ("labelled_video/videos/clip.webm",),
    "segbench predict scenes/unet photos/ --out labelled_tiles --tile-px 512": ("labelled_tiles/summary.csv",),
    "segbench predict scenes/unet photos/ --out labelled_views --flip --view-scale 0.75 --view-scale 1 "
    "--view-scale 1.25": ("labelled_views/summary.csv",),
    "segbench export scenes/unet --to onnx --out unet.onnx": ("unet.onnx",),
    "segbench predict unet.onnx photos/ --out labelled_onnx": ("labelled_onnx/summary.csv",),
    "segbench export scenes/unet --to torch --out unet.pt2": ("unet.pt2",),
    "segbench search scenes/unet --param datasets.scenes.train.lr=0.0003:0.01:log --param models.unet.skips=true,false":
        ("data/search/scenes-unet.md",),
    "dvc repro": (),
    "dvc repro prepare augment external": (),
    "dvc repro --allow-missing": (),
    "dvc status": (),
    "dvc exp run -S datasets.scenes.train.epochs=20": (),
    "dvc metrics diff": (),
    "dvc metrics show reports/scenes/models/*/metrics.json --precision 3": (),
    "dvc plots show": ("dvc_plots/index.html",),
    "dvc exp show --drop '.*' --keep 'Experiment|train.epochs|scenes.unet'": (),
    "python -m pipeline.sweep --dataset scenes --out reports/scenes/sweep.md": ("reports/scenes/sweep.md",),
    "python -m pipeline.mend": (),
    "python -m pipeline.send_runs": (),
    "python -m pipeline.register": (),
}  # fmt: skip
"""Commands, and files that are there when their block has run."""

SHARED = "tests/pipeline/test_shared.py::test_the_third_makes_the_table_and_trains_nothing"
SERVER = "tests/pipeline/test_shared.py::test_the_runs_of_all_are_in_one_store_with_their_files"
CLUSTER = "tests/pipeline/test_cluster.py::test_the_tables_are_made_from_what_the_cluster_trained"
QUEUE = "tests/pipeline/test_queue.py::test_it_was_trained_once_in_one_run"
CVAT = "tests/docs/test_annotation_tools.py::test_cvat"
SERVED = "tests/packages/test_pyfunc.py::test_a_served_model_answers_with_a_label_map_and_shares"
ELSEWHERE = {
    **dict.fromkeys(("ln -s JPEGImages data/raw/mine/images", "ln -s SegmentationClass data/raw/mine/masks"), CVAT),
    "git rm --quiet dvc.lock src/dvc.lock": SHARED,
    "dvc remote add --default shared s3://BUCKET/segbench": SHARED,
    "dvc remote modify shared endpointurl https://ADDRESS": SHARED,
    "dvc repro augment": SHARED,
    "dvc push": SHARED,
    "git add .dvc/config dvc.lock src/dvc.lock reports": SHARED,
    'git commit --message "A shared cache"': SHARED,
    "git push": SHARED,
    "dvc repro --pull evaluate@scenes-unet evaluate@scenes-pspnet": SHARED,
    "dvc push --run-cache": SHARED,
    "dvc repro --pull": SHARED,
    'mlflow server --host 0.0.0.0 --allowed-hosts "SERVER:*" --artifacts-destination s3://BUCKET/mlflow '
    "--backend-store-uri postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE": SERVER,
    "export MLFLOW_TRACKING_URI=http://SERVER:5000": SERVER,
    "python -m pipeline.cluster --shared /shared/segbench --num-cpus 4 --num-gpus 1": CLUSTER,
    "dvc exp run --queue train@scenes-unet train@scenes-fcn_8s -S 'datasets.scenes.train.batch_size=4,8' "
    "-S 'train.weight_decay=0.01,0.1'": QUEUE,
    "dvc queue start": QUEUE,
    "export MLFLOW_TRACKING_URI=sqlite:///mlflow.db": SERVED,
    "mlflow models serve --model-uri models:/segbench-scenes@champion --env-manager local --port 5001": SERVED,
    "curl -s localhost:5001/invocations -H 'Content-Type: application/json' "
    '-d "{\\"dataframe_records\\": [{\\"image\\": \\"$(base64 -w0 photo.jpg)\\"}]}"': SERVED,
    "make ui": "tests/test_makefile.py::test_the_port_and_host_are_told_to_mlflow",
    "make clean": "tests/test_makefile.py::test_clean_spares_raw_data_and_reports",
}  # fmt: skip
"""Commands, and the test that runs the same with names of its own."""

INSTALLS = "it installs packages from the network; the tests have them installed"
TESTS = "it runs these tests, or faults under them, for minutes to hours"
MEASURES = "it measures, or trains, for minutes to hours; its report is in git"
SEVERAL_NODES = "it needs several machines under SLURM or torchrun"
NOT_HERE = {
    "git clone <address of this repository> segbench": "the address is the reader's",
    "cd segbench": "it follows the clone",
    "pip install dvc-s3": INSTALLS,
    "pip install psycopg2-binary boto3": INSTALLS,
    "ray start --head --port 6379": "test_cluster starts Ray's machines by its Python interface",
    "ray start --address FIRST:6379": "test_cluster starts Ray's machines by its Python interface",
    "srun --ntasks-per-node=4 --kill-on-bad-exit=1 python -m pipeline.train --dataset scenes --model unet ...":
        SEVERAL_NODES,
    "torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d --rdzv-endpoint=HOST:29500 -m pipeline.train ...":
        SEVERAL_NODES,
    **dict.fromkeys(("make test", "make test-slow", "make test-all", "make mutants", "make reliability"), TESTS),
    **dict.fromkeys(("make protocol", "make bench"), MEASURES),
    "make test-gpu": "it needs a GPU",
    "make readme": "it writes README.md and reports; test_readme does so in a copy",
    "make screenshot": "it writes reports, and needs a Chromium",
    "make lock": "it needs uv and the network",
    "make audit": "it needs the network; test_requirements says which locks it looks at",
}  # fmt: skip
"""Commands that cannot be run, and why. SCRIPTS has whole scripts."""
SCRIPTS = {("docs/machines.md", "SLURM"): "it needs SLURM; test_shared runs its three last commands"}

BLOCKS_RUN = [block for block in ALL_BLOCKS if set(block.commands) <= RUN.keys()]


def is_script(block: Block) -> bool:
    return block.text.startswith("#!")


def test_no_command_is_untested() -> None:
    known = RUN.keys() | ELSEWHERE.keys() | NOT_HERE.keys()
    unknown = [
        f"{block.page}, {block.heading}: {command}"
        for block in ALL_BLOCKS
        for command in block.commands
        if (command not in known if not is_script(block) else (block.page, block.heading) not in SCRIPTS)
    ]
    assert unknown == [], "run them in a test, and name them in a list of this module"


def test_the_lists_name_no_command_that_is_gone() -> None:
    shown = {command for block in ALL_BLOCKS if not is_script(block) for command in block.commands}
    assert (RUN.keys() | ELSEWHERE.keys() | NOT_HERE.keys()) - shown == set()
    assert RUN.keys() - {command for block in BLOCKS_RUN for command in block.commands} == set(), "in a block that runs"
    assert SCRIPTS.keys() == {(block.page, block.heading) for block in ALL_BLOCKS if is_script(block)}


@pytest.mark.parametrize("node", sorted(set(ELSEWHERE.values())))
def test_the_tests_that_run_commands_exist(node: str) -> None:
    file, _, name = node.partition("::")
    assert f"\ndef {name}(" in (PROJECT / file).read_text()


def uncommented(text: str) -> str:
    """params.yaml after its entry `mine` has lost the `# ` of each line, as the guide says."""
    lines = text.splitlines()
    place = lines.index("  # mine:")
    while lines[place].startswith("  # "):
        lines[place] = lines[place].replace("# ", "", 1)
        place += 1
    return "\n".join(lines)


def parameters_of_the_guide() -> dict[str, Any]:
    """Little to do on `scenes` and on a folder of the reader's own, with one network."""
    parameters: dict[str, Any] = yaml.safe_load(uncommented(PARAMS_FILE.read_text()))
    make_tiny(parameters)
    mine, scenes = parameters["datasets"]["mine"], parameters["datasets"]["scenes"]
    mine |= {"input": {"scale": 1.0, "crop_px": [64, 64], **WHOLE_IMAGES}, "copies": 1, "train": {"epochs": 1}}
    scenes["train"] = {"epochs": 1, "lr": 0.001}
    parameters["benchmark"] = {"datasets": ["mine", "scenes"], "models": ["unet"], "variants": []}
    return parameters


def write_images(root: Path) -> None:
    """data/raw/mine as the guide says, photos/ and clip.mp4."""
    rng, mine, photos = np.random.default_rng(0), root / "data/raw/mine", root / "photos"
    for folder in (mine / "images", mine / "masks", photos):
        folder.mkdir(parents=True)
    (mine / "classes.csv").write_text("name,value\nbackground,0\ncell,255\n")
    for name in "abcdefghij":
        noise, mask = Image.fromarray(rng.integers(0, 99, (64, 64), np.uint8)), Image.new("L", (64, 64))
        x, y = rng.integers(2, 30, 2).tolist()
        for drawn, level in ((noise, 180), (mask, 255)):
            ImageDraw.Draw(drawn).ellipse((x, y, x + 30, y + 30), fill=level)
        noise.save(mine / "images" / f"{name}.png")
        mask.save(mine / "masks" / f"{name}.png")
    video = cv2.VideoWriter(str(root / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (64, 48))
    for name in "ab":
        pixels = rng.integers(0, 256, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(photos / f"{name}.jpg")
        video.write(pixels)
    video.release()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in git with the reader's images, where `make setup` finds what it would install."""
    project = Project(tmp_path_factory.mktemp("guide"))
    root = project.root
    project.write(parameters_of_the_guide())
    write_images(root)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".gitignore"):
        shutil.copy(PROJECT / name, root / name)
    shutil.copytree(PROJECT / ".dvc/plots", root / ".dvc/plots")
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/activate").touch()
    (root / ".venv/.ready").write_text(f"{root.resolve()}\n")
    identity = {"GIT_AUTHOR_NAME": "a reader", "GIT_AUTHOR_EMAIL": "reader@example.org"}
    identity |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in identity.items()}
    project.environment |= {**identity, "PYTHONPATH": str(root / "src"), "XDG_CACHE_HOME": str(root / ".caches")}
    project.environment = {name: value for name, value in project.environment.items() if "MAKE" not in name}
    project.run("config", "--unset", "core.no_scm")
    project.run("init", "--quiet", program=("git",))
    commit(project)
    return project


def commit(project: Project) -> None:
    project.run("add", "--all", program=("git",))
    project.run("commit", "--quiet", "--allow-empty", "--message", "Up to here", program=("git",))


@pytest.mark.long
@pytest.mark.parametrize(
    "text", [pytest.param(text, id=text.splitlines()[0]) for text in dict.fromkeys(block.text for block in BLOCKS_RUN)]
)
def test_a_block_runs_as_it_stands(text: str, project: Project) -> None:
    output = project.run("-e", "-o", "pipefail", "-c", text, program=("bash",))
    assert "Traceback" not in output, output
    block = Block("", "", text)
    assert [name for command in block.commands for name in RUN[command] if not (project.root / name).exists()] == []
    commit(project)
