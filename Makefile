# Two commands for newcomers: `make demo` and `make test`. Both make .venv on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# pip reports an outdated pip on every call; nobody here needs to know.
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test test-slow fuzz fuzz-web lint format bench zoo clean

demo: $(READY)
	$(BIN)/softcam demo

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz.run --count 2000 --seed 0

fuzz-web: $(READY)
	$(BIN)/python -m tests.fuzz.requests --count 10000 --seed 0
	$(BIN)/python -m pytest -m slow tests/web/test_openapi.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python benchmarks/phantom.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/scoring.py

zoo: $(READY)
	$(BIN)/python benchmarks/zoo.py
	$(BIN)/python benchmarks/zoo.py --table docs/zoo.md

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); \
	sys.exit(None if ok else "softcam needs Python 3.11 to 3.13, this is " + sys.version.split()[0] \
	+ "; name one with: make PYTHON=python3.11")'
	@echo "Installing softcam into $(VENV) (a few minutes, once) ..."
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) build dist runs/demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
