# The two commands of the README, and the pieces they are made of.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/demo
	$(BIN)/mien predict examples/ --annotate annotated
	@echo "The pictures with the faces drawn on them lie in annotated/."

test: .venv/test lint
	$(BIN)/pytest

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/bin/python:
	$(PYTHON) -m venv .venv

# What inference needs, and nothing more. Editable, so that it and the tests see the same files.
.venv/demo: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/test: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@ .venv/demo

clean:
	rm -rf .venv annotated build dist
