# Everything starts from a bare Python 3.11 or newer with its venv module.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The compiler of the committed stubs is old on purpose: protos/requirements-stubs.in. Its wheels
# are for Python 3.11 and 3.12.
STUBS_PYTHON ?= $(PYTHON)
STUBS_VENV := .venv-stubs
STUBS_READY := $(STUBS_VENV)/.ready
CHART_VENV := .venv-chart
CHART_READY := $(CHART_VENV)/.ready
DEMO_VENV := .venv-demo
DEMO_READY := $(DEMO_VENV)/.ready
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
PEERS_VENV := .venv-peers
PEERS_READY := $(PEERS_VENV)/.ready
BENCH ?=
MUTANTS_VENV := .venv-mutants
MUTANTS_READY := $(MUTANTS_VENV)/.ready
MUTANTS ?= --sample 100
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test check format lint types imports protos stubs schema lock bench soak
.PHONY: nats go typescript languages slow

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(READY) ## make the virtual environment

$(READY): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(STUBS_READY): protos/requirements-stubs.lock
	$(STUBS_PYTHON) -m venv $(STUBS_VENV)
	$(STUBS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(CHART_READY): deploy/helm/requirements-chart.lock
	$(PYTHON) -m venv $(CHART_VENV)
	$(CHART_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# What the demonstration runs on and no more. Only the modules it imports are compiled.
$(DEMO_READY): requirements-demo.lock pyproject.toml
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-demo.lock
	$(DEMO_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH_READY): requirements-bench.lock pyproject.toml
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(PEERS_READY): requirements-peers.lock pyproject.toml
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(PEERS_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(MUTANTS_READY): requirements-mutants.lock pyproject.toml
	$(PYTHON) -m venv $(MUTANTS_VENV)
	$(MUTANTS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(MUTANTS_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(DEMO_READY) ## watch an orchestrator crash, resume and finish
	@$(DEMO_VENV)/bin/python -m clients.examples.survey

test: $(READY) ## run the tests (Docker, TEST_DATABASE_URL or the embedded Postgres)
	$(BIN)/pytest -m "not slow" -n logical --maxprocesses 4 --dist worksteal

slow: $(READY) ## run the tests that kill, freeze or install things, or stand proxies in between
	$(BIN)/pytest -m slow

.PHONY: service
service: $(READY) ## run the store's contract with the service's rights, and no row of another project
	TEST_AS_SERVICE=1 $(BIN)/pytest -m "not owner" -n 2 tests/storage/contract

nats: ## install the nats-server that the sinks' tests start
	tests/tools/install-nats-server

check: format-check lint types imports protos fresh ranges chart monitoring service slow test ## everything that guards main

.PHONY: format-check fresh
format: $(READY) ## format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

format-check: $(READY)
	$(BIN)/ruff format --check

lint: $(READY) ## lint the code and the Dockerfile
	$(BIN)/ruff check
	$(BIN)/hadolint Dockerfile

types: $(READY) ## check the types
	$(BIN)/mypy

imports: $(READY) ## check that imports point down
	$(BIN)/lint-imports

protos: $(READY) $(STUBS_READY) ## lint the contracts; nothing breaking since main
	$(STUBS_VENV)/bin/python protos/generate.py lint
	$(STUBS_VENV)/bin/python protos/generate.py breaking

.PHONY: ranges chart
chart: $(CHART_READY) ## hold the Helm chart to what Kubernetes takes
	$(CHART_VENV)/bin/python deploy/helm/check.py "$$(deploy/helm/install-helm)"

# Where promtool cannot be had its part is skipped, loudly; in CI (CI=true) that fails.
.PHONY: monitoring board
monitoring: ## hold the alerts to what Prometheus takes, and see each of them fire
	@if promtool=$$(deploy/monitoring/install-promtool); then \
		"$$promtool" check rules deploy/monitoring/rules.yaml && \
		"$$promtool" test rules deploy/monitoring/rules_test.yaml; \
	elif [ "$$CI" = true ]; then echo "CI checks the alerts" >&2; exit 1; \
	else echo "there is no promtool: make monitoring SKIPPED" >&2; fi

board: $(READY) ## write Grafana's dashboard.json from board.yaml
	$(BIN)/python deploy/monitoring/board.py

ranges: $(READY) ## prove that the client takes the oldest and the newest versions it allows
	$(BIN)/python clients/python/ranges.py

fresh: $(READY) $(STUBS_READY)
	$(STUBS_VENV)/bin/python protos/generate.py fresh
	$(BIN)/python clients/python/generate_sync.py --check
	$(BIN)/python -m runstore_migrations check-schema-sql
	$(BIN)/python -m bench.report --check
	$(BIN)/python deploy/monitoring/board.py --check

# Go's and TypeScript's stubs need Go and Node; where those are missing they are skipped, loudly.
stubs: $(READY) $(STUBS_READY) ## regenerate what is generated from the contracts, in every language
	$(STUBS_VENV)/bin/python protos/generate.py generate
	$(BIN)/python clients/python/generate_sync.py
	@if command -v go > /dev/null; then $(STUBS_VENV)/bin/python protos/generate.py generate-go; \
	else echo "go is not on the PATH: Go's stubs SKIPPED" >&2; fi
	@if command -v npm > /dev/null; then cd clients/typescript && npm ci --silent && npm run generate; \
	else echo "npm is not on the PATH: TypeScript's stubs SKIPPED" >&2; fi

go: $(READY) $(STUBS_READY) ## everything that guards the Go client (needs Go)
	$(STUBS_VENV)/bin/python protos/generate.py fresh-go
	@unformatted=$$(gofmt -l clients/go); test -z "$$unformatted" || { echo "run gofmt -w: $$unformatted"; exit 1; }
	cd clients/go && go vet ./...
	cd clients/go/tools && go build -o ../.bin/ honnef.co/go/tools/cmd/staticcheck
	cd clients/go && .bin/staticcheck ./...
	cd clients/go && go mod tidy -diff
	cd clients/go && go test -race -timeout 60m ./...

# Where Go or Node is missing their part is skipped, loudly; in CI (CI=true) that fails.
.PHONY: clients conformance
clients: $(READY) ## everything that guards the clients in Go and TypeScript, and that all three agree
	@for each in go:go npm:typescript; do \
		tool=$${each%%:*}; target=$${each##*:}; \
		if command -v $$tool > /dev/null; then $(MAKE) --no-print-directory $$target || exit 1; \
		elif [ "$$CI" = true ]; then echo "$$tool is not on the PATH: CI checks every client" >&2; exit 1; \
		else echo "$$tool is not on the PATH: make $$target SKIPPED" >&2; fi; \
	done
	@$(MAKE) --no-print-directory conformance

conformance: $(READY) ## prove that the clients in Python, Go and TypeScript do the same
	@if command -v npm > /dev/null && ! test -d clients/typescript/node_modules; then npm ci --prefix clients/typescript; fi
	$(BIN)/python clients/conformance/run.py

languages: $(READY) ## build and run the projects of docs/other-languages.md (Maven, Cargo, CMake; part of slow)
	$(BIN)/pytest tests/field/test_languages.py

schema: $(READY) ## regenerate schema.sql from the migrations
	$(BIN)/python -m runstore_migrations write-schema-sql

lock: $(READY) ## lock the newest versions of all dependencies
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--extra embedded --group dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--extra server --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--extra embedded --group demo --constraint requirements-dev.lock \
		--output-file requirements-demo.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 --output-file protos/requirements-stubs.lock protos/requirements-stubs.in
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 --output-file deploy/helm/requirements-chart.lock deploy/helm/requirements-chart.in
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--extra embedded --group bench \
		--output-file requirements-bench.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--group peers --output-file requirements-peers.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--extra embedded --group dev --group mutants --constraint requirements-dev.lock \
		--output-file requirements-mutants.lock pyproject.toml
	echo hatchling | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--constraint requirements-dev.lock --output-file requirements-build.lock -

# The peers are installed when they are asked for.
bench: $(BENCH_READY) $(if $(findstring peers,$(BENCH)),$(PEERS_READY)) ## measure beside baselines and peers: make bench BENCH="--only append"
	@$(BENCH_VENV)/bin/python -m bench $(BENCH)

soak: $(BENCH_READY) ## half an hour of mixed work at half load: make soak BENCH="--minutes 5"
	@$(BENCH_VENV)/bin/python -m bench.soak $(BENCH)

.PHONY: mutants
mutants: $(MUTANTS_READY) ## change the code and see whether tests notice: make mutants MUTANTS="--module feed"
	@$(MUTANTS_VENV)/bin/python -m tests.mutants $(MUTANTS)

.PHONY: bench-queries
bench-queries: $(READY) ## explain every documented query among a hundred thousand and a million events
	@$(BIN)/python -m bench.queries

typescript: $(READY) $(STUBS_READY) ## check the TypeScript client (needs Node 20.19 or newer)
	@command -v npm > /dev/null || { echo "npm is not on the PATH: install Node 20.19 or newer" >&2; exit 1; }
	cd clients/typescript && npm ci && npm run check
