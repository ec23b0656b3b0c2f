# Every target makes its own environment, .venv, on first use.
#     make train ARGS="--preset micro --steps 500"
PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
EXTRAS := $(VENV)/extras
EXTRAS_READY := $(EXTRAS)/.ready
BENCHMARKS := start step experts overhead app attention generate million quality

.DEFAULT_GOAL := help
.PHONY: help run train test test-extras test-gpu torture coverage audit check format bench pictures docs snapshots wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## open the app; options in ARGS
	@$(BIN)/tinygpt-tui $(ARGS)

train: $(READY) ## train both models in this terminal; options in ARGS
	$(BIN)/tinygpt-tui --train-only $(ARGS)

test: $(READY) ## run the tests; options of pytest in ARGS
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-extras: $(EXTRAS_READY) $(READY) ## the tests of optional packages, in an environment with them; options of pytest in ARGS
	$(EXTRAS)/bin/python -m pytest -n auto --dist worksteal tests/extras $(ARGS)

test-gpu: $(READY) ## the tests that need a GPU; options of pytest in ARGS
	$(BIN)/python -m pytest -m gpu tests/core $(ARGS)

torture: $(READY) ## the tests that take minutes: kills, faults, floods; options of pytest in ARGS
	$(BIN)/python -m pytest -m torture -o faulthandler_timeout=0 tests/torture -n auto --dist worksteal $(ARGS)

coverage: $(READY) ## which lines the tests run, in all processes that they start
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist worksteal $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='tinygpt/*,trainer.py' --fail-under=95
	$(BIN)/coverage report --include='tinygpt_tui/*' --fail-under=90

audit: ## look for known vulnerabilities in the locked packages; options of pip-audit in ARGS
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit==2.10.1
	$(VENV)/audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip $(ARGS)

check: $(READY) ## lint, formatting, types, direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format the code and fix what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## measure what the documentation claims (those scripts that take minutes)
	@set -e; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py; done

pictures: $(READY) ## draw the README's pictures on a small run, or on the RUN in ARGS
	$(BIN)/python scripts/pictures.py $(ARGS)

docs: $(READY) ## rewrite the tables of keys and options in docs/
	UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest -q tests/test_docs.py

snapshots: $(READY) ## rewrite the snapshots of the screens and those tables; look at the diff
	UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest -q -n auto tests/tui tests/test_docs.py

wheel: $(READY) ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove the environment, builds and caches; runs in checkpoints/ stay
	rm -rf $(VENV) build dist *.egg-info
	rm -rf .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps, so that an edit of pyproject.toml does not download torch again.
$(LOCKED): requirements.lock
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.lock
	touch $@

$(READY): $(LOCKED) pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	touch $@

# Over $(VENV), whose packages it sees, the project among them: a second torch would take minutes.
$(EXTRAS_READY): $(LOCKED) requirements-extras.lock
	$(PYTHON) -m venv --clear --without-pip $(EXTRAS)
	$(BIN)/python -c "import sysconfig; print(f'import site; site.addsitedir({sysconfig.get_path(\"purelib\")!r})')" \
	  > "$$($(EXTRAS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	$(BIN)/python -m pip --python $(EXTRAS)/bin/python install --disable-pip-version-check --quiet \
	  --no-deps -r requirements-extras.lock
	touch $@
