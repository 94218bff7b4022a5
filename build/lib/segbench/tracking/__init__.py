"""MLflow keeps the record of how results came to be. No result is ever read back from it.

There is one experiment per dataset and one run per training: `train` begins it, `evaluate` completes it. The audit of
the dataset by `prepare` has a run of its own. Above them all is the run of the benchmark, which `compare` completes; an
experiment of DVC has one of its own.
The store is mlflow.db in the project's root, or what MLFLOW_TRACKING_URI names.

No store can fail a stage: a run is written to a journal on disk first, and sent from there. What could not be sent
stays in data/tracking, and the next stage that sends takes it along.
"""

from segbench.tracking.load import machine_load as machine_load
from segbench.tracking.names import CURVES as CURVES
from segbench.tracking.names import SCORES as SCORES
from segbench.tracking.names import TOTAL_MINUTES as TOTAL_MINUTES
from segbench.tracking.names import resources as resources
from segbench.tracking.runs import FAILURE_TAG as FAILURE_TAG
from segbench.tracking.runs import Run as Run
from segbench.tracking.runs import benchmark_run as benchmark_run
from segbench.tracking.runs import evaluation_run as evaluation_run
from segbench.tracking.runs import flattened as flattened
from segbench.tracking.runs import has_begun as has_begun
from segbench.tracking.runs import known_run as known_run
from segbench.tracking.runs import search_run as search_run
from segbench.tracking.runs import training_run as training_run
from segbench.tracking.waiting import check_store as check_store
from segbench.tracking.waiting import send_waiting as send_waiting
