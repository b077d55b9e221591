# The two commands of the README: `make demo` and `make test`. Both create .venv and install what they need.
PYTHON ?= python3
BIN := .venv/bin
# One thread per BLAS call: the tests run in parallel processes.
export OPENBLAS_NUM_THREADS = 1

.PHONY: demo test slow lint docs gallery bench netket clean

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

# What the demo needs: the library alone. Python compiles what it imports, not all that was installed: half of the time.
.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e .
	touch $@

# The paper's Fig. 2 by two methods beside the exact curve (the network, which is slow, to t = 0.1) and 16 spins,
# as two processes at a time.
demo: export JAX_PLATFORMS = cpu
demo: $(firstword $(wildcard .venv/.installed) .venv/.ready)
	rm -rf runs/demo
	( $(BIN)/neurho run fig2-correlators --quiet --out runs/demo/correlators \
	&& $(BIN)/neurho run torus --quiet --out runs/demo/torus \
	&& $(BIN)/neurho plot runs/demo/torus --format png > /dev/null ) & others=$$!; \
	$(BIN)/neurho run fig2 --set task.t=0.1 --set task.points=26 --set task.tolerance=1e-2 --set task.ridge=1e-3 \
	--out runs/demo/network && wait $$others
	$(BIN)/neurho plot runs/demo/correlators runs/demo/network --format png > /dev/null & figure=$$!; \
	$(BIN)/neurho show runs/demo/correlators runs/demo/torus && wait $$figure
	@echo "Fig. 2: exact, correlators, the paper's network: $(CURDIR)/runs/demo/correlators/figures/overlay.png"
	@echo "Sixteen spins on a torus, with errors:           $(CURDIR)/runs/demo/torus/figures/curves.png"

lint: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# Programs of tests run once: compiling less well takes a seventh off the time of all. Files go in their order: by number
# of tests, those with few long ones would come last, to one process while the other has nothing left to do.
test: export XLA_FLAGS = --xla_backend_optimization_level=1
test: lint docs
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: .venv/.installed
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --slow

# NetKet beside neurho in an environment of their own; ratios of alternating repetitions.
.venv-bench/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	touch $@

bench: .venv-bench/.installed
	.venv-bench/bin/python benchmarks/right_hand_side.py
	.venv-bench/bin/python benchmarks/right_hand_side.py --sites 64 --hidden 64 --samples 4096 --repetitions 3
	.venv-bench/bin/python benchmarks/scaling.py
	.venv-bench/bin/python benchmarks/roofline.py
	.venv-bench/bin/python benchmarks/time_to_accuracy.py

# The documentation as a site, in site/; a broken link or reference fails.
docs: export NO_MKDOCS_2_WARNING = 1
docs: .venv/.installed
	$(BIN)/mkdocs build --strict

# The pictures of docs/gallery.md, in a few minutes
gallery: .venv/.installed
	$(BIN)/python docs/gallery/draw.py

# What comes from NetKet, against NetKet's own matrices
netket: .venv-bench/.installed
	.venv-bench/bin/pytest -q --noconftest tests/model/test_netket.py

clean:
	rm -rf .venv .venv-bench runs site
