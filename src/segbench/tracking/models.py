"""Packaged models in MLflow's format, logged to the runs that trained them, and the registry.

What fails here fails no stage: packages lie in data/packages, and `python -m pipeline.register` tries again.
"""

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from segbench.errors import InputError
from segbench.tracking.environment import set_environment
from segbench.tracking.location import follow_the_project, problem, shown, sqlite_path, store_uri
from segbench.tracking.trouble import warn
from segbench.tracking.waiting import send_waiting

ALIAS = "champion"
PACKAGE_TAG = "segbench.package"
"""Of a logged model and a registered version: the digest of its card."""
CHAMPION = """
SELECT tags.value FROM registered_model_aliases AS aliases JOIN model_version_tags AS tags
ON tags.name = aliases.name AND tags.version = aliases.version WHERE aliases.name = ? AND aliases.alias = ? AND key = ?
"""
NO_TIME = "1970-01-01 00:00:00"
"""Instead of the time of writing, so that the same model is the same files."""
LATER = "the packages lie in data/packages; when that is mended, python -m pipeline.register logs them"


@dataclass(frozen=True)
class ToLog:
    """A packaged model for MLflow. folder: in MLflow's format; digest: of its card; key: of its training."""

    model: str
    folder: Path
    digest: str
    key: str


def write_pyfunc(
    folder: Path, *, package: Path, loader: str, source: Path, requirements: Sequence[str], image: bytes
) -> None:
    """Write a package as an MLflow model with a copy of segbench, so that it loads without the project.

    package: a folder called `model`; loader: the module that opens it; source: the folder of segbench. requirements:
    exact, as pip has them. image: an example of what the model labels, as a file's bytes.
    """
    set_environment()
    import pandas as pd
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Map, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema([ColSpec(DataType.string, "label_map"), ColSpec(Map(DataType.double), "shares")]),
        params=ParamSchema([ParamSpec("crf", DataType.boolean, default=True)]),
    )
    pyfunc.save_model(
        folder, loader_module=loader, data_path=package, code_paths=[source], signature=signature,
        input_example=pd.DataFrame({"image": [image]}), pip_requirements=list(requirements),
        mlflow_model=Model(utc_time_created=NO_TIME, model_uuid=None),
    )  # fmt: skip


def log_models(dataset: str, models: Sequence[ToLog], *, champion: str | None, tags: Mapping[str, str]) -> bool:
    """Log packages to the runs that trained them, and register the champion as segbench-DATASET, alias `champion`.

    What is there already is not logged again. champion: None if no model is; the alias is then taken away. tags: of the
    registered version. A warning, and False, if that fails.
    """
    uri = store_uri()
    if what := problem(uri):
        warn(f"{shown(uri)}: {what}; {LATER}")
        return False
    follow_the_project()
    if not send_waiting():  # a model is logged to a run, which comes first
        return False
    try:
        set_environment()
        from segbench.tracking.registry import Registry  # MLflow takes seconds to import

        registry = Registry(uri, dataset)
        for model in models:
            logged = registry.log(model)
            if model.model == champion:
                registry.promote(logged, model, alias=ALIAS, tags=tags)
        if champion is None:
            registry.demote(alias=ALIAS)
    except Exception as error:  # of whatever library: the packages are made
        warn(f"{shown(uri)}: {(str(error).strip() or type(error).__name__).splitlines()[0]}; {LATER}")
        return False
    return True


def registered_champion(dataset: str) -> str:
    """The digest of the champion's card; empty if there is none, or if only MLflow itself could tell."""
    path = sqlite_path(store_uri())
    if path is None or not path.exists():
        return ""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as store:
        found = store.execute(CHAMPION, (name_of(dataset), ALIAS, PACKAGE_TAG)).fetchone()
        return str(found[0]) if found else ""
    return ""


def name_of(dataset: str) -> str:
    """The name of a dataset's registered model."""
    return f"segbench-{dataset}"


@contextmanager
def fetched(uri: str) -> Iterator[Path]:
    """A folder with the model that `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/RUN/NAME` names.

    InputError if the store has none, or fails.
    """
    where = store_uri()
    path = sqlite_path(where)
    if what := "no such file" if path is not None and not path.exists() else problem(where):
        raise InputError(f"{uri}: not in the MLflow store {shown(where)}: {what}")
    follow_the_project()
    set_environment()
    from mlflow import artifacts

    with tempfile.TemporaryDirectory(prefix="segbench-") as folder:
        try:
            found = artifacts.download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=where)
        except Exception as error:  # of whatever library
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{uri}: not in the MLflow store {shown(where)}: {reason}") from None
        yield Path(found)
