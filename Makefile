# Targets make their own virtual environment; a fresh machine needs Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export OMP_NUM_THREADS ?= 1
WORKERS ?= 2

.PHONY: help demo lint test notebooks simulate bench browser clean

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt -e '.[test,lint]'
	@touch $@

demo: $(VENV)/installed ## fit two models on real scans and write demo/
	$(BIN)/semistruct demo --out demo

lint: $(VENV)/installed-dev ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/installed-dev ## the tests and the docstrings' examples
	$(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow"

notebooks: $(VENV)/installed-dev ## execute the notebooks
	$(PIP) install --quiet -c constraints.txt -e '.[notebooks]'
	$(BIN)/python notebooks/run.py

browser: $(VENV)/installed-dev ## open a report in headless Chromium (on PATH); build/browser/
	$(BIN)/python tests/browser.py

simulate: $(VENV)/installed-dev ## the slow statistical tests; prints their tables
	$(BIN)/python -m pytest -q -s -m slow tests

bench: $(VENV)/installed-dev ## ratios against peers, one run each
	$(BIN)/python benchmarks/run.py

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist demo *.egg-info
