# Two commands matter: `make book` and `make test`. Both set up what is missing.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PRESET ?= mini
TASK ?= all
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
STAMP := $(VENV)/.set-up
UV_VERSION := 0.13.8

export OMP_NUM_THREADS ?= 1

.PHONY: book test fuzz walks faults options lab setup world claims parity-evidence test-gpu bridge-mmdet bridge-detectron2 lint lock lock-check clean

book: $(STAMP)  ## draw the world, run every notebook on PRESET, build the HTML book
	$(BIN)/egolib run all --preset $(PRESET) --jobs $(JOBS)
	$(BIN)/egolib book --name $(PRESET)

test: $(STAMP)  ## all tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -q -rs tests

fuzz: $(STAMP)  ## EGOLIB_FUZZ mutations (1,000) of every foreign file, for every reader; tests/fuzz/summary.yaml
	EGOLIB_FUZZ_SUMMARY=tests/fuzz/summary.yaml $(BIN)/python -m tests.fuzz $(or $(EGOLIB_FUZZ),1000)

walks: $(STAMP)  ## every walk from an official file to a result, and every shown command that trains
	EGOLIB_WALKS=all $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -q -rs tests/walks tests/book/test_executed.py

faults: $(STAMP)  ## every chain killed EGOLIB_FAULTS (6) times at random moments, and the other faults
	EGOLIB_FAULTS=$(or $(EGOLIB_FAULTS),6) $(BIN)/python -m pytest -q -rs tests/faults

options: $(STAMP)  ## tries every alternative of every declared option; adds to the lists of results
	failed=0; for task in vq2d vod vlp nlq mq; do $(BIN)/python -W ignore -m tests.options $$task \
	  || failed=1; done; exit $$failed

lab: $(STAMP)  ## JupyterLab, with your_video.ipynb open
	$(BIN)/jupyter lab --notebook-dir=. notebooks/your_video.ipynb

setup: $(STAMP)  ## the environment of requirements.lock in .venv

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else \
	  f"egolib needs Python 3.11 to 3.14, found {v[0]}.{v[1]}: make setup PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $(STAMP)

world: $(STAMP)  ## the built-in world of PRESET
	$(BIN)/egolib world make --preset $(PRESET) --workers $(JOBS)

claims: $(STAMP)  ## the comparisons of TASK over three seeds; writes book/evidence
	$(BIN)/python -m benchmarks.claims $(TASK)

parity-evidence: $(STAMP)  ## how closely all recordings agree; writes book/evidence/parity.json
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -q tests/parity --evidence book/evidence/parity.json

test-gpu: $(STAMP)  ## recordings, rates and bf16 chains on a GPU; writes book/evidence/gpu.json
	$(BIN)/python -m benchmarks.gpu

bridge-mmdet: $(STAMP)  ## mmdet 3.x without compiled operators, for egolib.interop.mmdet
	$(UV) pip install --python $(BIN)/python --no-deps mmcv-lite==2.1.0 mmengine==0.10.7 mmdet==3.3.0 \
	  addict==2.4.0 terminaltables==3.1.10 shapely==2.1.2 termcolor==3.1.0 yapf==0.43.0

bridge-detectron2: $(STAMP)  ## detectron2 at a fixed commit, built from its public source
	scripts/bridge_detectron2.sh $(BIN)/python

lint: $(STAMP)  ## formatting, lint, types, stripped notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files -z '*.ipynb' | xargs -0 -r $(BIN)/nbstripout --verify

LOCK := $(UV) pip compile pyproject.toml --extra book --extra decord --group dev --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-annotate --no-header

lock: $(STAMP)  ## write requirements.lock anew after a change of dependencies
	$(LOCK) -q -o requirements.lock

lock-check: $(STAMP)  ## fail when requirements.lock does not follow from pyproject.toml
	cp requirements.lock $(VENV)/lock-check
	$(LOCK) -q -o $(VENV)/lock-check
	diff requirements.lock $(VENV)/lock-check

clean:  ## what can be made again, but for the environment and the data
	rm -rf _out book/live runs
