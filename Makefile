# Every command of the template. `make` lists them; each does its own set-up.

# PYTHON=/path/to/python3 and UV=/path/to/uv say which ones to use.
PYTHONS := python3 python3.13 python3.12 python3.11
FITS    := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
UV      ?= $(shell command -v uv 2>/dev/null)
BIN     := .venv/bin
# A generated project gets the uv and the Python of .venv.
PASS    := UV="$(CURDIR)/$(BIN)/uv" PYTHON="$(CURDIR)/$(BIN)/python"

# Compiled once, a process starts seconds sooner, whatever the shell says.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup demo serve ui report platform-up platform-down platform-status \
  platform-nuke platform-env test lint format bench lock terraform-docs clean
.DEFAULT_GOAL := help

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' Makefile

setup: .venv/.ready ## Make .venv from locks/dev.txt

# The same recipe as in template/Makefile.jinja, without a package of its own.
.venv/.ready: locks/dev.txt
	@set -e; python=; quiet=; \
	if [ ! -x $(BIN)/python ]; then \
	  for p in $(if $(PYTHON),"$(PYTHON)",$(PYTHONS)); do \
	    if "$$p" -c '$(FITS)' 2>/dev/null; then python=$$p; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "error: no Python from 3.11 to 3.13 among: $(or $(PYTHON),$(PYTHONS)). Install one, or type: make setup PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	  fi; \
	  rm -rf .venv; \
	  if [ -n "$(UV)" ]; then "$(UV)" venv --quiet --python "$$(command -v "$$python")" .venv; \
	  else "$$python" -m venv .venv || { rm -rf .venv; exit 1; }; fi; \
	fi; \
	uv="$(UV)"; \
	if [ -z "$$uv" ]; then \
	  uv=$(BIN)/uv; \
	  awk '/^uv==/{p=1} p{print} p && !/\\$$/{exit}' locks/dev.txt > .venv/uv.txt; \
	  [ -x $$uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt; \
	fi; \
	[ -t 2 ] || quiet=--quiet; \
	echo "Installing the packages of locks/dev.txt into .venv"; \
	"$$uv" pip sync $$quiet --python $(BIN)/python --require-hashes locks/dev.txt; \
	touch $@

demo: .venv/.ready ## Generate the example project into build/demo, and watch it live; PLATFORM=1: on the platform
	@$(if $(PLATFORM),$(BIN)/python infra/machine.py empty flight-delay)
	@$(MAKE) --no-print-directory build/demo
	@$(if $(PLATFORM),settings="$$($(BIN)/python infra/machine.py env flight_delays)" && env $$settings) \
	  $(MAKE) --no-print-directory -C build/demo demo $(PASS)

# Generated anew each time, from the working tree; its .venv stays, and is brought up to its lock.
.PHONY: build/demo
build/demo: .venv/.ready
	@mkdir -p $@
	@find $@ -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
	$(BIN)/copier copy --quiet --defaults --overwrite --data-file example-answers.yml --vcs-ref HEAD . $@
	@rm -f $@/.venv/.ready

serve: ## After the demo: answer predictions on this machine
ui: ## After the demo: the registry's pages, on http://127.0.0.1:5000
report: ## After the demo: say where the report is, and open it
serve ui report:
	@[ -f build/demo/Makefile ] || { echo "error: there is no example project yet. Type: make demo" >&2; exit 1; }
	@$(MAKE) --no-print-directory -C build/demo $@ $(PASS)

# The platform on one machine: infra/compose.yaml. PROJECT is the project whose alerts and dashboards it shows.
PROJECT ?= build/demo
COMPOSE  = docker compose version >/dev/null 2>&1 || { \
  echo "error: this needs Docker 25 or later with its Compose plugin; install them and try again" >&2; exit 1; }; \
  docker compose --project-directory infra

platform-up: .venv/.ready ## Start the platform (MLflow, PostgreSQL, Redis, Prometheus, Grafana); it needs Docker
	@[ "$(PROJECT)" != build/demo ] || [ -d build/demo/observability ] || $(MAKE) --no-print-directory build/demo
	@$(BIN)/python infra/machine.py prepare "$(PROJECT)"
	@$(COMPOSE) up --detach --build --wait
	@$(COMPOSE) kill --signal HUP prometheus alertmanager
	@echo "Pages: http://mlflow.localhost:8080 http://grafana.localhost:8080 http://prometheus.localhost:8080"
	@echo "Next:  make demo PLATFORM=1, or docs/how-to/run-on-the-platform.md of your project"

