# Two commands matter: `make study` runs the main job on the embedded corpus, `make test` runs the tests.
# Both set up .venv first. PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
STUDY ?= studies/default

.PHONY: study test check verify bench clean

study: $(INSTALLED)
	$(BIN)/otoscope study --out $(STUDY)

test: $(INSTALLED) check
	$(BIN)/pytest -m "not long"

# What a machine can check without running anything: style, types, the direction of imports.
check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Long checks: the tests marked long, the first AN4 study, pretrained recognisers (20 minutes), then the AN4 recipe, 12
# runs of half an hour, its findings and content, and the detectors of findings on constructed studies: a night on two
# cores (needs OTOSCOPE_CORPORA or ../shared/corpora).
verify: $(INSTALLED)
	$(BIN)/pytest -m long
	$(BIN)/python benchmarks/an4.py
	$(BIN)/python -m benchmarks.pretrained
	$(BIN)/python benchmarks/recipes.py an4
	$(BIN)/python -m benchmarks.findings
	$(BIN)/python -m benchmarks.layer_matching --study studies/recipe-an4
	$(BIN)/python -m benchmarks.content
	$(BIN)/python -m benchmarks.content --models --study studies/recipe-an4
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.pruning --study studies/recipe-an4 --runs transformer/seed0 conformer/seed0
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.detectors

# Speed and memory beside other libraries (in an environment of their own), coverage of the intervals, real layers,
# training throughput, what watching costs: two hours or so on two quiet cores; tables under docs/results/.
bench: $(INSTALLED)
	PYTHON=$(PYTHON) bash benchmarks/peers/setup.sh
	$(BIN)/python -m benchmarks.measures
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/cross_utterance.py
	$(BIN)/python benchmarks/real_layers.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/watching.py

# torch first and alone: a looser requirement would bring gigabytes of CUDA where only a CPU build is wanted.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Otoscope needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check "pip>=25.1"
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[lhotse]" --group dev
	touch $@

clean:
	rm -rf .venv .venv-peers
