# Everything runs in .venv; each target makes it if it is missing. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# On x86-64 these two versions are known to work together; elsewhere pip chooses.
AUTHOR := $(if $(filter x86_64,$(shell uname -m)),torch==2.14.1 torchvision==0.29.1,)
SOURCES := collabd sdk models tests packaging release examples handbook
# More processes than cores: many tests wait, for a daemon to start or a peer to give up. A test that kills its process
# (tests/watchdog.py ends those that hang) is tried again in another one, and has failed all the same.
SIDE_BY_SIDE := --numprocesses=4 --dist=loadfile --max-worker-restart=2

.DEFAULT_GOAL := help
include packaging/install.mk packaging/deb.mk packaging/debian.mk packaging/arm64.mk packaging/release.mk
.PHONY: help demo test-quick test test-openvino lint types check bench bench-alternatives bench-companion fleet live chaos soak fuzz pictures accuracy sweep models docs clean

help:  ## List the targets
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

$(VENV)/run: pyproject.toml sdk/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "collabd needs Python 3.11 or newer (PYTHON=...)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: sudo apt install python3-venv"; exit 1; }
	@echo "installing collabd into $(VENV) ..."
	@$(PIP) install -e ./sdk -e .
	@touch $@

$(VENV)/dev: $(VENV)/run
	@echo "installing what the tests need into $(VENV) (torch too, which takes a while) ..."
	@$(PIP) install $(AUTHOR) -e ./sdk -e '.[author,dev,docs,frigate]'
	@touch $@

demo: $(VENV)/run  ## Show the main job: both daemons, a shaped link, real images, a killed companion
	@$(BIN)/python -m collabd.simulation.demo

test-quick: $(VENV)/dev  ## Run the unit tests without the slow ones, in less than three minutes
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'not slow' tests/unit

# COVERAGE: options of pytest-cov. What is measured alone is not slowed by them.
# Tests that run alone are looked for in their own files: to import all the others takes most of a minute. Tests that
# need another build of ONNX Runtime have targets of their own: `make test-openvino`, and `pytest -m gpu` where a GPU is.
# A few that fail have a second try on their own (tests/second_try.py), and are named at the end.
test: $(VENV)/dev  ## Run the tests
	@$(BIN)/python -m tests.second_try $(SIDE_BY_SIDE) $(COVERAGE) -m 'not packaging and not alone and not openvino and not gpu'
	@$(BIN)/python -m tests.second_try -m 'alone and not packaging' $(shell grep -rl --include='test_*.py' 'pytest\.mark\.alone' tests)

# Both packages install the same module, so that this one has an environment of its own. The rest comes from the other.
PACKAGES := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
build/openvino/ready: $(VENV)/dev
	@$(PYTHON) -m venv build/openvino
	@build/openvino/bin/pip --disable-pip-version-check --quiet install --no-deps onnxruntime-openvino
	@echo "import site; site.addsitedir('$$($(BIN)/python $(PACKAGES))')" >"$$(build/openvino/bin/python $(PACKAGES))/rest.pth"
	@touch $@

test-openvino: build/openvino/ready  ## Run the tests of OpenVINO as a provider, on x86-64
	@build/openvino/bin/python -m pytest -m openvino tests/unit/providers tests/integration/cloud/test_providers.py

lint: $(VENV)/dev  ## Check the style and the borders between the parts
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/lint-imports

types: $(VENV)/dev  ## Check the static types
	@$(BIN)/mypy

# Ray's tests skip where it is not installed.
$(VENV)/check: $(VENV)/dev
	@$(PIP) install -e ./sdk -e '.[ray]'
	@touch $@

# As root every test must run, none skip. What takes longest is shown: the whole is to stay under 20 minutes.
check: lint types $(VENV)/check  ## Run all that CI runs
	@SYSTEM_TESTS=$(if $(filter 0,$(shell id -u)),required) PYTEST_ADDOPTS=--durations=25 \
	    $(MAKE) --no-print-directory test COVERAGE='--cov --cov-report='
	@$(BIN)/coverage report
	@$(if $(filter x86_64,$(shell uname -m)),SYSTEM_TESTS=required $(MAKE) --no-print-directory test-openvino)
	@$(BIN)/python -m pytest -m packaging tests/packaging/test_install.py tests/packaging/test_readme.py \
	    tests/packaging/test_newcomer.py
	@$(MAKE) --no-print-directory demo

