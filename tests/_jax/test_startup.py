"""Settings for JAX: in the environment, before it is imported, and never over what a user has chosen."""

import os
import sys

import jax
import pytest

import helpers
import neurho
from neurho import NeurhoError
from neurho._jax import startup
from neurho.config import loads
from neurho.matrix_elements.sampling import enumerate_all, enumerate_diagonal, start_chains


@pytest.fixture
def fresh(monkeypatch):
    """A process that has not imported JAX and has an empty environment."""
    monkeypatch.delitem(sys.modules, "jax")
    for name in ("XLA_FLAGS", startup.CACHE, "JAX_ENABLE_X64", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("fresh")
def test_devices_and_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XLA_FLAGS", "--other=1")
    startup.configure(devices=3)
    assert os.environ["XLA_FLAGS"] == "--other=1 --xla_force_host_platform_device_count=3"
    assert os.environ["JAX_ENABLE_X64"] == "1"
    if sys.platform == "linux":
        assert os.environ[startup.CACHE] == str(tmp_path / "neurho" / "programs")


@pytest.mark.usefixtures("fresh")
def test_a_cache_of_the_user_is_kept(monkeypatch):
    monkeypatch.setenv(startup.CACHE, "elsewhere")
    startup.configure()
    assert os.environ[startup.CACHE] == "elsewhere"


@pytest.mark.usefixtures("fresh")
def test_no_cache():
    startup.configure(cache=False)
    assert startup.CACHE not in os.environ
    assert "XLA_FLAGS" not in os.environ


def test_refuses(monkeypatch):
    with pytest.raises(NeurhoError, match=r"Devices and caches must be chosen before JAX is imported"):
        startup.configure(devices=2)
    monkeypatch.delitem(sys.modules, "jax")
    with pytest.raises(NeurhoError, match=r"Argument `devices` must be at least 1, but it is 0\."):
        startup.configure(devices=0)


def test_single_precision_is_refused():
    ansatz = helpers.network(0)
    samplers = enumerate_all(ansatz.sites), enumerate_diagonal(ansatz.sites)
    start_chains(0, *samplers, ansatz)
    with jax.enable_x64(False), pytest.raises(NeurhoError, match=r"double precision, but JAX is set to single"):
        start_chains(0, *samplers, ansatz)


@pytest.mark.parametrize(
    "method", ['method = "trajectories"\ntrajectories = 4', 'method = "outcomes"\nhidden = 2', "weight = 3"]
)
def test_methods_that_run_in_double_precision_refuse_single(method):
    network = '[ansatz]\nkind = "cumulants"\n' if method.startswith("weight") else ""
    text = f'[lattice]\nkind = "chain"\nshape = [3]\n[model]\nkind = "xyz"\n{network}[initial]\nbloch = "up"\n'
    problem = neurho.build(loads(text + f'[task]\nkind = "evolve"\nt = 0.01\npoints = 2\n{method}\n', "single"))
    with jax.enable_x64(False), pytest.raises(NeurhoError, match=r"double precision, but JAX is set to single"):
        next(iter(problem.snapshots()))
