# Each target sets up what it needs; a second call does no work that is already done.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
READY_TO_TEST := $(VENV)/.ready-to-test
PORT ?= 5000
HOST ?= 127.0.0.1
INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile
COMPILE = $(VENV)/bin/python -m compileall -qq -j 0 $(VENV)/lib || true # on all cores, where pip would use one
LOCKED = $(INSTALL) --require-hashes -r
LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --quiet \
	--custom-compile-command 'make lock'
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(shell id -un >/dev/null 2>&1 || echo 'LOGNAME="$${LOGNAME:-user}"') \
	$(shell [ -w /var/tmp ] || echo 'DVC_SITE_CACHE_DIR="$(CURDIR)/.dvc/tmp/site"')
# DVC asks for the user's name, which a container may not have, and writes to /var/tmp.

PYTEST = $(IN_VENV) OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --dist loadscope

.PHONY: help setup scm reproduce test test-slow test-all test-gpu mutants reliability bench bench-gpu protocol ui readme screenshot lock audit clean

# A folder that was moved or copied: its .venv would run the sources where they were.
MADE_AT := $(shell cat $(READY) 2>/dev/null)
ifneq ($(MADE_AT),)
ifneq ($(MADE_AT),$(CURDIR))
ANEW := --clear
.PHONY: $(READY)
endif
endif

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || { \
		echo "error: $(PYTHON) is missing, without venv, or not Python 3.11 to 3.14; name one: make PYTHON=python3.13"; \
		exit 1; }
	@echo "Installing into $(VENV): several minutes, up to 8 GB."
	$(PYTHON) -m venv $(ANEW) $(VENV)
	$(LOCKED) requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@$(COMPILE)
	@pwd -P > $@

$(READY_TO_TEST): $(READY) requirements-dev.lock
	$(LOCKED) requirements-dev.lock
	@$(COMPILE)
	@touch $@

setup: $(READY) scm ## make .venv with what the pipeline needs

