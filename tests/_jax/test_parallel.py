"""Several devices, and several processes, give the numbers of one up to the order of sums."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
import jax
import numpy as np

jax.config.update("jax_enable_x64", True)
from neurho._jax import parallel

target, processes, process, port = sys.argv[1], *map(int, sys.argv[2:])
if processes > 1:
    parallel.join(processes=processes, process=process, coordinator=f"localhost:{port}")
import helpers
from neurho.model import lattice
from neurho.matrix_elements.tdvp import preconditioner
from neurho.matrix_elements.tdvp import solvers
from neurho.observables import pauli_quantities
from neurho.matrix_elements.estimation.observables import build_observables
from neurho.matrix_elements.sampling import Blurred, metropolis, metropolis_diagonal
from neurho.matrix_elements.tdvp.equation import TDVP

sites = lattice.chain(3)
sizes = {"samples": 72, "chains": 24, "warmup": 1}
ansatz = parallel.replicate(helpers.network(0))
tdvp = TDVP(helpers.generator(), Blurred(metropolis(sites, exponent=1.5, **sizes), 0.5), solvers.Ridge(1e-2), chunk=5)
quantities = pauli_quantities(sites, bonds=False)
observables = build_observables(quantities, metropolis_diagonal(sites, **sizes), 3)
key = parallel.replicate(jax.random.key(3))
chains = jax.jit(lambda s, k, a: s.init(k, a))(tdvp.sampler, key, ansatz.amplitudes())
rates = tdvp(key, 0.0, ansatz, chains)
preconditioner.LEAST, preconditioner.SHARE = 1, 4  # as for a network of many parameters
iterated = jax.jit(lambda m: solvers.ConjugateGradient(1e-2, 1e-10)(m).velocity)(rates.metric)
measured, _ = observables(key, ansatz, rates.chains)
if parallel.is_first():
    np.savez(
        target,
        devices=jax.device_count(),
        x=rates.metric.x,
        weight=rates.metric.weight,
        chains=rates.chains,
        local=rates.metric.local,
        velocity=rates.velocity,
        iterated=iterated,
        noise=rates.metric.noise,
        delta_l=rates.certificate.delta_l.mean,
        single=measured.single.mean,
    )
"""


def launch(target, *, devices, processes=1, process=0, port=0):
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": _path()}
    command = [sys.executable, "-c", SCRIPT, str(target), str(processes), str(process), str(port)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def _path():
    return os.pathsep.join([str(ROOT), str(ROOT.parent / "src"), os.environ.get("PYTHONPATH", "")])


def finish(*running):
    for one in running:
        _, errors = one.communicate(timeout=300)
        assert one.returncode == 0, errors


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    path = tmp_path_factory.mktemp("single") / "one.npz"
    finish(launch(path, devices=1))
    return np.load(path)


def compare(found, expected, devices):
    assert expected["devices"] == 1
    assert found["devices"] == devices
    np.testing.assert_array_equal(found["x"], expected["x"])
    np.testing.assert_array_equal(found["chains"], expected["chains"])
    for name in ("weight", "local", "velocity", "iterated", "noise", "delta_l", "single"):
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-8 * scale, err_msg=name)


@pytest.mark.slow
def test_four_devices(single, tmp_path):
    path = tmp_path / "four.npz"
    finish(launch(path, devices=4))
    compare(np.load(path), single, 4)


@pytest.mark.slow
def test_two_processes(single, tmp_path):
    """One device in each of two processes; only the first writes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    paths = [tmp_path / "first.npz", tmp_path / "second.npz"]
    options = {"devices": 1, "processes": 2, "port": port}
    finish(*(launch(path, process=k, **options) for k, path in enumerate(paths)))
    compare(np.load(paths[0]), single, 2)
    assert not paths[1].exists()
