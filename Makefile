# Every target sets up what it needs, into .venv; nothing but Python 3.11 or newer is expected.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PY := .venv/bin/python
# The trees that hold any Python: a part not written yet is not an error.
with_python = $(foreach tree,$(wildcard $(1)),$(if $(shell find $(tree) -name '*.py' | head -1),$(tree)))
CODE = $(strip $(call with_python,app bench demo scripts tests sdk/python/src sdk/python/tests))
TESTS = $(strip $(call with_python,tests sdk/python/tests))
LOCK := scripts/bootstrap uv pip compile --quiet --custom-compile-command 'make lock' --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-sources

.PHONY: help
help: ## what can be asked for
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: setup-run
setup-run:
	@scripts/bootstrap run

.PHONY: setup-dev
setup-dev:
	@scripts/bootstrap dev

.PHONY: run
run: setup-run ## the server, on http://localhost:8000, with nothing to configure
	@exec $(PY) -m app

.PHONY: test
test: setup-dev ## everything that one machine can prove
	$(PY) -m pytest -q -n auto --dist worksteal $(TESTS) $(ARGS)

.PHONY: soak
soak: setup-dev ## the tests that run for minutes
	$(PY) -m pytest -q -m soak $(TESTS) $(ARGS)

.PHONY: check
check: setup-dev ## format, lint, types, import contracts, docs against code
	$(PY) -m black --quiet --check $(CODE) || $(PY) -m black --check $(CODE)
	$(PY) -m ruff check --quiet $(CODE)
	$(PY) -m mypy $(CODE)
	.venv/bin/lint-imports --no-logo
	$(PY) -m scripts.check_docs

.PHONY: demo
demo: setup-dev ## two devices, one journal, from end to end
	@exec $(PY) -m demo $(ARGS)

.PHONY: bench
bench: setup-dev ## how fast, on this machine
	@exec $(PY) -m bench $(ARGS)

.PHONY: format
format: setup-dev ## what black and ruff can put right by themselves
	$(PY) -m ruff check --quiet --fix-only $(CODE)
	$(PY) -m black --quiet $(CODE)

.PHONY: docs
docs: setup-dev ## the tables in docs/ and .env.example, anew from the code
	$(PY) -m scripts.check_docs --write

.PHONY: lock
lock: ## the newest versions that fit, into the locks
	$(LOCK) --upgrade scripts/uv-requirements.in --output-file scripts/uv-requirements.txt
	$(LOCK) --upgrade pyproject.toml --output-file requirements.txt
	$(LOCK) --upgrade --group dev --constraints requirements.txt pyproject.toml \
		--output-file requirements-dev.txt

.PHONY: clean
clean: ## everything that can be made again; data/ stays
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
