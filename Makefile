# Each target sets up its own environment: nothing needs to be installed or activated first.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test check docs repro bench soak clean
.DEFAULT_GOAL := run

run: $(VENV)/ready
	star evolve

test: $(VENV)/ready-test
	pytest -n 3 --dist loadscope --no-loadscope-reorder

check: $(VENV)/ready-test
	ruff check .
	ruff format --check .
	mypy
	lint-imports

docs: $(VENV)/ready-docs
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

repro: $(VENV)/ready
	python -m star_flows.server.process dvc repro

bench: $(VENV)/ready-bench
	python -m benchmarks.operators
	python -m benchmarks.candidates
	python -m benchmarks.trainability
	python -m benchmarks.overhead

soak: $(VENV)/ready-test
	python -m benchmarks.faults

# The interpreter is python3.11 where it has that name, else python3.
$(BIN)/python:
	command -v $(PYTHON) >/dev/null && $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)

$(VENV)/ready: pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/ready-test: pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@ $(VENV)/ready

$(VENV)/ready-docs: pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	touch $@ $(VENV)/ready

$(VENV)/ready-bench: pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	touch $@ $(VENV)/ready

clean:
	rm -rf $(VENV) .star build
