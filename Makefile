# Each target sets up what it needs; a second call does no work that is already done.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
READY_TO_TEST := $(VENV)/.ready-to-test
INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

.PHONY: help setup reproduce test mutants bench protocol ui readme clean

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): several minutes, up to 8 GB."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	@touch $@

$(READY_TO_TEST): $(READY)
	$(INSTALL) '.[dev]'
	@touch $@

setup: $(READY) ## make .venv with what the pipeline needs

reproduce: $(READY) ## run the pipeline, print the benchmark table; JOBS=2: so many models at a time
	@$(IN_VENV) python -m pipeline.reproduce $(if $(JOBS),--jobs $(JOBS))

test: $(READY_TO_TEST) ## lint, check types, run the tests
	$(IN_VENV) ruff check
	$(IN_VENV) ruff format --check
	$(IN_VENV) mypy
	$(IN_VENV) lint-imports --no-cache
	$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --dist loadscope

mutants: $(READY_TO_TEST) ## plant faults in the code, and see a test fail for each
	$(IN_VENV) python -m tests.mutants

bench: $(READY_TO_TEST) ## measure the speeds that the project promises, into reports/benchmarks
	mkdir -p reports/benchmarks
	for report in crf.md inference.md loader.md memory.md prepare.md statistics.md training.md whole.md; do \
		$(IN_VENV) python -m benchmarks.$${report%.*} > reports/benchmarks/$$report || exit 1; \
		cat reports/benchmarks/$$report; \
	done

protocol: $(READY_TO_TEST) ## after reproduce, train with other choices of the protocol, and longer; an hour or two
	for what in choices longer; do \
		$(IN_VENV) python -m benchmarks.protocol $$what > reports/benchmarks/$$what.md || exit 1; \
	done

ui: $(READY) ## browse the runs in MLflow
	@echo "When it has started, open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
	$(IN_VENV) MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
		mlflow ui --workers 1 --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

readme: $(READY_TO_TEST) ## bring the README's table and picture up to date; needs a Chromium
	$(IN_VENV) python -m pipeline.readme --dataset camvid --readme README.md
	$(IN_VENV) python -m pipeline.screenshot camvid

clean: ## remove .venv and all that the pipeline and the tools made, but not reports and raw data
	rm -rf $(VENV) mlflow.db* mlartifacts .dvc/cache .dvc/tmp .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf $(addprefix data/,sources prepared augmented weights predictions refined external checkpoints)
	find data -mindepth 1 -maxdepth 1 -name '.*.partial' -exec rm -rf {} + # left by a killed stage
