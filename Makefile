# make demo   set up and make the first faces in out/
# make test   set up, lint, test
# make bench  the figures of README.md
# make picture  the picture of README.md
# make test-colab test-newest   the notebooks' code with Colab's versions, and with the newest
# make viewer  the notebook viewer's module, after a change in viewer/
# make train-default PACK=path   train the embedded default again

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
OUT ?= out

MATRIX := tests/test_notebooks.py tests/test_colab.py tests/viz/test_notebook.py tests/viz/test_charts.py \
	tests/viz/viewer/test_widget.py

.PHONY: demo test test-colab test-newest lint format bench train-default notebooks picture viewer wheel clean

demo: $(VENV)/.core
	$(BIN)/facekit demo --out $(OUT)

test: lint
	$(BIN)/python -m pytest

test-colab: .venv-colab/.ready
	.venv-colab/bin/python -m pytest $(MATRIX)

test-newest: .venv-newest/.ready
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager \
		--constraint constraints.txt --editable '.[notebook]'
	.venv-newest/bin/python -m pytest $(MATRIX)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python --level error

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/render.py
	$(BIN)/python benchmarks/detail.py
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

# Bundles viewer/src with three.js into facekit/viz/viewer/static; commit the result. Needs node 18 or newer.
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
	$(PIP) --editable '.[dev,notebook,weights,train]'
	@touch $@

$(VENV)/.train: $(VENV)/.core
	$(PIP) --editable '.[train]'
	@touch $@

.venv-colab/.ready: setup.py constraints.txt constraints-colab.txt
	$(PYTHON) -m venv .venv-colab
	.venv-colab/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--constraint constraints-colab.txt --editable '.[notebook]' pytest nbclient nbformat
	@touch $@

.venv-newest/.ready: setup.py constraints.txt
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[notebook]' pytest nbclient nbformat
	@touch $@

clean:
	rm -rf $(OUT) dist build .pytest_cache .ruff_cache
