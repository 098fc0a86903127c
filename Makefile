# `make` alone tells what there is.
PYTHON ?= python3
export PLUGINS
# The package `slipway` is not installed: the engine runs the program inside infra/.
export PYTHONPATH := $(CURDIR):$(CURDIR)/infra$(if $(PYTHONPATH),:$(PYTHONPATH))

ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help up down clean venv check test e2e e2e-load e2e-faults e2e-drills e2e-state e2e-neighbours golden mutants scan features picture render preview test-first test-second

help: ## what you are reading
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

up: ## all set-up, then the app answers over HTTPS on a local cluster (PLUGINS=DIR: use these provider plugins)
	@$(PYTHON) -m local up

down: ## stop the local cluster; its data stays
	@$(PYTHON) -m local down

clean: ## stop it and remove everything made in this clone
	@$(PYTHON) -m local clean

venv: .venv/slipway-installed ## just the Python environment
.venv/slipway-installed: requirements.txt
	@$(PYTHON) -m local venv

check: venv ## format, lint, types, vet, Go tests, workflows, Dockerfile (needs Go)
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/basedpyright
	@.venv/bin/shellcheck activate slipway .ci/run infra/slipway/stores/*.sh
	@.venv/bin/hadolint app/Dockerfile
	@PATH="$(CURDIR)/.venv/bin:$$PATH" GOFLAGS=-mod=mod go run $(ACTIONLINT)
	@cd app && export GOTOOLCHAIN="$$(sed -n 's/^toolchain //p' go.mod)" && test -z "$$(gofmt -l . | tee /dev/stderr)" && go vet ./... && GOFLAGS=-mod=mod go run $(STATICCHECK) ./... && go test -race ./...

test: venv ## unit tests: need Python and PyPI only
	@$(MAKE) --no-print-directory --output-sync=target -j2 test-first test-second
# Two halves that take about the same time, for two cores.
HALF := tests/local tests/image tests/changes tests/settings/test_bad_stack_files.py tests/suite/test_mutants.py tests/program/test_render.py
test-first:
	@.venv/bin/pytest tests $(patsubst %,--ignore %,tests/e2e tests/load tests/neighbours $(HALF))
test-second:
	@.venv/bin/pytest $(HALF)

e2e: up ## the real thing on the local cluster (PLUGINS=DIR as above)
	@. ./activate && pytest -m e2e tests/e2e

e2e-load: up ## what a team does to a running service under 200 requests a second; writes docs/reference/load.md
	@. ./activate && pytest -m e2e -s tests/load/test_zero_loss.py

e2e-faults: up ## faults put into the running stack one by one: each is named, and nobody loses a request; writes docs/reference/faults.md
	@. ./activate && pytest -m e2e -s tests/load/test_causes.py

e2e-drills: up ## every drill of `./slipway drill` on the running stack: its effect is seen, and everything put back; writes docs/reference/drills.md
	@. ./activate && pytest -m e2e -s tests/load/test_drills.py

e2e-state: up ## updates killed at ten random moments, stopped, cut off, two at once: `doctor --fix` puts the state right
	@. ./activate && pytest -m e2e -s tests/load/test_state_under_fire.py

e2e-neighbours: up ## with software the local cluster does not bring along: a Gateway, Prometheus, Helm
	@. ./activate && pytest -m e2e -s tests/neighbours

golden: venv ## write tests/golden/ anew: what every stack declares; read its diff before you commit
	@.venv/bin/python -m tests.golden

mutants: venv ## seed the defects of tests/mutants/ one by one: each has to be caught; writes docs/reference/mutants.md
	@.venv/bin/python -m tests.mutants

scan: venv ## kube-score, kubeconform, gitleaks and others over every stack, workflow, Dockerfile and commit (needs Go)
	@.venv/bin/python -m tests.scan

features: venv ## which rows of the feature table the tests prove; also written to docs/reference/features.md
	@./slipway features --write

picture: venv ## docs/flow.svg: from a stack file to the cluster, drawn from what the program declares
	@.venv/bin/python -m tests.docs.flow

render: venv ## the Kubernetes objects of every stack, below rendered/
	@for stack in $(patsubst stacks/Pulumi.%.yaml,%,$(wildcard stacks/Pulumi.*.yaml)); do ./slipway render -s $$stack -o rendered/$$stack || exit 1; done

preview: venv ## what `pulumi up` would change on the local stack
	@. ./activate && pulumi preview -s local
