# make help lists the targets. Everything is installed into .venv, once, from requirements.lock.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first Python on the PATH that runs and is new enough; or name one: make demo PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
WORKERS ?= 2
PY := .venv/bin/python
INSTALLED := .venv/.installed
REAL := out/real

PHOTO = $$($(PY) -c 'import matplotlib; print(matplotlib.get_data_path() + "/sample_data/grace_hopper.jpg")')

.PHONY: help demo photo test check docs real ablations clean lock

help:  ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/'

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer was found; name one with PYTHON=/path/to/python3.12" >&2; exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

demo: $(INSTALLED)  ## the bundled portrait says the bundled recording: out/demo.mp4, out/demo_track.npz and .csv
	@mkdir -p out
	$(PY) sample.py --portrait demo_jax/assets/portrait.png --audio demo_jax/assets/speech.wav --out out/demo.mp4

photo: $(INSTALLED)  ## a photograph (Grace Hopper, US Navy, public domain) says the bundled recording: out/photo.mp4
	@mkdir -p out
	$(PY) sample.py --portrait "$(PHOTO)" --audio demo_jax/assets/speech.wav --out out/photo.mp4

test: $(INSTALLED)  ## run the tests, those that start and kill processes last
	$(PY) -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

check: $(INSTALLED)  ## lint, format, types, then the tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(MAKE) --no-print-directory test

docs: $(INSTALLED)  ## the documentation as a site: out/site/index.html
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

real: $(INSTALLED)  ## make real DATA=folder [PORTRAIT=picture AUDIO=sound]: prepare videos, train both stages, sample
	@test -n "$(DATA)" || { echo "error: say which folder of videos to use: make real DATA=folder" >&2; exit 2; }
	$(PY) -m data_pipelines.prepare --videos "$(DATA)" --out $(REAL)/records
	$(PY) train.py --config=configs/real_autoencoder.py --workdir=$(REAL)/autoencoder \
		--config.data.path=$(REAL)/records
	$(PY) -m data_pipelines.encode --autoencoder $(REAL)/autoencoder --data $(REAL)/records --out $(REAL)/codes
	$(PY) train.py --config=configs/real_flow.py --workdir=$(REAL)/flow \
		--config.data.path=$(REAL)/codes --config.autoencoder=$(REAL)/autoencoder
	$(PY) -m data_pipelines.excerpt --data $(REAL)/records --out $(REAL)
	$(PY) sample.py --checkpoint $(REAL)/flow --portrait "$(or $(PORTRAIT),$(REAL)/portrait.png)" \
		--audio "$(or $(AUDIO),$(REAL)/speech.wav)" --out $(REAL)/sample.mp4

ablations: $(INSTALLED)  ## make ablations DATA=folder: which of stage 1's losses matter; goes on where it stopped
	@test -n "$(DATA)" || { echo "error: say which puppet corpus to use: make ablations DATA=folder" >&2; exit 2; }
	$(PY) -m benchmarks.ablations --data "$(DATA)" --out out/ablations

lock:  ## pin the dependencies again (needs uv)
	@echo "# Every dependency of demo_jax[dev], pinned for Python 3.11 to 3.13. Made by: make lock" > .lock.tmp
	uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --no-emit-index-url --no-annotate \
		--no-header pyproject.toml >> .lock.tmp
	@mv .lock.tmp requirements.lock

clean:  ## remove .venv, the demo's output and caches; out/real stays
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .numba_cache .jax_cache out/demo*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