bench: $(VENV)/dev  ## Measure memory, start-up, decisions and codecs
	@$(BIN)/python -m tests.bench

bench-alternatives: $(VENV)/dev  ## Compare collabd with a plain server, on a slow device (as root): make bench-alternatives [ARGS=--full]
	@mkdir -p build/bench
	@$(BIN)/python -m tests.bench.alternatives $(ARGS)

bench-companion: $(VENV)/dev  ## Compare a companion under load with the engine alone and a plain server [ARGS='--only rates']
	@$(BIN)/python -m tests.bench.companion $(ARGS)

# 10,000 devices take two hours of one core and 6 GB of memory, by estimate. TRACES: records of links, in place of a steady one.
fleet: $(VENV)/dev  ## Simulate fleets of devices on shared companions: make fleet [DEVICES="2000"] [TRACES="a.json b.json"]
	@mkdir -p build
	@$(BIN)/collabctl simulate --model models/efficientnet_lite0/package --every-ms 1000 --device-slowdown 16 \
	    --profile tests/bench/profiles/efficientnet_lite0.json \
	    $(if $(TRACES),$(addprefix --trace ,$(TRACES)),--mbit-s 20) \
	    $(addprefix --devices ,$(if $(DEVICES),$(DEVICES),10 100 1000 2000)) --json >build/fleet.json
	@echo "build/fleet.json"

live: $(VENV)/dev  ## Measure predictions, reactions and caps with both daemons and a shaped link
	@$(BIN)/python -m tests.bench.live

chaos: $(VENV)/dev  ## Call both daemons 10,000 times while everything breaks: make chaos [REQUESTS=1000] [SEED=2]
	@mkdir -p build
	@$(BIN)/python -m tests.chaos $(if $(REQUESTS),--requests $(REQUESTS)) $(if $(SEED),--seed $(SEED)) --json build/chaos.json

soak: $(VENV)/dev  ## Call both daemons 100,000 times and check that nothing grows: make soak [REQUESTS=5000]
	@mkdir -p build
	@$(BIN)/python -m tests.soak $(if $(REQUESTS),--requests $(REQUESTS)) --plot build/soak.png

$(VENV)/fuzz: $(VENV)/run
	@$(PIP) install -e ./sdk -e '.[fuzz]'
	@touch $@

fuzz: $(VENV)/fuzz  ## Feed every parser a million broken inputs: make fuzz [RUNS=100000]
	@$(BIN)/python -m tests.fuzz $(if $(RUNS),--runs $(RUNS))

pictures: $(VENV)/dev  ## Make the pictures of the documentation that show collabd at work (as root)
	@$(BIN)/python -m tests.pictures.top

accuracy: $(VENV)/dev  ## Measure the top-1 of every split through the daemons: make accuracy DATA=cifar10.zip
	@$(BIN)/python -m tests.bench.accuracy $(DATA)

sweep: $(VENV)/dev  ## Import all networks of torchvision and cut them everywhere; this takes hours and can be resumed
	@mkdir -p build
	@$(BIN)/python -m tests.bench.torchvision_sweep --write

models: $(VENV)/dev  ## Build the model packages of this repository again: make models DATA=cifar10.zip PHOTOGRAPHS=folder
	@$(BIN)/python -m models.build --data $(DATA) --photographs $(PHOTOGRAPHS)
	@$(BIN)/python -m models.quantise --data $(DATA) --photographs $(PHOTOGRAPHS)
	@$(BIN)/python -m models.pair --data $(DATA)

$(VENV)/docs: $(VENV)/run
	@$(PIP) install -e ./sdk -e '.[docs]'
	@touch $@

docs: $(VENV)/docs  ## Build the documentation as a site into build/site; no link in it leads nowhere
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html is there; with the search: python3 -m http.server --directory build/site"

clean:  ## Remove what the targets made
	rm -rf $(VENV) build dist *.egg-info sdk/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
