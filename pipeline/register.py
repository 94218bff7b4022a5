"""Packages of models -> MLflow: logged to the runs that trained them, the champion registered.

Not a stage: `package` does it at its end, and `python -m pipeline.register` where that failed or packages were pulled.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench import params
from segbench.errors import InputError
from segbench.files import file_digest, read_json
from segbench.packages.card import CARD, IN_MLFLOW, Card
from segbench.tracking.models import ToLog, log_models


def register(dataset: str, *, packages: Path, chosen: Mapping[str, Any]) -> bool:
    """Log a dataset's packages, and give the alias `champion` to the chosen one. chosen: what champion.json holds.

    A warning, and False, if the store fails.
    """
    champion = chosen["champion"] or {}
    models = []
    for folder in sorted(path for path in packages.iterdir() if path.is_dir()):
        card = Card.read(folder / IN_MLFLOW)
        digest = file_digest(folder / IN_MLFLOW / CARD)
        models.append(ToLog(card.model, folder, digest, str(card.origin["training_key"])))
    if champion and champion["model"] not in {model.model for model in models}:
        print(f"{champion['model']} is the champion, but not packaged here: none is registered", file=sys.stderr)
    tags = {
        f"validation_{chosen['rule']['score']}": f"{champion.get('score', 0):.4f}",
        "crf": "on" if champion.get("crf") else "off",
        "rule": json.dumps(chosen["rule"]),
        "report": f"reports/{dataset}/index.html",
    }
    return log_models(dataset, models, champion=champion.get("model"), tags=tags)


def main() -> None:
    """Register what `dvc repro` has packaged."""
    done = True
    for dataset in params.load().benchmark.datasets:
        packages, chosen = Path("data/packages") / dataset, read_json(Path("reports") / dataset / "champion.json")
        if not packages.is_dir():
            raise InputError(f"{packages}: no such folder; run dvc repro, or dvc pull")
        done = register(dataset, packages=packages, chosen=chosen) and done
        name = chosen["champion"]["model"] if chosen["champion"] else "no model"
        if done:
            print(f"models:/segbench-{dataset}@champion is {name}")
    if not done:
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
