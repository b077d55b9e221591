"""The predicted peak of memory: what it grows with, what it refuses, and how close it is to measured runs."""

import subprocess
import sys

import psutil
import pytest

from neurho import config
from neurho._types import NeurhoError
from neurho.matrix_elements.tdvp import solvers
from neurho.run import memory
from neurho.run.problem import build

NETWORK = """
[lattice]
kind = "chain"
shape = [{sites}]
[model]
kind = "heisenberg"
field = [0, 0, 2]
coupling = [1, 0, 0]
[ansatz]
kind = "rbm"
hidden = {sites}
mixing = {sites}
symmetry = "none"
[initial]
kind = "random"
[sampling]
{sampling}
[task]
{task}
[observables]
bonds = false
"""
SAMPLING = 'kind = "metropolis"\nsamples = {}\nchains = 512'
FLOW = 'kind = "evolve"\nt = 1e-4\npoints = 2\nmethod = "euler"\ndt = 1e-4\nsolver = "{}"'
PROJECTED = 'kind = "evolve"\nt = 1e-4\npoints = 2\nmethod = "projected"\niterations = 1'
SEARCH = 'kind = "stationary"\nmax_steps = 1'
EXACT = """
[lattice]
kind = "chain"
shape = [{}]
[model]
kind = "heisenberg"
coupling = [1, 0, 0]
[initial]
bloch = [0, 0, 1]
[task]
kind = "evolve"
t = 0.01
points = 2
method = "exact"
"""
SIZES = memory.Sizes(parameters=4256, units=96, samples=2048, diagonal=2048, operators=100, chunk=1024)


GROUPS = "9:name=systemd:/\n4:cpu,memory:/jobs/one\n0::/slurm/job\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"memory.max": "max"}, None),
        ({"memory.max": "max", "slurm/job/memory.max": "3000000"}, 3e6),
        ({"slurm/memory.max": "2000000", "slurm/job/memory.max": "3000000"}, 2e6),
        ({"memory/jobs/one/memory.limit_in_bytes": "5000000\n"}, 5e6),
        ({"memory/memory.limit_in_bytes": "4000000"}, 4e6),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096)}, None),
        ({"elsewhere/memory.max": "1"}, None),
    ],
)
def test_limits_of_containers_and_queues(files, expected, tmp_path):
    own = tmp_path / "proc/self/cgroup"
    own.parent.mkdir(parents=True)
    own.write_text(GROUPS)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory.available(tmp_path) == (expected or psutil.virtual_memory().total)


def test_without_groups_all_of_the_machine_is_available(tmp_path):
    assert memory.available(tmp_path) == psutil.virtual_memory().total
    assert 1e8 < memory.available() <= psutil.virtual_memory().total


def network(sites, sampling, task):
    return NETWORK.format(sites=sites, sampling=sampling, task=task)


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A process between this one and the run: the peak of a child counts what its parent held when it was started."""


def measured(text, directory):
    """Peak bytes of a process that runs a problem."""
    problem = directory / "problem.toml"
    problem.write_text(text)
    run = [sys.executable, "-m", "neurho.cli", "run", str(problem), "--out", str(directory / "run")]
    words = [sys.executable, "-c", PEAK, *run, "--quiet", "--no-cache"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return int(told.split()[-1]) * (1 if sys.platform == "darwin" else 1024)


def assert_close(text, directory):
    ratio = build(config.loads(text, "a problem")).peak_bytes / measured(text, directory)
    assert 1 / 1.5 < ratio < 1.5, ratio


def test_more_of_anything_never_needs_less():
    needs = (lambda s: memory.of_implicit(s, search=True), *(lambda s, k=k: memory.of_flow(s, k) for k in SOLVERS))
    for need in needs:
        for name in memory.Sizes._fields:
            assert need(SIZES._replace(**{name: 8 * getattr(SIZES, name)})) >= need(SIZES)


SOLVERS = (solvers.Ridge(), solvers.SpectralCutoff(), solvers.ConjugateGradient(), solvers.MinSR())


def test_chunk_is_the_largest_that_fits():
    def need(sizes):
        return memory.of_flow(sizes, solvers.Ridge())

    budget = need(SIZES) - 3e7
    chunk = memory.fitting_chunk(SIZES, need, budget)
    assert 1 < chunk < 1024
    assert need(SIZES._replace(chunk=chunk)) <= budget < need(SIZES._replace(chunk=chunk + 1))
    assert memory.fitting_chunk(SIZES, need, 1e12) == 1024
    assert memory.fitting_chunk(SIZES, need, 1.0) == 1


def test_budget_of_a_problem_sets_its_chunk():
    text = network(16, SAMPLING.format(2048), FLOW.format("ridge"))
    plain, small = (build(config.loads(t, "a problem")) for t in (text, text.replace("512", "512\nmemory_gb = 0.76")))
    assert plain.driver.chunk == 1024
    assert 1 < small.driver.chunk < 1024
    assert small.driver.flow.tdvp.chunk == small.driver.observables.chunk == small.driver.chunk
    assert small.peak_bytes <= 0.76e9 < plain.peak_bytes
    small.require_memory()


def test_a_run_above_its_budget_is_refused_before_it_starts():
    text = network(4, 'kind = "enumeration"\nmemory_gb = 0.5', FLOW.format("ridge"))
    problem = build(config.loads(text, "a problem"))
    with pytest.raises(
        NeurhoError, match=r"^Key `sampling.memory_gb` must be at least 0\.\d+, .* but it is 0\.5: raise"
    ):
        next(problem.snapshots())


def test_a_run_above_the_machine_is_refused():
    with pytest.raises(NeurhoError, match=r"needs about 1e\+06 GB: take a smaller network or fewer samples\.$"):
        memory.require(1e15, None, ["a smaller network", "fewer samples"])


@pytest.mark.slow
def test_prediction_for_an_exact_run(tmp_path):
    assert_close(EXACT.format(8), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        EXACT.format(10),
        network(3, 'kind = "enumeration"', FLOW.format("ridge")),
        network(16, SAMPLING.format(8192), FLOW.format("ridge")),
        network(16, SAMPLING.format(20480), FLOW.format("cg")),
        network(32, SAMPLING.format(2048), FLOW.format("ridge")),
        network(32, SAMPLING.format(16384), FLOW.format("cg")),
        network(16, SAMPLING.format(4096), FLOW.format("minsr")),
        network(16, SAMPLING.format(2048), FLOW.format("cutoff")),
        network(16, SAMPLING.format(4096), PROJECTED),
        network(16, SAMPLING.format(8192), SEARCH).replace('[initial]\nkind = "random"\n', ""),
    ],
    ids=["exact", "enumeration", "ridge", "cg", "ridge-32", "cg-32", "minsr", "cutoff", "projected", "continuation"],
)
def test_prediction_for_runs(text, tmp_path):
    assert_close(text, tmp_path)
