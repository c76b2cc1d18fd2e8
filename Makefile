# `make` without a target says what there is.
SHELL := /bin/bash
VENV := .venv/bin/python
INSTALLED := .venv/.installed
# Test files run side by side, each worker with a cluster of its own: they wait more than they compute.
WORKERS ?= 3

.PHONY: help demo demo-down test test-unit lint format drift minikube schema clean

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

format: $(INSTALLED) ## Mend style
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

drift: $(INSTALLED) ## Say what was changed by hand on the cluster or on GitHub; fails when there is any
	@$(VENV) -m previews drift

minikube: ## Start the minikube profile that the stack `dev` runs on
	minikube start --memory 4096 --cpus 4 --profile prow-cluster

schema: ## Generate prowconfig/schema.json from Prow's own types
	cd testbed/tools/prow-schema && CGO_ENABLED=0 go run . > ../../../prowconfig/schema.json.new
	mv prowconfig/schema.json.new prowconfig/schema.json

clean: ## Remove the virtual environment and what tests left in the checkout
	rm -rf .venv .testbed .pytest_cache .ruff_cache
