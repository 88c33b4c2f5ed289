# make app    the app on http://localhost:8501
# make test   lint, rooms, types and every test but the slow ones
# make test-slow   the slow tests, and all that drive a browser
# Nothing is needed beforehand but Python 3.11+ and make: the first run fills .venv.

PYTHON ?= python3
WORKERS ?= 2

BIN := .venv/bin
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
RAY := .venv/.ray-installed
BESIDE := .venv/.beside-installed

.PHONY: app test test-slow lint rooms types chromium format clean

app: $(RUNTIME)
	exec $(BIN)/streamlit run app.py --server.port 8501 --server.address localhost

test: lint rooms types chromium
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

test-slow: $(DEV) $(RAY) $(BESIDE) chromium
	$(BIN)/python -m pytest -m "slow or browser"

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

rooms: $(DEV)
	$(BIN)/lint-imports --no-logo

types: $(DEV)
	$(BIN)/mypy

chromium:
	@sh tools/ensure_chromium.sh

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find redviz pages tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# pip is only asked again when a requirements file changes. A half-made .venv is removed, so that the next try starts afresh.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "redviz needs Python 3.11 or newer; $(PYTHON) was not found: run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "redviz needs Python 3.11 or newer; this is %d.%d: run make PYTHON=/path/to/python3.11" % (v[0], v[1]))'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

$(RUNTIME): requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch $@

$(RAY): requirements-ray.txt $(RUNTIME)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-ray.txt
	@touch $@

# Where the slow tests install redviz: alone, and beside verl and OpenRLHF.
$(BESIDE): tools/beside_trainers.py $(RUNTIME)
	$(BIN)/python tools/beside_trainers.py .venv/beside
	@touch $@
