"""The environment in which MLflow is imported."""

import os

SETTINGS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # it would log tracebacks of what we tell in one line
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",  # a connection that is kept would write to a file that was removed
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Unless the user has others."""
FOREIGN = (
    "MLFLOW_ACTIVE_MODEL_ID", "MLFLOW_ENABLE_ASYNC_LOGGING", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_RUN_CONTEXT", "MLFLOW_RUN_ID",
)  # fmt: skip
"""A user's shell may have these for other programs."""


def set_environment() -> None:
    """Before the first import of MLflow, which reads some of them once."""
    for variable in FOREIGN:
        os.environ.pop(variable, None)
    os.environ.update({**SETTINGS, **os.environ})
