# make run     serve the example cluster on 127.0.0.1:1053, with dig lines to try
# make test    set everything up and run the tests
# make check   lint, types, import contracts, tests: what CI runs
# make node-test  the image and the manifests on a real node (root, minutes): tests/node/README.md
# make bench   measure kdns beside CoreDNS, Knot and a bare echo (ROW=name: only that)
# make setup   only .venv with the kdns command in it

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run setup test check lint bench node-test programs lock clean
.DEFAULT_GOAL := run

run: $(READY)
	@cat examples/try.txt
	@exec $(BIN)/kdns serve --manifests examples/cluster --zones zones --shortnames default

setup: $(READY)

test: $(READY) programs
	$(BIN)/pytest

check: lint test

lint: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Only on loopback, each load bounded in time; bench/RESULTS.md and its chart are written at the end.
bench: $(READY) programs
	@$(BIN)/python -c "import matplotlib" 2>/dev/null || $(BIN)/python -m pip install -q \
	  --disable-pip-version-check --require-hashes -r requirements-bench.lock
	$(BIN)/python -m bench $(ROW)

# Builds what a node consists of, once. Not a part of check: it needs root, and takes minutes.
node-test: $(READY)
	tests/node/programs.sh e2e
	KDNS_NODE_TEST=1 $(BIN)/pytest $(or $(ONLY),tests/node)

# What tests run beside kdns: dig and Knot from the system, a control plane and CoreDNS from Go modules.
programs:
	tests/programs.sh

lock: $(READY)
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --extra dev pyproject.toml \
	  -c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --extra bench pyproject.toml \
	  -c requirements-dev.lock -o requirements-bench.lock

$(READY): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "kdns needs Python 3.11 or newer; name one by PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