platform-down: infra/.env ## Stop the platform; its data stays
	@$(COMPOSE) down

platform-status: infra/.env ## Say what of the platform runs, and whether it is healthy
	@$(COMPOSE) ps --all

platform-nuke: infra/.env ## Stop the platform and delete its data, when you type the word
	@echo "This deletes what the platform holds on this machine: models, runs, features, measurements, secrets."; \
	word="$(CONFIRM)"; \
	if [ -z "$$word" ] && [ -t 0 ]; then printf 'Type nuke to go on: '; read -r word; fi; \
	if [ "$$word" != nuke ]; then echo "error: nothing was deleted. Type: make platform-nuke CONFIRM=nuke" >&2; exit 1; fi
	@$(COMPOSE) down --volumes
	@rm -rf infra/.env infra/project

platform-env: .venv/.ready ## Print a project's settings on the platform: PACKAGE=its_package, and INSIDE=1 for containers
	@$(BIN)/python infra/machine.py env $(if $(INSIDE),--inside) "$(or $(PACKAGE),flight_delays)"

infra/.env: infra/.env.example .venv/.ready
	@$(BIN)/python infra/machine.py secrets

test: .venv/.ready ## Run every test: rendering, the locks, and generated projects
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

lint: .venv/.ready ## Check the style of the template's own tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/.ready ## Rewrite the template's own tests in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: ## List the benchmarks: one for each claim about speed or memory
	@awk '/^"""/{sub(/^"""/, ""); name = FILENAME; sub(/.*\//, "", name); sub(/[.]py$$/, "", name); gsub("_", "-", name); \
	  if (name != "harness") printf "  make bench-%-16s %s\n", name, $$0; nextfile}' benchmarks/*.py

# Each runs in a generated project of its own, with the whole year landed. What a rival needs, it installs apart.
bench-%: build/bench/.ready
	@build/bench/.venv/bin/python benchmarks/$(subst -,_,$*).py

build/bench/.ready: .venv/.ready $(shell find template -newer build/bench/.ready 2>/dev/null | grep -qm 1 . && echo FORCE)
	@mkdir -p build/bench
	@find build/bench -mindepth 1 -maxdepth 1 ! -name .venv ! -name .state -exec rm -rf {} +
	$(BIN)/copier copy --quiet --defaults --overwrite --data-file example-answers.yml --vcs-ref HEAD . build/bench
	@rm -f build/bench/.venv/.ready
	@$(MAKE) --no-print-directory -C build/bench setup $(PASS)
	@touch $@

.PHONY: FORCE

# One resolution for every platform and Python. The pins stay; LOCK=--upgrade moves them.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header $(LOCK)

lock: .venv/.ready ## Write locks/*.txt, and template/locks/*.txt in a generated project
	$(COMPILE) requirements.in --output-file locks/dev.txt
	$(COMPILE) requirements-platform.in --output-file locks/platform.txt
	$(COMPILE) requirements-evidently.in --output-file locks/evidently.txt
	$(COMPILE) infra/mlflow/requirements.in --output-file infra/mlflow/requirements.txt
	rm -rf build/lock
	$(BIN)/copier copy --quiet --defaults --data-file example-answers.yml --vcs-ref HEAD . build/lock
	$(MAKE) --no-print-directory -C build/lock lock LOCK="$(LOCK)" $(PASS)
	mv build/lock/locks/aws.txt "template/locks/{% if cloud == 'aws' %}aws.txt{% endif %}"
	cp build/lock/locks/*.txt template/locks/

terraform-docs: .venv/.ready ## Write the tables in the READMEs of terraform/modules
	@$(BIN)/python tests/platform/module_tables.py

clean: ## Remove what the demo and the tests made
	rm -rf build .hypothesis .pytest_cache .ruff_cache
	find tests -name __pycache__ -type d -prune -exec rm -rf {} +
