# Two commands matter: `make demo` does the main job, `make test` passes the tests. Both set up what they need.
.DEFAULT_GOAL := help
.PHONY: help setup demo test soak fuzz mutate lint format bench gas coverage lock clean

BIN := .venv/bin
WORKERS ?= 2
# Of each fuzz target.
SECONDS ?= 5

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: ## make .venv from the hash-locked requirements.lock (the other targets do it by themselves)
	@sh .ci/setup

demo: setup ## firmware moves without a central server, attacks are refused, the history is proved
	@$(BIN)/python -m examples.demo

test: setup ## run the tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -q

soak: setup ## run the checks that are too heavy for every day
	@$(BIN)/python -m pytest -q --timeout 3600 tests/soak/*.py
	@$(BIN)/python -m benchmarks.chain.decay

fuzz: setup ## coverage-guided fuzzing of every decoder, SECONDS=5 each
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --workers $(WORKERS)

mutate: setup ## change the verifiers a little, thousands of times: does a test notice? (hours)
	@$(BIN)/python -m tests.mutation --workers $(WORKERS)

lint: setup ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## let ruff format the tree
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: setup ## run the benchmarks that show the bars, with the peers beside us
	@FWLEDGER_KUBO="$${FWLEDGER_KUBO:-$$(.ci/kubo)}"; export FWLEDGER_KUBO; \
	FWLEDGER_GETH="$${FWLEDGER_GETH:-$$(.ci/geth)}"; export FWLEDGER_GETH; \
	FWLEDGER_ANVIL="$${FWLEDGER_ANVIL:-$$(.ci/javascript)/.bin/anvil}"; export FWLEDGER_ANVIL; \
	missed=""; for bench in benchmarks/*.py; do \
	  name=$$(basename "$$bench" .py); echo "== $$name"; \
	  $(BIN)/python -m "benchmarks.$$name" || missed="$$missed $$name"; done; \
	[ -z "$$missed" ] || { echo "error: below a bar, or failed:$$missed" >&2; exit 1; }

gas: setup ## print the gas of every act beside its bar, EAS and a registry of strings
	@FWLEDGER_JAVASCRIPT="$${FWLEDGER_JAVASCRIPT:-$$(.ci/javascript)}" $(BIN)/python -m tests.support.gas

coverage: setup ## which lines and arms of the contracts their tests run; fails if one does not
	@$(BIN)/python -m tests.support.coverage

lock: setup ## resolve the lock file anew, hashes included (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.11 --all-extras \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean: ## remove what the other targets made
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
