# What one can do here. `make run` and `make test` set everything up by themselves.
# Needs Python 3.11, 3.12 or 3.13 with pip; PYTHON=/path/to/python chooses one.
.DEFAULT_GOAL := help
.PHONY: help run ui erp test torture mutation lint bench bench-quick lock env clean

VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
READY := $(VENV)/.ready
COMPILE := pip compile --quiet --universal --generate-hashes --python-version 3.11
FIT := import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
JOBS ?= auto
PYTEST ?=

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

run: $(READY) ## the whole way on the sample, through Airflow: expense file in, reconciled journals out
	@$(PY) -m sandbox.demo

ui: $(READY) ## Airflow with its UI on an embedded PostgreSQL; Ctrl-C stops all of it
	@exec $(PY) -m sandbox.ui

erp: $(READY) ## the sample into a real Tryton, by staging table and by file; its trial balance against ours
	@$(PY) -m sandbox.tryout

test: $(READY) lint ## everything CI runs: lint, all tests, coverage bars, what a line costs
	$(PY) -m pytest -n $(JOBS) --dist loadgroup --cov --cov-report= $(PYTEST)
	$(PY) -m coverage report --skip-covered --fail-under=90
	$(PY) -m coverage report --skip-covered --fail-under=100 \
	  --include='etl/money.py,etl/mapping/*,etl/journal/*,etl/reversal.py,etl/reconcile/*'
	@$(PY) -W ignore -m bench.quick

SEEDS ?= 200
SECONDS ?= 90
torture: $(READY) ## kills at every step, races, spoiled lines, every interleaving; SEEDS=1000 SECONDS=600 does more
	TORTURE=all SEEDS=$(SEEDS) SECONDS=$(SECONDS) $(PY) -m pytest -n $(JOBS) --dist loadgroup tests/torture

MUTANTS ?=
MINUTES ?= 20
mutation: $(READY) ## do the tests notice a changed line? MINUTES=60; the next run goes on; MUTANTS='etl.journal*' does those anew
	@timeout --signal=INT $(MINUTES)m $(VENV)/bin/mutmut run --max-children 2 $(if $(MUTANTS),'$(MUTANTS)') || [ $$? -eq 124 ]
	@$(VENV)/bin/mutmut export-cicd-stats && cat mutants/mutmut-cicd-stats.json && $(VENV)/bin/mutmut results

lint: $(READY) ## ruff (also Airflow's own rules on the DAGs) and mypy --strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check --preview --select AIR dags plugins etl/airflow_tasks.py
	$(VENV)/bin/mypy etl validations

LINES ?= 1000000
RUNS ?= 5
bench: $(READY) ## claimpost, the limit and pandas in turn on 1,000,000 lines, into PostgreSQL; LINES=100000 RUNS=3
	$(PY) -W ignore -m bench --lines $(LINES) --runs $(RUNS)

bench-quick: $(READY) ## Python calls for each line against the committed baseline; fails 15 % above it
	@$(PY) -W ignore -m bench.quick

lock: $(READY) ## make the lock files again from setup.cfg
	printf 'setuptools\nuv\n' | $(UV) $(COMPILE) --no-header - -o bootstrap.lock
	$(UV) $(COMPILE) --extra airflow --extra objects --extra test --extra docs setup.cfg -o requirements.lock
	printf 'trytond>=8.2,<8.3\ntrytond-account>=8.2,<8.3\n' | $(UV) $(COMPILE) --no-header - -o sandbox/tryton/requirements.lock

env: $(READY) ## write .env for `docker compose up`: fresh secrets and keys
	@$(PY) deploy/make_env.py

clean: ## remove the environment, caches and everything the runs made
	rm -rf $(VENV) mutants .claimpost .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache claimpost.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment: uv by pip, the rest by uv, every file of it by its hash; then this package, editable.
# venv without pip, because some systems split ensurepip off; pip then installs from outside (--python).
$(READY): requirements.lock bootstrap.lock setup.cfg pyproject.toml
	@python=; for p in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
	  [ -n "$$p" ] && "$$p" -c '$(FIT)' 2>/dev/null && python=$$p && break; done; \
	[ -n "$$python" ] || { echo 'claimpost needs Python 3.11, 3.12 or 3.13 with pip; set PYTHON=/path/to/python'; exit 3; }; \
	[ -x $(PY) ] || { echo "Setting up $(VENV) (once; a minute or two)"; "$$python" -m venv --without-pip $(VENV); } && \
	"$$python" -m pip --python $(PY) install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock
	@$(UV) pip sync --quiet --compile-bytecode --python $(PY) --require-hashes bootstrap.lock requirements.lock
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@
