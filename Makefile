# `make` alone lists the targets.
PYTHON ?= python3
export PLUGINS
# The package `slipway` is not installed: the engine runs the program inside infra/.
export PYTHONPATH := $(CURDIR):$(CURDIR)/infra$(if $(PYTHONPATH),:$(PYTHONPATH))

ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help up observability down clean venv check test app-tests e2e e2e-load e2e-faults e2e-drills e2e-state e2e-monitoring e2e-examples e2e-delivery e2e-neighbours contract-tests golden mutants bench scan features picture terminal-pictures render preview wheel test-first test-second

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 26

up: ## set up everything, and deploy the app over HTTPS to a local cluster (PLUGINS=DIR: use these provider plugins)
	@$(PYTHON) -m local up

observability: venv ## start Jaeger and VictoriaLogs beside the local stack, for its traces and log lines (needs make up)
	@.venv/bin/python -m local observability

down: ## stop the local cluster, and keep its data
	@$(PYTHON) -m local down

clean: ## stop the local cluster, and remove everything generated in this clone
	@$(PYTHON) -m local clean

venv: .venv/slipway-installed ## create the Python environment only
.venv/slipway-installed: requirements.txt
	@$(PYTHON) -m local venv

check: venv ## check format, lint, types, Go code and tests, workflows, Dockerfile (needs Go)
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/basedpyright
	@.venv/bin/shellcheck activate slipway .ci/run infra/slipway/stores/*.sh
	@.venv/bin/hadolint app/Dockerfile examples/*/*/Dockerfile
	@PATH="$(CURDIR)/.venv/bin:$$PATH" GOFLAGS=-mod=mod go run $(ACTIONLINT)
	@.venv/bin/zizmor --offline --quiet .github
	@cd app && export GOTOOLCHAIN="$$(sed -n 's/^toolchain //p' go.mod)" && test -z "$$(gofmt -l . | tee /dev/stderr)" && go vet ./... && GOFLAGS=-mod=mod go run $(STATICCHECK) ./... && go test -race ./...
	@for module in $(dir $(wildcard examples/*/*/main.go)); do (cd $$module && export GOTOOLCHAIN="$$(sed -n 's/^toolchain //p' go.mod)" && test -z "$$(gofmt -l . | tee /dev/stderr)" && go vet ./... && go test -race ./...) || exit 1; done

test: venv ## run the unit tests (need only Python and PyPI)
	@$(MAKE) --no-print-directory --output-sync=target -j2 test-first test-second
# Two halves of about the same duration, for two cores.
HALF := tests/local tests/package tests/image tests/changes tests/settings/test_bad_stack_files.py tests/suite/test_mutants.py tests/program/test_render.py
# Otherwise pytest compiles all tests again in each run where this is set, as in most container images.
test-first test-second: export PYTHONDONTWRITEBYTECODE :=
test-first:
	@.venv/bin/pytest tests $(patsubst %,--ignore %,tests/e2e tests/load tests/neighbours $(HALF))
test-second:
	@.venv/bin/pytest $(HALF)

e2e: up ## run the end-to-end tests on the local cluster (PLUGINS=DIR as above)
	@. ./activate && pytest -m e2e tests/e2e

app-tests: venv ## run the Go tests of the app with a real MariaDB and Redis, and the race detector (needs Go)
	@. ./activate && pytest -m e2e -s tests/reference_app/test_real_servers.py

e2e-load: up ## change a running service under 200 requests per second, without a lost one, and watch canaries; writes docs/reference/load.md and shutdown.md
	@. ./activate && pytest -m e2e -s tests/load/test_zero_loss.py tests/load/test_shutdown.py tests/load/test_canary.py

e2e-faults: up ## put faults into the running stack: each is named, and no request is lost; writes docs/reference/faults.md
	@. ./activate && pytest -m e2e -s tests/load/test_causes.py

e2e-drills: up ## run every `./slipway drill`: each has its effect, and everything is restored; writes docs/reference/drills.md
	@. ./activate && pytest -m e2e -s tests/load/test_drills.py

e2e-state: up ## kill, stop, disconnect and overlap updates: `doctor --fix` repairs the state
	@. ./activate && pytest -m e2e -s tests/load/test_state_under_fire.py

e2e-monitoring: up ## run Prometheus and Alertmanager in the local stack: errors reach a webhook, and a burnt budget refuses updates
	@. ./activate && pytest -m e2e -s tests/load/test_monitoring.py tests/load/test_budget.py

e2e-examples: up ## deploy the examples beside the local stack, and change them under load; writes docs/reference/examples.md
	@. ./activate && pytest -m e2e -s tests/load/examples

e2e-delivery: up ## scan, sign, promote, deploy with least privilege, come and go with environments, load images without a registry
	@. ./activate && pytest -m e2e -s tests/delivery

e2e-neighbours: up ## run tests with software that the local cluster does not include: a Gateway, Prometheus, Helm, Jaeger, VictoriaLogs, KEDA, prometheus-adapter, Flux
	@. ./activate && pytest -m e2e -s tests/neighbours

contract-tests: venv ## test what every version of the app promises, on a running stack (SLIPWAY_STACK=local by default)
	@. ./activate && pytest -m e2e tests/e2e/app/test_api_contract.py

golden: venv ## rewrite stacks/golden/ and tests/golden/, the reviewed objects; read their diff before you commit
	@./slipway check --write
	@.venv/bin/python -m tests.golden

mutants: venv ## seed the defects of tests/mutants/ one by one: each has to be detected; writes docs/reference/mutants.md
	@.venv/bin/python -m tests.mutants

bench: up ## measure updates, edits, starts, growth, the image and the app beside others; writes docs/reference/benchmarks.md (a quiet machine)
	@. ./activate && python -m tests.bench

scan: venv ## run kube-score, kubeconform, gitleaks and others on all stacks, workflows and commits (needs Go)
	@.venv/bin/python -m tests.scan

features: venv ## list the features that tests prove; writes docs/reference/features.md
	@.venv/bin/python -m tests.features

picture: venv ## draw docs/flow.svg, from a stack file to the cluster, from what the program declares
	@.venv/bin/python -m tests.docs.flow

terminal-pictures: up ## draw what ./slipway prints on the local stack, which is put back; writes docs/reference/terminal/ (PICTURES="up slo": only these)
	@. ./activate && python -m tests.docs.terminal $(PICTURES)

render: venv ## write the Kubernetes objects of every stack to rendered/
	@for stack in $$(./slipway stacks); do ./slipway render -s $$stack -o rendered/$$stack || exit 1; done

wheel: venv ## build the package slipway into dist/
	@.venv/bin/python -m hatchling build -t wheel

preview: venv ## show what `pulumi up` would change on the local stack
	@. ./activate && pulumi preview -s local
