# `make suite` and `make test` set up everything they need below this folder and change nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup suite test trained tests test-suites test-long newcomer lint docs site images browser throughput clean

help:
	@echo "make suite       train and judge AMN: pytest suites/amn_790k"
	@echo "make test        linters, types and the tests, with a training suite of each kind (smoke profile)"
	@echo "make test-suites the same with every training suite: what CI runs"
	@echo "make test-long   the same with every suite and the long forms of all tests (an hour and more)"
	@echo "make newcomer    a new user's first minutes, timed: a wheel in an empty environment, then README and a gate"
	@echo "make throughput  measure speed: pytest suites/throughput"
	@echo "make docs        write the generated pages in docs/"
	@echo "make browser     install Chromium for the browser tests of the HTML report, where none is there (optional)"
	@echo "make images      take the screenshots in docs/images"
	@echo "make site        build the documentation as a site in site/"
	@echo "make clean       remove the environment and all caches; recorded runs in .lvmcheck stay"

$(STAMP): pyproject.toml suites/reliability/beside.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lvmcheck needs Python 3.11 or newer, and '$(PYTHON)' is older: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps --upgrade --target $(VENV)/beside \
		--requirement suites/reliability/beside.txt
	@touch $(STAMP)

setup: $(STAMP)

suite: $(STAMP)
	$(BIN)/python -m pytest suites/amn_790k

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet --persona auditor ci/github/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows ci/github/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci ci/gitlab/*.yml

# Suites that `make test` leaves out: the second and third of a kind, of which one stays in it, and long trainings.
LONG := amn_584k $(addprefix cognate_answers/,memory reasoning) $(addprefix cognate_phase1/,memory reasoning speed) \
	lvm_small_wins $(addprefix lvm_oct13/,gru lstm mamba2 transformer) \
	$(addprefix selftest/ordinary_,classifier language) \
	$(addprefix known_failures/,info_nce_0_002 info_nce_0_3 infonce_only_default cognate_halting_detached \
		cognate_halting_no_grad cognate_halting_outside_optimizer oct13_memorisation oct13_memorisation_lstm oct13_memorisation_transformer)

# Further seeds of a suite that is left in: second and third ones of a kind, too.
SEEDS := $(foreach suite,amn_790k selftest/ordinary_regression,$(foreach seed,1 2,--deselect=suites/$(suite)/suite.toml::seed$(seed)))

# Three at a time, so that no core waits: the linters, of which mypy takes a minute from nothing; the suites that train,
# shown when they have ended; and the tests that train nothing, in three processes. The hundreds of sessions that these
# start read all they import compiled, also where PYTHONDONTWRITEBYTECODE is set: what a suite imports, which `trained` does
# not train again, the tests, and a step of an optimizer. (pip would compile nine thousand files, most of which nothing
# imports, for half a minute.)
COMPILED := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python
test: $(STAMP)
	$(BIN)/python -m compileall -q -j 2 lvmcheck models
	$(COMPILED) -m pytest -q suites/vectors/suite.toml > /dev/null & \
		$(COMPILED) -m pytest -q --collect-only --ignore-glob='*/suite.toml' > /dev/null; \
		$(COMPILED) -c 'import torch; torch.optim.SGD([torch.zeros(1, requires_grad=True)]).step()'; wait
	$(MAKE) --no-print-directory -j3 lint trained tests

PACE := suites/throughput suites/throughput_compare# pytest-benchmark measures nothing in workers
SUITES := $(filter-out $(LONG:%=suites/%/suite.toml),$(sort $(shell find suites -name suite.toml)))
SHOWN := .lvmcheck/trained.txt

trained: $(STAMP)
	@mkdir -p $(dir $(SHOWN)); status=0; \
	$(BIN)/python -m pytest $(SUITES) $(PACE) $(SEEDS) > $(SHOWN) 2>&1 || status=$$?; cat $(SHOWN); exit $$status

tests: $(STAMP)
	$(BIN)/python -m pytest --numprocesses=3 --dist=worksteal --ignore-glob='*/suite.toml' $(PACE:%=--ignore=%) $(LONG:%=--ignore=suites/%)

# What CI runs: its gate requires a report on every suite (ci/gate_cpu.toml).
test-suites:
	$(MAKE) --no-print-directory test LONG= SEEDS=

test-long: lint
	LVM_GALLERY=full LVM_GATE=full LVM_RELIABILITY=full $(BIN)/python -m pytest

newcomer: $(STAMP)
	$(BIN)/python -m suites.lvmcheck.newcomer

throughput: $(STAMP)
	$(BIN)/python -m pytest suites/throughput

docs: $(STAMP)
	$(BIN)/python -m docs.manual docs
	$(BIN)/python -m lvmcheck.report.machine.json_report docs/report.schema.json

site: docs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs site

# Optional, and the only target that changes anything outside this folder. Bounded: it never waits for a password, nor
# longer than four minutes; without a browser the tests that need one skip.
browser:
	@for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do \
		if command -v $$name; then exit 0; fi; done; \
	if ! command -v apt-get > /dev/null; then echo "no apt-get here: install Chrome or Chromium by hand"; exit 1; fi; \
	become=; if [ "$$(id -u)" != 0 ]; then become="sudo -n"; fi; \
	get="$$become env DEBIAN_FRONTEND=noninteractive timeout 120 apt-get -qq -o DPkg::Lock::Timeout=30"; \
	get="$$get -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1"; \
	$$get update < /dev/null > /dev/null 2>&1; \
	if $$get install -y --no-install-recommends chromium fonts-dejavu-core < /dev/null > /dev/null 2>&1; \
	then command -v chromium; else echo "Chromium could not be installed; the browser tests skip"; exit 1; fi

images: $(STAMP)
	$(BIN)/python -m suites.report.screenshots $(or $(RUNS),$(addprefix fixtures/runs/,amn_790k_attempt_2 amn_790k_attempt_1_with_its_data amn_584k_pure_mse))
	$(BIN)/python -m suites.report.terminal_pictures

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks site
	find . -name __pycache__ -type d -not -path './.lvmcheck/*' -prune -exec rm -rf {} +
