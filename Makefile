# `make suite` and `make test` set up everything they need below this folder and change nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup suite test lint docs throughput clean

help:
	@echo "make suite       train and judge AMN: pytest suites/amn_790k"
	@echo "make test        linters, types and all tests, training suites included (smoke profile)"
	@echo "make throughput  measure speed: pytest suites/throughput"
	@echo "make docs        write the generated pages in docs/"
	@echo "make clean       remove the environment and all caches; recorded runs in .lvmcheck stay"

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lvmcheck needs Python 3.11 or newer, and '$(PYTHON)' is older: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

setup: $(STAMP)

suite: $(STAMP)
	$(BIN)/python -m pytest suites/amn_790k

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Training runs go on in the background while the tests that need none run first.
test: lint
	$(BIN)/python -m pytest

throughput: $(STAMP)
	$(BIN)/python -m pytest suites/throughput

docs: $(STAMP)
	$(BIN)/python -m lvmcheck.manual docs

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -not -path './.lvmcheck/*' -prune -exec rm -rf {} +