scm: $(READY) # sources without git, as from a ZIP file: DVC is told so
	@folder=$$(pwd -P); until [ -z "$$folder" ] || [ -e "$$folder/.git" ]; do folder=$${folder%/*}; done; \
		[ -n "$$folder" ] || $(IN_VENV) dvc config --quiet --local core.no_scm true

reproduce: $(READY) scm ## run the pipeline, print the benchmark table; JOBS=2: so many models at a time
	@$(IN_VENV) python -m pipeline.reproduce $(if $(JOBS),--jobs $(JOBS))

test: $(READY_TO_TEST) ## lint, check types, run the tests but the slow ones
	$(IN_VENV) ruff check
	$(IN_VENV) ruff check --preview --select PLW1514 src pipeline benchmarks # files are opened with their encoding
	$(IN_VENV) ruff format --check
	$(IN_VENV) mypy
	$(IN_VENV) lint-imports --no-cache
	$(PYTEST) -m "not slow and not long"

SLOW_FIRST = --no-loadscope-reorder tests/pipeline tests
# The longest are handed out first, so that none is left for last.

test-slow: $(READY_TO_TEST) ## run the slow tests: a pipeline, kills, exports
	$(PYTEST) -m "slow and not long" $(SLOW_FIRST)

test-all: test ## run all tests: those of a cluster, of shared stores and of the whole guide too
	$(PYTEST) -m "slow or long" $(SLOW_FIRST)

test-gpu: $(READY_TO_TEST) ## run the tests that need a GPU: training, continuing, predictions, the CRF
	$(IN_VENV) python -m pytest -m cuda

mutants: $(READY_TO_TEST) ## plant faults in the code, and see a test fail for each
	$(IN_VENV) python -m tests.mutants

reliability: $(READY_TO_TEST) ## kill stages and plant faults in a copy, see that results stay, write reports/reliability.md
	$(IN_VENV) python -m tests.campaign

bench: $(READY_TO_TEST) ## measure the speeds that the project promises, into reports/benchmarks
	$(LOCKED) requirements-peers.lock
	mkdir -p reports/benchmarks
	for report in crf.md inference.md large.md large_image.md loader.md memory.md prepare.md statistics.md training.md views.md whole.md; do \
		$(IN_VENV) python -m benchmarks.$${report%.*} > reports/benchmarks/$$report || exit 1; \
		cat reports/benchmarks/$$report; \
	done
	$(IN_VENV) python -m benchmarks.whole --avx2-only > reports/benchmarks/whole_avx2.md
	$(IN_VENV) ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python -m benchmarks.training --precision float32 \
		> reports/benchmarks/training_avx2.md

bench-gpu: $(READY_TO_TEST) ## measure all networks on a GPU within minutes, into reports/benchmarks/gpu.md
	@mkdir -p reports/benchmarks
	$(IN_VENV) python -m benchmarks.gpu > reports/benchmarks/gpu.md
	@cat reports/benchmarks/gpu.md

protocol: $(READY_TO_TEST) ## after reproduce, train with other choices of the protocol, and longer; an hour or two
	for what in choices longer search; do \
		$(IN_VENV) python -m benchmarks.protocol $$what > reports/benchmarks/$$what.md || exit 1; \
	done

ui: $(READY) ## browse the runs in MLflow; PORT=5001 for another port
	@case "$$MLFLOW_TRACKING_URI" in http*) \
		echo "error: MLFLOW_TRACKING_URI names a server, which shows its runs itself: open that address in a browser"; \
		exit 1;; esac
	@$(VENV)/bin/python -c 'import socket, sys; socket.create_server((sys.argv[1], int(sys.argv[2])))' \
		"$(HOST)" "$(PORT)" 2>/dev/null || { \
		echo "error: port $(PORT) of $(HOST) is taken or cannot be used; choose another: make ui PORT=5001"; exit 1; }
	@$(IN_VENV) python -m pipeline.send_runs || true
	@echo "When it has started, open http://$(HOST):$(PORT)/#/experiments?workflowType=machine_learning"
	@echo "In an experiment, choose Views > Scores, best first; the second icon above the table shows charts"
	$(IN_VENV) MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
		mlflow ui --workers 1 --host "$(HOST)" --port "$(PORT)" \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

readme: $(READY_TO_TEST) ## bring README's picture, answers and table up to date, and the page's picture; needs a Chromium
	$(IN_VENV) python -m pipeline.readme --dataset camvid --readme README.md
	$(IN_VENV) python -m pipeline.screenshot camvid

screenshot: $(READY_TO_TEST) ## after reproduce, pictures of the page and of MLflow's pages; needs a Chromium
	$(IN_VENV) python -m pipeline.screenshot scenes

lock: ## bring requirements*.lock up to date with pyproject.toml; needs uv, on the PATH, which only resolves
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	printf '%s\n' openvino openvino-telemetry pydensecrf2==1.1 | $(LOCK) --no-deps - -o requirements-peers.lock
	echo pip-audit | $(LOCK) - -o requirements-audit.lock

AUDIT = $(VENV)-audit/bin/python -m pip_audit --strict --disable-pip --require-hashes --progress-spinner off $(WITH)

audit: ## look all locked packages up in PyPI's advisories; needs the network; WITH='-s osv' asks another service
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.lock
	$(AUDIT) -r requirements-dev.lock # all of requirements.lock is in it
	$(AUDIT) -r requirements-peers.lock
	$(AUDIT) -r requirements-audit.lock

clean: ## remove .venv and all that the pipeline and the tools made, but not reports and raw data
	rm -rf $(VENV) $(VENV)-audit mlflow.db* .mlflow.db.* mlartifacts .dvc/cache .dvc/tmp .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf $(addprefix data/,sources prepared augmented weights records predictions refined external packages checkpoints tracking)
	find data -mindepth 1 -maxdepth 1 -name '.*.partial' -exec rm -rf {} + # left by a killed stage
