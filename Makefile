# make demo: the whole pipeline on a dataset with known truth.  make test: the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo

.PHONY: install demo test lint docs bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) ci/install.py $(VENV)
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck -x ci/*.sh .ci/run docs/examples/cluster/*.sbatch

docs: install
	$(BIN)/mkdocs build --strict

test: install
	$(BIN)/pytest -n 2 --dist loadgroup tests

demo: install
	PATH="$(CURDIR)/$(BIN):$$PATH" bash ci/demo.sh $(DEMO)

bench: install
	$(BIN)/python -m bench

clean:
	rm -rf build dist $(VENV)
