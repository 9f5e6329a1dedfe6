# The two commands of the README, and the pieces they are made of.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint reproduce clean

demo: .venv/demo
	$(BIN)/mien predict examples/ --annotate annotated
	@echo "The pictures with the faces drawn on them lie in annotated/."

test: .venv/test lint
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Containerfile

.venv/bin/python:
	$(PYTHON) -m venv .venv

# What inference needs, and nothing more. Editable, so that it and the tests see the same files.
.venv/demo: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/test: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@ .venv/demo

# Measures every model that ships on DATA (FER-2013, with the votes of FER+), and names each figure that differs from
# the committed ones: make reproduce DATA=fer2013.parquet
reproduce: .venv/evaluate
	@test -n "$(DATA)" || { echo "name the data: make reproduce DATA=fer2013.parquet"; exit 2; }
	$(BIN)/python tools/reproduce.py "$(DATA)"

.venv/evaluate: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[evaluate]"
	@touch $@ .venv/demo

clean:
	rm -rf .venv annotated build dist
