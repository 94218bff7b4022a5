"""The commands of `segbench`. Heavy imports come when a command runs, so that its help comes at once."""

import glob
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segbench.cli import app
from segbench.errors import InputError

MODEL_HELP = (
    "a packaged model's folder; DATASET/MODEL of this project, such as scenes/unet; or an address in MLflow: "
    "models:/segbench-scenes@champion, models:/NAME/VERSION, runs:/RUN/MODEL; or a file of `segbench export`, x.onnx"
)
Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)]
PACKAGES = Path("data/packages")


class Format(StrEnum):
    """What networks are exported to."""

    onnx = "onnx"
    torch = "torch"


class Engine(StrEnum):
    """What computes networks."""

    auto = "auto"
    torch = "torch"
    onnx = "onnx"


SUFFIX_OF = {Format.onnx: ".onnx", Format.torch: ".pt2"}
SOME_FAILED = 3
"""The exit code if some images were left out."""


@app.command()
def predict(
    model: Model,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="images, videos, folders of images, or patterns such as 'shots/*.jpg'"),
    ],
    out: Annotated[Path, typer.Option(help="folder for the results; made if it is missing")],
    crf: Annotated[
        bool, typer.Option("--crf/--no-crf", help="refine with the CRF, if one was better on validation images")
    ] = True,
    overlays: Annotated[
        bool, typer.Option("--overlays/--no-overlays", help="also write images under the classes' colours")
    ] = True,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="also write the network's probabilities, as NumPy arrays (classes, height, width)"
        ),
    ] = False,
    tile_px: Annotated[
        int | None,
        typer.Option(
            help="label by overlapping tiles of this side, a multiple of 32, in little memory; images of more than 4 "
            "million pixels always are, by tiles of 768",
            show_default=False,
        ),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="also see each image mirrored, and average", show_default=False),
    ] = None,
    view_scale: Annotated[
        list[float] | None,
        typer.Option(help="see each image at this scale, and average over all that are named", show_default=False),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=16,
            help="how many bits images of 16 bits use; without it, as the training images did",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="what computes the network; auto: with hundreds of images and a network that ONNX Runtime may compute "
            "faster on a CPU, the faster one of the two, after timing them; else PyTorch"
        ),
    ] = Engine.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace results that are there already")] = False,
) -> None:
    """Label images and videos.

    Writes label maps (indexed PNG files), overlays with a legend, and summary.csv and summary.json with the share of
    each class per image. A file that cannot be read is named and left out; the exit code is then 3.
    """
    from segbench.cli.engines import with_engine
    from segbench.cli.images import Wanted, find_inputs, label_images, write_summary
    from segbench.cli.videos import count_frames, is_video, label_video, video_targets
    from segbench.packages.model import ONNX, PackagedModel

    paths = _named(inputs)
    videos = [path for path in paths if path.is_file() and is_video(path)]
    images = find_inputs((path for path in paths if path not in videos), out=out)
    wanted = Wanted(crf=crf, overlays=overlays, probabilities=probabilities, bits=bits, overwrite=overwrite)
    targets = video_targets(videos, out=out)
    there = [target for target in targets.values() if target.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]}: there already; name another folder, or say --overwrite")
    _check_views(tile_px, view_scale or [])
    with located(model) as where:
        packaged = PackagedModel.open(where, tile_px=tile_px, flip=flip, scales=view_scale or ())
        if where.suffix == ONNX and (tile_px or flip or view_scale):
            raise InputError(f"{model}: an ONNX file sees whole images once; leave --tile-px and views to its package")
        num_images = len(images) + sum(map(count_frames, videos))
        packaged = with_engine(packaged, where, engine, num_images=num_images)
        outcome = label_images(packaged, images, out, wanted)
        rows, failed = list(outcome.rows), list(outcome.failed)
        for path, target in targets.items():
            try:
                row = label_video(packaged, path, target, crf=crf)
            except InputError as error:
                failed.append(str(error))
                print(f"left out: {error}", file=sys.stderr)
                continue
            rows.append(row)
            print(f"{target}: {1000 / row.latency_ms:.1f} frames per second were labelled")
        write_summary(out, rows, packaged.card.classes)
    print(f"{len(rows)} labelled, in {out}")
    if failed:
        print(f"{len(failed)} left out, as said above", file=sys.stderr)
        raise typer.Exit(SOME_FAILED)


@app.command()
def show(model: Model) -> None:
    """Tell what a packaged model is: its network, classes, scores, origin, and the licence of its images."""
    from segbench.packages.card import Card
    from segbench.packages.model import ONNX, PackagedModel, package_folder

    with located(model) as where:
        card = PackagedModel.open(where).card if where.suffix == ONNX else Card.read(package_folder(where))
    print(json.dumps(card.model_dump(mode="json"), indent=2))


