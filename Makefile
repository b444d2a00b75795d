# make demo   compile one small real model for this machine, run it, show the report
# make test   the whole suite
# make builds the native core built anew: under sanitizers and for aarch64, its C++ tests run in each
# make lint   ruff, mypy --strict, the import contract, the naming contract
# make bench  graphopt beside its peers, one process per engine (quiet machine, a few minutes)
# make node-counts   nodes after -O2 beside onnxslim's and onnxsim's, on the 14 models
# make scaling       how compile time grows from 10,000 to 50,000 nodes
# make cuda-share    the share of each model's FLOPs inside TensorRT engines, on the 14 models
# make gpu           the tests and benchmarks that need an NVIDIA GPU (elsewhere the tests say why they skip)
# make soak   the long property tests, which `make test` leaves out
# make clean  remove everything these made, except the fetched models
#
# Needs Python 3.11 or later and a C++ compiler. CMake comes from the package index if it is missing.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
    "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
LINT := build/lint
DEMO := build/demo
JOBS ?= 2
NATIVE := CMakeLists.txt $(shell find kernels -type f 2>/dev/null)
SOURCES := $(shell find graphopt passes -type f ! -name '*.pyc' 2>/dev/null)
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
EDITABLE := $(PIP) install --no-build-isolation --editable
# Who works on graphopt builds the C++ tests with it: one compilation of the kernels serves both.
WITH_TESTS := --config-settings=cmake.define.GRAPHOPT_BUILD_TESTS=ON --config-settings=cmake.define.GRAPHOPT_WERROR=ON

.PHONY: demo test builds lint bench node-counts scaling cuda-share gpu soak zoo clean
.DELETE_ON_ERROR:

demo: $(VENV)/.cpu
	@mkdir -p $(DEMO)
	@$(BIN)/python -m benchmarks.zoo fetch ppocr_cls > $(DEMO)/model.txt
	@$(BIN)/python -m benchmarks.zoo feeds ppocr_cls $(DEMO)/in.npz
	$(BIN)/graphopt compile "$$(cat $(DEMO)/model.txt)" --target cpu -o $(DEMO)/ppocr_cls.gopt
	$(BIN)/graphopt run $(DEMO)/ppocr_cls.gopt --inputs $(DEMO)/in.npz --outputs $(DEMO)/out.npz --print-time --repeat 100
	@echo "report: $(DEMO)/ppocr_cls.gopt/report.html"

# Tests that time something run alone, after the parallel part. Exit status 5 means there are none.
test: $(VENV)/.dev zoo
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not timing and not soak and not builds"
	$(BIN)/pytest -m "timing and not soak" || [ $$? -eq 5 ]

builds: $(VENV)/.dev
	$(BIN)/pytest -m builds tests/native

soak: $(VENV)/.dev zoo
	$(BIN)/pytest -m soak || [ $$? -eq 5 ]

# In CI a model that cannot be fetched is a failure; elsewhere its tests are skipped and say why.
zoo: | $(VENV)/.cpu
	@$(BIN)/python -m benchmarks.zoo fetch shared >/dev/null || [ -z "$(CI)" ]

lint: $(VENV)/.dev $(LINT)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	cd $(LINT) && $(CURDIR)/$(BIN)/mypy --strict --config-file $(CURDIR)/pyproject.toml \
	    --cache-dir $(CURDIR)/.mypy_cache -p graphopt
	$(BIN)/pytest -q tests/architecture

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

node-counts: $(VENV)/.bench
	$(BIN)/python -m benchmarks.node_counts

scaling: $(VENV)/.dev
	$(BIN)/python -m benchmarks.scaling

cuda-share: $(VENV)/.dev zoo
	$(BIN)/python -m benchmarks.cuda_share

gpu: $(VENV)/.dev zoo
	$(BIN)/pytest -m gpu tests/gpu
	$(BIN)/python -m benchmarks.gpu

clean:
	rm -rf build dist $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.created:
	@[ -n "$(PYTHON)" ] || { echo "error: Python 3.11 or later is needed; set PYTHON=/path/to/python3"; exit 1; }
	@command -v c++ g++ clang++ >/dev/null || { echo "error: a C++ compiler is needed: g++ or clang++"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# What building needs, installed once, so that repeated builds reuse CMake's cache.
$(VENV)/.tools: $(VENV)/.created
	$(PIP) install "scikit-build-core>=1.1" "nanobind>=3.1" ninja
	@cmake --version 2>/dev/null | awk 'NR == 1 { split($$3, v, "."); exit !(v[1] > 3 || v[2] >= 25) } \
	    END { if (!NR) exit 1 }' || $(PIP) install "cmake>=3.25"
	@touch $@

$(VENV)/.cpu: $(VENV)/.tools pyproject.toml $(NATIVE)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(EDITABLE) ".[cpu]"
	@touch $@

$(VENV)/.dev: $(VENV)/.tools pyproject.toml $(NATIVE)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(EDITABLE) ".[dev]" $(WITH_TESTS)
	$(PIP) install --no-deps "tensorrt-stubs==10.13.0.35.1"  # without the library they describe
	@touch $(VENV)/.cpu $@

$(VENV)/.bench: $(VENV)/.dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(EDITABLE) ".[bench]" $(WITH_TESTS)
	@touch $@

# mypy sees graphopt.passes only where it is a folder of the package: in a real install.
$(LINT)/.installed: $(VENV)/.dev $(SOURCES)
	@rm -rf $(LINT)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --no-build-isolation --no-deps --target $(LINT) .
	@touch $@
