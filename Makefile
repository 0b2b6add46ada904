# Everything from nothing: each target makes the virtual environment it needs, then does its job.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-long peers extras docs lint format clean

demo: $(VENV)/.installed
	$(BIN)/flowface demo --out output/demo --overwrite

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-long: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m minutes

peers: $(VENV)/.installed-peers
	$(BIN)/python -m pytest -o addopts="-q --import-mode=importlib" tests/peers

# What is skipped where an optional package is absent: USD, the browser viewer, batches on Ray, the site.
extras: $(VENV)/.installed-extras
	$(BIN)/python -m pytest tests/exporting/test_usd.py tests/cli/test_view.py tests/viewing/browser \
		tests/batches/test_on_ray.py tests/training/test_sweeps.py tests/docs/test_site.py

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "output/site/index.html"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) output build *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "flowface needs Python 3.11 to 3.13; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev,mediapipe]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-peers: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev,mediapipe,peers]'
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed

$(VENV)/.installed-extras: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev,mediapipe,usd,viewer,batches,docs]' playwright
	@touch $@ $(VENV)/.installed-docs $(VENV)/.installed-dev $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[docs]'
	@touch $@ $(VENV)/.installed