@app.command()
def export(
    model: Model,
    to: Annotated[Format, typer.Option(help="onnx: for ONNX Runtime and others; torch: a program of torch.export")],
    out: Annotated[Path, typer.Option(help="the file to write, such as unet.onnx or unet.pt2")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a file that is there already")] = False,
) -> None:
    """Export a network to a file that other programs run, for images of every size, and compare the two.

    Input: `images`, (N, 3, H, W) float32 RGB in 0..1, resized by the card's `scale` first; output: `logits`, of the
    input's size. The file has the card in its metadata, and `segbench predict FILE.onnx` labels images with it.
    """
    from segbench.cli.images import check_writable
    from segbench.packages.card import Card
    from segbench.packages.model import ONNX, export_package, open_network, package_folder
    from segbench.prediction.export import check_parity

    suffix = SUFFIX_OF[to]
    if out.suffix != suffix:
        raise InputError(f"{out}: the name of a file for {to.value} must end in {suffix}")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: there already; name another file, or say --overwrite")
    with located(model) as folder:
        if folder.suffix == ONNX:
            raise InputError(f"{model}: exported already; name the model that it was made from, such as scenes/unet")
        package = package_folder(folder)
        card = Card.read(package)
        check_writable(out.parent)
        network = open_network(package, card)
    export_package(network, card, path=out)
    for found in check_parity(network, out):
        print(found)
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")


class Pruner(StrEnum):
    """How a search stops trials that are behind the others."""

    median = "median"
    hyperband = "hyperband"
    none = "none"


@app.command()
def search(
    target: Annotated[str, typer.Argument(metavar="DATASET/MODEL", help="such as scenes/unet", show_default=False)],
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="what to change in params.yaml: train.lr=0.001:0.1:log, a range, of whole numbers if both ends are; "
            "or models.unet.skips=true,false, choices; repeat it for more",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="how many in all, those of earlier calls counted in")] = 20,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="of each trial; without it, as params.yaml says", show_default=False)
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="trials at a time, in processes of their own")] = 1,
    name: Annotated[str, typer.Option(help="of the search; DATASET-MODEL without it", show_default=False)] = "",
    storage: Annotated[
        str,
        typer.Option(
            help="a database that several machines reach, such as postgresql://USER@HOST/DB; without it, "
            "data/search/NAME.db",
            show_default=False,
        ),
    ] = "",
    pruner: Annotated[Pruner, typer.Option(help="stops trials whose validation scores are behind")] = Pruner.median,
    seed: Annotated[int, typer.Option(min=0, help="of the values that are drawn")] = 0,
) -> None:
    """Search for a model's best parameters on the validation images.

    Run it in the project's folder. It trains on the samples that `dvc repro` has made, and looks at no test image. The
    same command continues a search that was stopped; with the same --name and --storage, several processes and
    machines join one. Ends with lines for params.yaml, and a page, data/search/NAME.md.
    """
    from segbench.search.report import write_report
    from segbench.search.trials import Search, run_side_by_side

    wanted = Search.checked(
        target, param or [], name=name, epochs=epochs, pruner=pruner.value, seed=seed, storage=storage
    )
    run_side_by_side(wanted, most=trials, jobs=jobs)
    print(write_report(wanted))


def _check_views(tile_px: int | None, scales: list[float]) -> None:
    if tile_px is not None and (tile_px < 64 or tile_px % 32):
        raise InputError(f"--tile-px is {tile_px}; it must be a multiple of 32, and at least 64")
    for scale in scales:
        if not 0.25 <= scale <= 4:
            raise InputError(f"--view-scale is {scale:g}; it must be 0.25 to 4")


@contextmanager
def located(model: str) -> Iterator[Path]:
    """A folder, or an ONNX file, with the model that people name; what comes from MLflow is removed at the end.

    InputError if there is none.
    """
    if model.startswith(("models:/", "runs:/")):
        from segbench.tracking.models import fetched

        with fetched(model) as folder:
            yield folder
        return
    folder = Path(model)
    if folder.suffix == ".onnx" and folder.is_file():
        yield folder
        return
    in_project = PACKAGES / model
    if not folder.is_dir() and in_project.is_dir():
        folder = in_project
    if not folder.is_dir():
        known = sorted(str(path.relative_to(PACKAGES)) for path in PACKAGES.glob("*/*") if path.is_dir())
        there = f"; packaged here: {', '.join(known)}" if known else "; `dvc repro` packages models"
        raise InputError(f"{model}: no such folder, and no packaged model of this project{there}")
    yield folder


def _named(inputs: list[str]) -> list[Path]:
    """Paths, with patterns replaced by what they match. InputError for one that matches nothing."""
    found: list[Path] = []
    for text in inputs:
        if Path(text).exists() or not glob.has_magic(text):
            found.append(Path(text))
            continue
        matches = sorted(map(Path, glob.glob(text, recursive=True)))  # noqa: PTH207 -- absolute patterns too
        if not matches:
            raise InputError(f"{text}: the pattern matches no file")
        found += matches
    return list(dict.fromkeys(found))
