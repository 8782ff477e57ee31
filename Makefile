# Each target is a command that one can type as well; see README.md.

SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
RUN := .venv/bin/python
FULL := ARCHITECTURES=1000 DERIVATIONS=500 KILLS=30
FULL += MUTATIONS_ARCHITECTURE=500 MUTATIONS_RUNS=200 FLAG_SETS=200 DAMAGES=7
FULL += EXPORTS=22 ALL_CASES=1

.PHONY: demo test quick check-full outside lint clean

demo: .venv/installed
	$(RUN) -m experiments.search --workdir=runs/demo/search --limit=macs=2.1M \
	  --network_images=1000
	$(RUN) -m experiments.compare --search=runs/demo/search \
	  --workdir=runs/demo/compare --fractions=1,0.5,0.25

test: .venv/installed
	$(RUN) -m pytest -q -n 2

# Without tests that take more than about 2 seconds each.
quick: .venv/installed
	$(RUN) -m pytest -q -n 2 -m 'not slow'

# Every block, and the step of every preset; of each 1,000 architectures instead of 20
# and 500 cases of deriving instead of 30; 30 kills, 700 damaged files, 200 sets of
# flags; exports of every published network; all cases of the tests of which
# `make test` draws a few. Writes its log.
check-full: .venv/installed
	mkdir -p results
	(echo '$(FULL)'; $(FULL) $(RUN) -m pytest -v --no-header -n 2 --dist=worksteal \
	  -k 'built_network or every_block or whole_preset or never_exceeded or killed_run or damaged or could_run or network_is_exported' \
	  tests/spaces tests/properties/closed_form_test.py \
	  tests/derive tests/run/kills_test.py tests/run/workdir/checkpoints_test.py \
	  tests/export/write_test.py \
	  tests/properties/damaged_files_test.py tests/experiments/flag_sets_test.py && \
	  ALL_CASES=1 $(RUN) -m pytest -v --no-header -n 2 --dist=worksteal -m drawn) \
	  | tee results/check_full.txt

# The wheel, installed and used outside of the checkout.
outside:
	PYTHON=$(PYTHON) tools/outside.sh

lint: .venv/installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	.venv/bin/pyrefly check --python-interpreter-path $(RUN)

.venv/installed: setup.cfg requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs
