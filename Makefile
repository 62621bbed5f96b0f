# One command sets up all and runs the main job; one sets up all and passes the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: quickstart test test-slow check format clean

quickstart: $(VENV)/.quickstart  ## install, then run weak-to-strong generalization
	$(BIN)/superalign run weak-to-strong

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.dev  ## install, then run the tests, but those that are marked slow
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev  ## the tests that take more than ten seconds each: kills, whole studies, several processes
	$(PYTEST) -m slow

check: $(VENV)/.dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the virtual environment and caches of tools; models and runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "superalign needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.quickstart: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[local,report]'
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	touch $@ $(VENV)/.quickstart
