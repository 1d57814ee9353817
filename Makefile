# `make test` says whether the house is in order; `make tour` shows what dca does.
# Both need Python 3.11 or newer, and `make test` Docker, or Maven and a JDK 21 or newer.

PYTHON ?= python3
MINUTES ?= 30
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test torture tour docs clean

test: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4

# MINUTES=30 says how long, SEED=1 and KINDS=crash-sqlite,race-sqlite what; docs/reliability.md says what it tries.
torture: $(VENV)/.test
	$(BIN)/python -m tests.torture --minutes=$(MINUTES) $(if $(SEED),--seed=$(SEED)) $(if $(KINDS),--kinds=$(KINDS))

tour: $(VENV)/.plain
	PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/tour.sh

docs: $(VENV)/.plain
	$(BIN)/python -m dca.reference --write

clean:
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The files .plain and .test in the venv tell which dependencies it has, and since when.
$(VENV)/.plain: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.plain

$(BIN)/pip:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "There is no $(PYTHON): install Python 3.11 or newer, or name it: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "dca needs Python 3.11 or newer, and $(PYTHON) is older: name another one: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv: install it (Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
