# make demo   set up and make the first faces in out/
# make test   set up, lint, test
# make bench  the figures of README.md
# make picture  the picture of README.md
# make viewer  the notebook viewer's module, after a change in viewer/
# make train-default PACK=path   train the embedded default again

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
OUT ?= out

.PHONY: demo test lint format bench train-default notebooks picture viewer wheel clean

demo: $(VENV)/.core
	$(BIN)/facekit demo --out $(OUT)

test: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/render.py
	$(BIN)/python benchmarks/export.py
	$(BIN)/python benchmarks/published.py
	$(BIN)/python benchmarks/viewer.py

train-default: $(VENV)/.train
	$(BIN)/python -m facekit.train --pack "$(PACK)"

# Stamps the repository's address (REPOSITORY=owner/name) into badges and setup cells of the notebooks.
notebooks: $(VENV)/.dev
	$(BIN)/python notebooks/stamp.py "$(REPOSITORY)"

# Draws the picture at the top of README.md again.
picture: $(VENV)/.core
	$(BIN)/python docs/make_hero.py

# Bundles viewer/src with three.js into facekit/viz/static; commit the result. Needs node 18 or newer.
viewer: viewer/node_modules
	cd viewer && npm run --silent build

viewer/node_modules: viewer/package-lock.json
	cd viewer && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

wheel: $(VENV)/.dev
	$(BIN)/python -m build --wheel --outdir dist

# Each stamp is older than the files that decide what is installed, so a second run installs nothing.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python setup.py constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[dev,notebook,weights]'
	@touch $@

$(VENV)/.train: $(VENV)/.core
	$(PIP) --editable '.[train]'
	@touch $@

clean:
	rm -rf $(OUT) dist build .pytest_cache .ruff_cache
