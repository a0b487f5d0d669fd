# `make demo` runs the demo sweep into runs/demo, `make study` every part of the study into runs/study (hours; it goes on
# where it was stopped; SCALE=tiny: minutes), `make test` the tests, `make quick` those that are not slow.
# All set up .venv first, once.

PYTHON ?= python3
BIN := .venv/bin
# uv, where it is installed, is the faster pip.
INSTALL := $(if $(shell command -v uv),uv pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)

# A file's tests stay on one worker, which has their fixtures; the files with slow tests come first (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder

.PHONY: demo study test quick check clean

demo: .venv/installed
	$(BIN)/python -m launch.main --config=launch/presets/demo.py --workdir=runs/demo

STUDY := grid long temperature examples first_pool depth width
study: .venv/installed
	for part in $(STUDY); do \
	  $(BIN)/python -m launch.main --config=launch/presets/study.py:$$part$(SCALE:%=-%) --workdir=runs/study$(SCALE:%=-%)/$$part \
	  || exit $$?; done

test: .venv/installed-test
	$(PYTEST)

quick: .venv/installed-test
	$(PYTEST) -m "not slow"

check: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

clean:
	rm -rf .venv

# The stamp comes last: an environment that was left half-made is made anew.
.venv/made:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, %s is %s" % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	rm -rf .venv
	$(if $(shell command -v uv),uv venv --quiet --python $(PYTHON) .venv,$(PYTHON) -m venv .venv)
	touch $@

.venv/installed: requirements.txt .venv/made
	$(INSTALL) -r requirements.txt
	touch $@

.venv/installed-test: requirements-test.txt requirements-slurm.txt .venv/installed
	$(INSTALL) -r requirements-test.txt
	touch $@
