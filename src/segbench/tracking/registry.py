"""Logged models and the registry of an MLflow store."""

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from segbench.tracking.models import PACKAGE_TAG, ToLog, name_of
from segbench.tracking.sending import KEY_TAG


class Registry:
    """Of one dataset. What fails raises MlflowException."""

    def __init__(self, uri: str, dataset: str) -> None:
        self._client = MlflowClient(uri)
        self.name = name_of(dataset)
        experiment = self._client.get_experiment_by_name(dataset)
        self._experiment_id = str(experiment.experiment_id) if experiment else self._client.create_experiment(dataset)

    def log(self, model: ToLog) -> LoggedModel:
        """The package as a model of its training's run, logged unless it is there."""
        there = self._client.search_logged_models(
            [self._experiment_id], f"tags.`{PACKAGE_TAG}` = '{model.digest}'", max_results=1
        )
        if there and there[0].status == LoggedModelStatus.READY:
            return there[0]
        run_id = self._run_of(model.key)
        logged = self._client.create_logged_model(
            self._experiment_id, name=model.model, source_run_id=run_id, tags={PACKAGE_TAG: model.digest}
        )
        self._client.log_model_artifacts(logged.model_id, str(model.folder))
        if run_id:
            self._client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)

    def promote(self, logged: LoggedModel, model: ToLog, *, alias: str, tags: Mapping[str, str]) -> None:
        """Give the alias to the model's version, which is registered unless it is there. Older versions stay.

        tags: of the version; those of one that is there are brought up to date.
        """
        for version in self._versions():
            if version.tags.get(PACKAGE_TAG) == model.digest:
                for name, value in tags.items():
                    if version.tags.get(name) != value:
                        self._client.set_model_version_tag(self.name, version.version, name, value)
                break
        else:
            version = self._client.create_model_version(
                self.name, source=f"models:/{logged.model_id}", run_id=logged.source_run_id,
                model_id=logged.model_id, tags={PACKAGE_TAG: model.digest, **tags},
            )  # fmt: skip
        self._client.set_registered_model_alias(self.name, alias, version.version)

    def demote(self, *, alias: str) -> None:
        """Take the alias from the version that has it, if any. The version stays."""
        try:
            self._client.delete_registered_model_alias(self.name, alias)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _versions(self) -> list[ModelVersion]:
        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return list(self._client.search_model_versions(f"name = '{self.name}'"))

    def _run_of(self, key: str) -> str | None:
        runs = self._client.search_runs(
            [self._experiment_id], f"tags.`{KEY_TAG}` = '{key}'", order_by=["attributes.start_time DESC"], max_results=1
        )
        return str(runs[0].info.run_id) if runs else None
