# `make` without a target says what there is.
SHELL := /bin/bash
VENV := .venv/bin/python
INSTALLED := .venv/.installed
# Test files run side by side, each worker with a cluster of its own: they wait more than they compute.
WORKERS ?= 3

.PHONY: help demo demo-down test test-unit lint format lock preview drift bench minikube schema settings clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

$(INSTALLED): requirements.txt requirements-dev.txt policies/requirements.txt testbed/venv.sh
	@testbed/venv.sh
	@touch $@

demo: $(INSTALLED) ## Show the whole thing on this machine: cluster, GitHub stand-in, pull request, status
	@$(VENV) -m testbed demo

demo-down: $(INSTALLED) ## Destroy the demo's stack and end all that the demo started
	@$(VENV) -m testbed demo-down

test: lint ## Run every test: unit, stack and end to end (builds what it needs first)
	@$(VENV) -m testbed tools
	@$(VENV) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-unit: lint ## Run the tests that need nothing but Python
	@$(VENV) -m pytest tests/unit

lint: $(INSTALLED) ## Check style and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/ty check

format: $(INSTALLED) ## Fix style
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

# The options are those that Renovate can repeat; it reads them in the first lines of each lock. The first lock has all
# packages, so the two others take their versions from it. All versions anew: make lock UPGRADE=--upgrade
LOCK := UV_NO_CONFIG=1 .venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version=3.11
lock: $(INSTALLED) ## Lock the Python packages of requirements*.in with their hashes, after a change of those files
	@$(LOCK) $(UPGRADE) --output-file=requirements-dev.txt requirements-dev.in
	@$(LOCK) --constraints=requirements-dev.txt --output-file=policies/requirements.txt policies/requirements.in
	@$(LOCK) --constraints=requirements-dev.txt --output-file=requirements.txt requirements.in

preview: $(INSTALLED) ## Preview a new stack on a cluster of the testbed's own, which is ended afterwards
	@$(VENV) -m testbed preview --name preview

drift: $(INSTALLED) ## Show what was changed by hand on the cluster or on GitHub; fails if there is any
	@$(VENV) -m previews drift

bench: $(INSTALLED) ## Measure what the stack costs, beside kubectl, a flat program and checkconfig (half an hour)
	@$(VENV) -m bench --json bench/results/results.json

minikube: ## Start the minikube profile that the stack `dev` runs on
	minikube start --cni=calico --memory 4096 --cpus 4 --profile prow-cluster

schema: ## Generate prowconfig/schema.json from Prow's own types
	cd testbed/tools/prow-schema && CGO_ENABLED=0 go run -trimpath . > ../../../prowconfig/schema.json.new
	mv prowconfig/schema.json.new prowconfig/schema.json

settings: $(INSTALLED) ## Write Pulumi.yaml's settings, docs/reference/settings.md and network.md from their tables
	@$(VENV) -m settings

clean: ## Remove the virtual environment and what tests left in the checkout
	rm -rf .venv .testbed .pytest_cache .ruff_cache
