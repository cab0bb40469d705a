# Every target needs only Python 3.11; what it builds on, it makes first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

# Where this is set, every command would compile all that it imports, each time anew: seconds.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install assets up test check audit bench lock format clean

install: $(VENV)/installed

# uv installs in seconds what pip takes a minute for; it comes from PyPI itself, pinned by hash as all the rest.
$(VENV)/installed: pyproject.toml requirements/install.txt requirements/dev.txt requirements/s3.txt hatch_build.py frontend/package-lock.json sidecar/package-lock.json
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/install.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv venv --quiet --allow-existing $(VENV)/s3
	$(BIN)/uv pip install --quiet --python $(VENV)/s3/bin/python --require-hashes -r requirements/s3.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	-@$(BIN)/python -m berrante.gateways.baileys .berrante
	touch $@

# What the install does too; alone, for when npm was out of reach then.
assets: install
	$(BIN)/python hatch_build.py
	$(BIN)/python -m berrante.gateways.baileys .berrante

up: install
	$(BIN)/berrante up --demo

test: install
	$(BIN)/pytest -n 2 --dist worksteal

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

# Asks PyPI's and npm's advisories. Where the index has none to ask it fails, rather than call that clean.
audit: install
	$(BIN)/uv tool run --from pip-audit==2.10.1 pip-audit --strict --disable-pip --require-hashes -r requirements/server.txt
	cd frontend && ../$(BIN)/npm audit --package-lock-only
	cd sidecar && ../$(BIN)/npm audit --package-lock-only

bench: install
	$(BIN)/python -m benchmarks compare

format: install
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

# Run after a change of dependencies. No index address may end up in the files: they hold names, versions and hashes.
LOCK := ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header --no-annotate
lock: install
	cd requirements && $(LOCK) install.in -o install.txt
	cd requirements && $(LOCK) dev.in ../pyproject.toml --all-extras --group ../pyproject.toml:dev -o dev.txt
	cd requirements && $(LOCK) s3.in -o s3.txt
	cd requirements && $(LOCK) ../pyproject.toml --extra server --extra embedded --extra otel -o server.txt

clean:
	rm -rf $(VENV) .berrante .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache .bench
