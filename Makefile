# `make help` lists what there is. Everything happens in .venv; nothing else on the machine is changed,
# but for the packages that `make test` installs with apt when it runs as root.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check format schemas docs bench soak clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

install: $(STAMP) ## create .venv with everything; leaves .venv/bin/olake-reconcile

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 && p=$(PYTHON) || p=python3; \
	 $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make install PYTHON=/path/to/python3.11"; exit 1; }; \
	 test -x $(BIN)/pip || $$p -m venv $(VENV) || \
	   { $$p -m venv --without-pip $(VENV) && $$p -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[offline,demo,dev]'
	@touch $@

demo: install ## the main job on real data: PostgreSQL into Iceberg, edits, plans, applies
	$(BIN)/python demo/demo.py

test: install ## the whole suite, real servers included
	@missing=; for tool in openssl jq curl git; do command -v $$tool >/dev/null 2>&1 || missing="$$missing $$tool"; done; \
	 if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq $$missing; fi
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: install ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install ## rewrite the files in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: install ## rewrite schemas/ from the code
	$(BIN)/olake-reconcile schema workspace > schemas/workspace.schema.json
	$(BIN)/olake-reconcile schema plan > schemas/plan.schema.json

docs: install ## write the reference pages from the code, and build the site into site/
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

bench: install ## speed, as ratios measured in one run (minutes)
	$(BIN)/python benchmarks/full_refresh.py --rows 1000000 --rows 5000000 --times 5
	$(BIN)/python benchmarks/plan.py

soak: install ## long versions of the random tests (minutes to hours)
	$(BIN)/python -m pytest -m soak --timeout 3600

clean: ## remove what install and the tests left
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis demo/workspace site *.egg-info
