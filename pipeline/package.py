"""Weights, the CRF's parameters and scores -> one folder per model that carries all it needs to label images."""

import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import segbench
from pipeline.command import run
from pipeline.register import register
from segbench import params
from segbench.datasets.catalog import image_licence
from segbench.datasets.prepared import Prepared
from segbench.files import read_csv, read_json, replacing
from segbench.machine import package_versions
from segbench.models.weights import restore_network, weights_name
from segbench.packages import pyfunc
from segbench.packages.card import FORMAT, Card
from segbench.packages.model import write_package
from segbench.report.table.failures import failure_of
from segbench.scoring.metrics import SHORT_NAMES
from segbench.tracking.models import write_pyfunc

REQUIRED = (
    "mlflow", "numba", "numpy", "opencv-python-headless", "pandas", "pillow", "pydantic", "pyyaml", "safetensors",
    "timm", "torch", "torchvision", "tqdm",
)  # fmt: skip
"""What a packaged model imports."""


def main(*, dataset: str, prepared: Path, weights: Path, results: Path, table: Path, champion: Path, out: Path) -> None:
    """Package each model of a dataset with the weights of the seed that was best on validation images.

    All in one process, since the import of MLflow takes longer than the packages. `out` gets a folder per model.
    """
    parameters = params.load()
    data = Prepared.open(prepared)
    requirements = [f"{name}=={version(name)}" for name in REQUIRED]
    scores, chosen = read_csv(table), read_json(champion)
    validated = {each["model"]: each for each in chosen["candidates"]}
    sizes = Counter((row.width_px, row.height_px) for row in data.split("train"))
    example = (prepared / "test" / "images" / f"{data.split('test')[0].name}.png").read_bytes()
    with replacing(out) as folder, tempfile.TemporaryDirectory() as temporary:
        folder.mkdir()
        for model in parameters.benchmark.models:
            training = read_json(results / model / "training.json")
            if failure_of(training):
                continue
            seed = validated.get(model, training["trainings"][0])["seed"]
            file = weights / model / weights_name(seed)
            if not file.exists():  # in a clone that has reports of models, which were trained elsewhere
                print(f"{model} is not packaged: {file} is not here; train the model, or dvc pull", file=sys.stderr)
                continue
            (trained,) = (each for each in training["trainings"] if each["seed"] == seed)
            section, backbone = parameters.model_for(dataset, model), parameters.backbone_for(model)
            seen = parameters.dataset(dataset).input
            card = Card(
                format=FORMAT, dataset=dataset, model=model, seed=seed, architecture=section, backbone=backbone.name,
                scale=seen.scale, tile_px=read_json(results / model / "prediction.json").get("tile_px"),
                flip=seen.test_time.flip, scales=tuple(seen.test_time.scales),
                image_px=sizes.most_common(1)[0][0],
                class_names=data.classes.names, class_colors=data.classes.colors,
                crf=read_json(results / model / "crf.json")["chosen"],
                bits=getattr(parameters.dataset(dataset).source, "bits", 8), weights_digest="",
                scores={
                    "validation": {chosen["rule"]["score"]: validated[model]["score"]} if model in validated else {},
                    "test": _test_scores(scores, model),
                },
                image_licence=image_licence(parameters.dataset(dataset).source),
                origin={
                    "commit": trained["commit"], "training_key": trained["training_key"],
                    "dataset_fingerprint": data.fingerprint, "machine": ", then ".join(training["machines"]),
                    "versions": package_versions(),
                },
            )  # fmt: skip
            network = restore_network(section, backbone=backbone, num_classes=len(data.classes), path=file)
            package = Path(temporary) / model / "model"
            package.mkdir(parents=True)
            write_package(package, network, card)
            write_pyfunc(
                folder / model, package=package, loader=pyfunc.__name__, source=Path(segbench.__file__).parent,
                requirements=requirements, image=example,
            )  # fmt: skip
    register(dataset, packages=out, chosen=chosen)


def _test_scores(table: pd.DataFrame, model: str) -> dict[str, Any]:
    """By CRF off and on, each score with its interval."""
    found = {}
    for row in table[table["model"] == model].to_dict("records"):
        scores = {name: [row[name], row[f"{name}_low"], row[f"{name}_high"]] for name in SHORT_NAMES}
        found[f"crf_{row['crf']}"] = scores
    return found


if __name__ == "__main__":
    run(main)
