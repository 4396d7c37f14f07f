# Everything a developer or a first-time user runs. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := common gateway identity draft-service storage-service metadata-service cleaner standalone
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINNED := $(PIP) install --constraint requirements.lock
SOURCES := $(PACKAGES) tests docs bench
DATA_DIR := $(or $(DRAFTSTORE_DATA_DIR),.draftstore)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  HTTP_PORT=8081 make up            another port for the gateway"
	@echo "  DRAFTSTORE_PORT_BASE=21000 make up  ten fixed ports for everything else"
	@echo "  DRAFTSTORE_DATA_DIR=/srv/ds make up  another data directory"

.PHONY: up
up: $(VENV)/installed ## install what is needed, start everything, prove it, stay up
	@$(BIN)/python -m draftstore_standalone up

.PHONY: clean-drafts
clean-drafts: $(VENV)/installed ## run the cleaner once beside a running `make up`
	@test -f $(DATA_DIR)/cleaner.env || { echo "Nothing runs on $(DATA_DIR): start it with 'make up' first."; exit 1; }
	@set -a && . $(DATA_DIR)/cleaner.env && $(BIN)/python -m draftstore_cleaner once

.PHONY: reconcile
reconcile: $(VENV)/installed ## compare buckets and rows beside a running `make up` (ARGS=--dry-run)
	@test -f $(DATA_DIR)/cleaner.env || { echo "Nothing runs on $(DATA_DIR): start it with 'make up' first."; exit 1; }
	@set -a && . $(DATA_DIR)/cleaner.env && $(BIN)/python -m draftstore_cleaner reconcile $(ARGS)

.PHONY: migrate
migrate: $(VENV)/installed ## bring the database at DATABASE_URL up to date
	@$(BIN)/python -m draftstore_identity migrate
	@$(BIN)/python -m draftstore_metadata migrate

.PHONY: test
test: $(VENV)/installed-for-tests ## run all tests (ARGS=… for pytest, CONTAINERS=1 to take servers from Docker)
	@$(if $(CONTAINERS),DRAFTSTORE_TEST_CONTAINERS=1) $(BIN)/python -m pytest $(ARGS)

.PHONY: soak
soak: $(VENV)/installed-for-tests ## the long run: kills, cuts and races until the counts are told (ARGS=--help)
	@PYTHONPATH=tests $(BIN)/python -m faults.soak $(ARGS)

.PHONY: bench
bench: $(VENV)/installed-for-tests ## measure everything beside its reference, for the table in docs/performance.md (ARGS=--help)
	@PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

.PHONY: bench-quick
bench-quick: $(VENV)/installed-for-tests ## the same lines in a minute and a half, with small sizes; writes nothing
	@PYTHONPATH=tests $(BIN)/python -m bench --quick $(ARGS)

.PHONY: bench-gateway
bench-gateway: $(VENV)/installed-for-tests ## only the gateway's line: CPU of a request beside a bare proxy; writes nothing
	@PYTHONPATH=tests $(BIN)/python -m bench --only gateway --dry-run

.PHONY: bench-soak
bench-soak: $(VENV)/installed-for-tests ## half an hour at 60 % of saturation: memory and p99 flat, no error (ARGS='--minutes 30')
	@PYTHONPATH=tests $(BIN)/python -m bench.soak $(ARGS)

.PHONY: bench-revocation
bench-revocation: $(VENV)/installed-for-tests ## how long revoked keys go on working, three gateways under load (ARGS=--help)
	@PYTHONPATH=tests $(BIN)/python -m bench.revocation $(ARGS)

.PHONY: test-faults
test-faults: $(VENV)/installed-for-tests ## run the fault tests
	@$(BIN)/python -m pytest tests/faults $(ARGS)

.PHONY: check
check: $(VENV)/installed-for-tests ## lint, types and import rules
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports --no-logo

.PHONY: model
model: ## check the model of the protocol (needs spin and a C compiler)
	@$(PYTHON) docs/model/check.py

.PHONY: errors
errors: $(VENV)/installed ## write docs/errors.md, the list of all error codes
	@$(BIN)/python docs/errors.py

.PHONY: format
format: $(VENV)/installed-for-tests ## let the linter mend what it can
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

.PHONY: lock
lock: ## choose the newest versions the packages allow, and pin them
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet --upgrade pip setuptools
	$(VENV)-lock/bin/pip install --quiet $(PACKAGES:%=-e ./%) -r tests/requirements.txt
	$(VENV)-lock/bin/pip freeze --all --exclude-editable --exclude pip > requirements.lock
	rm -rf $(VENV)-lock

$(VENV)/python:
	@echo "Making $(VENV) and installing the pinned packages into it; the first time takes a minute or two."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/python requirements.lock $(PACKAGES:%=%/pyproject.toml)
	@$(PINNED) setuptools
	@$(PINNED) --no-build-isolation $(PACKAGES:%=--editable ./%)
	@touch $@

$(VENV)/installed-for-tests: $(VENV)/installed tests/requirements.txt
	@$(PINNED) --requirement tests/requirements.txt
	@touch $@
