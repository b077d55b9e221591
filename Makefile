# The two commands of the README: `make demo` and `make test`. Both create .venv and install what they need.
PYTHON ?= python3
BIN := .venv/bin
# One thread per BLAS call: the tests run in parallel processes.
export OPENBLAS_NUM_THREADS = 1

.PHONY: demo test slow lint docs bench netket clean

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

demo: .venv/.installed
	rm -rf runs/demo runs/torus
	$(BIN)/neurho run fig2 --out runs/demo
	$(BIN)/neurho plot runs/demo
	$(BIN)/neurho compare runs/demo
	$(BIN)/neurho run torus --out runs/torus
	$(BIN)/neurho plot runs/torus
	@echo "The paper's Fig. 2, network beside exact: $(CURDIR)/runs/demo/figures/curves.png"
	@echo "Sixteen spins, with errors:               $(CURDIR)/runs/torus/figures/curves.png"

lint: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# Programs of tests run once: compiling less well takes a seventh off the time of all.
test: export XLA_FLAGS = --xla_backend_optimization_level=1
test: lint
	$(BIN)/pytest -n 2 --dist loadfile

slow: .venv/.installed
	$(BIN)/pytest -n 2 --dist loadfile --slow

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

# The documentation as a site, in site/
docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	$(BIN)/mkdocs build --strict

# What comes from NetKet, against NetKet's own matrices
netket: .venv-bench/.installed
	.venv-bench/bin/pytest -q --noconftest tests/unit/test_netket.py

clean:
	rm -rf .venv .venv-bench runs site
