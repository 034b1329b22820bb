# make demo   set up and make the first faces in out/
# make lab    set up for notebooks and open JupyterLab
# make app    set up and open the page to try in a browser
# make test   set up, lint, test
# make docs   the documentation, in site/
# make bench  the figures of docs/figures.md
# make picture  the pictures of README.md
# make test-release   what the documentation shows, its site, and the package that is released
# make test-notebooks   the notebooks that need more than the notebook extra
# make test-colab test-newest   the other notebooks with Colab's versions, and what versions touch with the newest
# make viewer  the notebook viewer's module, after a change in viewer/
# make train-default PACK=path   train the embedded default again

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := -m pip install --disable-pip-version-check --constraint constraints.txt
PIP := $(BIN)/python $(INSTALL)
OUT ?= out
# Where torch comes from, if not from the package index: the CPU's own wheel is a fifth as large. See README.md.
TORCH_INDEX ?=

# A process per core up to four, each with one thread; files stay whole, for what their tests share.
WORKERS ?= --numprocesses auto --maxprocesses 4 --dist loadfile
# glibc gives maps of some MB back to the system as soon as they are freed, and asks for them again: a fifth of the time.
# Compiled files are kept, whatever the environment says, since Python starts often.
QUICKLY := OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=536870912 PYTHONDONTWRITEBYTECODE=

# How other versions are installed, and most of what they need, with what runs notebooks as tests: all but our own sources,
# of which pip makes one environment's at a time.
COLAB := .venv-colab/bin/python $(INSTALL) --no-compile --constraint constraints-colab.txt
NEWEST := .venv-newest/bin/python $(INSTALL) --no-compile
MOST := torch matplotlib plotly ipywidgets ipykernel pytest pytest-xdist nbclient nbformat

# Notebooks that need more than the notebook extra run with everything installed; the others with other versions.
EXTRAS := 06_rig or 07_from or 08_from or 09_eval or 10_data
MATRIX := tests/test_notebooks.py tests/test_colab.py tests/viz/test_notebook.py tests/viz/test_charts.py \
	tests/viz/viewer/test_widget.py -k "not ($(EXTRAS))"
# The newest versions are mostly those of .venv: what is left are files, charts and two notebooks with them.
LATEST := tests/files tests/io tests/viz/test_charts.py tests/test_notebooks.py \
	-k "not test_runs or 01_generate or 04_comparison"

.PHONY: demo lab app test suite test-release test-notebooks test-colab test-newest environments lint style types \
	format docs space bench train-default notebooks notebooks-translated picture viewer wheel lock clean

demo: $(VENV)/.core
	$(BIN)/facekit demo --out $(OUT)

lab: $(VENV)/.lab
	cd notebooks && ../$(BIN)/jupyter lab

app: $(VENV)/.app
	$(BIN)/facekit app

# Types are checked beside the tests: that has one thread.
test: style
	$(MAKE) --no-print-directory --jobs 2 types suite

suite: $(VENV)/.dev
	$(QUICKLY) $(BIN)/python -m pytest $(WORKERS) -m "not notebook and not release"

test-release: $(VENV)/.dev
	$(QUICKLY) $(BIN)/python -m pytest $(WORKERS) -m release

test-notebooks: $(VENV)/.dev
	$(QUICKLY) $(BIN)/python -m pytest $(WORKERS) tests/test_notebooks.py -k "$(EXTRAS)"

test-colab: .venv-colab/.ready
	$(QUICKLY) .venv-colab/bin/python -m pytest $(WORKERS) $(MATRIX)

test-newest: .venv-newest/.ready
	$(NEWEST) --upgrade --upgrade-strategy eager --editable '.[notebook]'
	$(QUICKLY) .venv-newest/bin/python -m pytest $(WORKERS) $(LATEST)

# What continuous integration begins with: pip uses one core, so that with --jobs it takes half as long.
environments: $(VENV)/.dev .venv-colab/.most .venv-newest/.most

lint: style types

style: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
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
	$(BIN)/python benchmarks/rig.py
	$(BIN)/python benchmarks/datasets.py
	$(BIN)/python benchmarks/labels.py

# Runs the gallery's scripts, writes their pictures, and stops at the first warning.
docs: $(VENV)/.docs
	$(BIN)/python docs/build.py

# The folder that a Hugging Face Space consists of.
space: $(VENV)/.core
	$(BIN)/python -m facekit.app.space $(OUT)/space

train-default: $(VENV)/.train
	$(BIN)/python -m facekit.train --pack "$(PACK)"

# Stamps the repository's address (REPOSITORY=owner/name) into badges and setup cells of the notebooks.
notebooks: $(VENV)/.dev
	$(BIN)/python notebooks/stamp.py "$(REPOSITORY)"

# Says that the Korean prose of notebooks/ko fits the English again.
notebooks-translated: $(VENV)/.dev
	$(BIN)/python notebooks/stamp.py --translated

# Draws the moving picture at the top of README.md again.
picture: $(VENV)/.dev
	$(BIN)/python docs/make_hero.py

# Bundles viewer/src with three.js into facekit/viz/viewer/static; commit the result. Needs node 18 or newer.
viewer: viewer/node_modules
	cd viewer && npm run --silent build

viewer/node_modules: viewer/package-lock.json
	cd viewer && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# The versions of everything that developing needs, for all systems and Pythons.
lock: $(VENV)/.dev
	$(BIN)/python -m pip install --disable-pip-version-check uv
	$(BIN)/uv pip compile --universal --python-version 3.10 --no-emit-index-url --no-header --no-annotate \
		--all-extras --constraint constraints.txt --output-file requirements-dev.lock setup.py

wheel: $(VENV)/.dev
	$(BIN)/python -m build --wheel --outdir dist

# Without compiling what few will import the first face comes 20 s earlier; developing starts Python so often that all of
# it is compiled then.
# Each stamp is older than the files that decide what is installed, so a second run installs nothing.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python setup.py constraints.txt
	$(if $(TORCH_INDEX),$(PIP) --no-compile --index-url $(TORCH_INDEX) torch)
	$(PIP) --no-compile --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[dev,notebook,weights,video,hub,app,docs,train,data,ray,photo,evaluate]'
	-$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
	@touch $@

$(VENV)/.lab: $(VENV)/.core
	$(PIP) --editable '.[notebook]' jupyterlab
	@touch $@

$(VENV)/.app: $(VENV)/.core
	$(PIP) --editable '.[app]'
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	$(PIP) --editable '.[docs]'
	@touch $@

$(VENV)/.train: $(VENV)/.core
	$(PIP) --editable '.[train]'
	@touch $@

.venv-colab/.most: Makefile constraints.txt constraints-colab.txt
	$(PYTHON) -m venv .venv-colab
	$(COLAB) $(MOST)
	@touch $@

.venv-colab/.ready: .venv-colab/.most setup.py
	$(COLAB) --editable '.[notebook]'
	@touch $@

.venv-newest/.most: Makefile constraints.txt
	$(PYTHON) -m venv .venv-newest
	$(NEWEST) $(MOST)
	@touch $@

.venv-newest/.ready: .venv-newest/.most setup.py
	$(NEWEST) --editable '.[notebook]'
	@touch $@

clean:
	rm -rf $(OUT) dist build site .pytest_cache .ruff_cache
