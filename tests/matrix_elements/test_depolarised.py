"""The depolarised norm against dense matrices: strings of operators written out, all matrix elements by themselves."""

from functools import cache, reduce

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import helpers
import registry
from neurho._types import NeurhoError
from neurho.config import loads
from neurho.dynamics.flow import make_flow
from neurho.matrix_elements.estimation.depolarised import Depolarised
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import log_amplitudes, log_derivatives
from neurho.matrix_elements.projection import Implicit
from neurho.matrix_elements.sampling import enumerate_all
from neurho.matrix_elements.symmetry import number
from neurho.matrix_elements.tdvp.crossvalidation import CrossValidated
from neurho.matrix_elements.tdvp.row_metric import RowMetric
from neurho.matrix_elements.tdvp.solvers import ConjugateGradient, MinSR, Ridge, SignalToNoise, SpectralCutoff
from neurho.model import lattice
from neurho.model.models import heisenberg

STRENGTH = 0.3
QUICK = ("RBM of three levels", "MatrixProduct", "GroupConvolution")


def strings(strength, sites, dim):
    """sqrt(strength)^|P| times the coefficient of every string, from entries in the order of labels."""
    one = np.eye(dim).reshape(1, -1) / np.sqrt(dim)
    traceless = scipy.linalg.null_space(one).T
    return reduce(np.kron, [np.concatenate([one, np.sqrt(strength) * traceless])] * sites)


@cache
def derivatives():
    return eqx.filter_jit(
        lambda ansatz, x: (log_amplitudes(ansatz, x), jax.vmap(lambda c: log_derivatives(ansatz, c))(x))
    )


def dense(ansatz, model, x, *, centred=True):
    """D rho, A and b by strings, relative to ||D rho||; configurations outside of `x` are zero."""
    logs, o = map(np.asarray, derivatives()(ansatz, jnp.asarray(x)))
    places = x @ (ansatz.local_dim ** (2 * np.arange(ansatz.sites)[::-1]))
    rho, moved = np.zeros(ansatz.local_dim ** (2 * ansatz.sites), complex), None
    rho[places] = np.exp(logs)
    moved = np.zeros((len(rho), o.shape[2]), complex)
    moved[places] = np.exp(logs)[:, None] * (o[:, 0] + 1j * o[:, 1])
    seen = strings(STRENGTH, ansatz.sites, ansatz.local_dim)
    flow = helpers.liouvillian(model) @ rho
    u, a, b = seen @ rho, seen @ moved, seen @ flow
    size = np.linalg.norm(u)
    u, a, b = u / size, a / size, b / size
    if centred:
        a, b = a - np.outer(u, u.conj() @ a), b - u * (u.conj() @ b)
    return a, b, np.divide(flow, rho, out=np.zeros_like(flow), where=rho != 0)


make = eqx.filter_jit(RowMetric.build)


def agrees(ansatz, model, sampler, *, charge=None, centred=True):
    """The metric on the configurations of a sampler with symmetries against that of all."""
    every = helpers.configurations(ansatz.sites, ansatz.local_dim)
    inside = every if charge is None else every[np.asarray(charge.of(jnp.asarray(every))) == 0]
    a, b, local = dense(ansatz, model, inside, centred=centred)
    x = np.asarray(sampler.configurations)
    places = x @ (ansatz.local_dim ** (2 * np.arange(ansatz.sites)[::-1]))
    norm = Depolarised.build(STRENGTH, sampler, ansatz.local_dim)
    metric = make(ansatz, norm, jnp.asarray(x), jnp.asarray(local[places]), centred=centred)
    s, force = (a.conj().T @ a).real, (a.conj().T @ b).real
    np.testing.assert_allclose(metric.matrix(), s, rtol=0, atol=1e-12 * np.abs(s).max())
    np.testing.assert_allclose(metric.force, force, rtol=0, atol=1e-12 * max(np.abs(force).max(), np.abs(s).max()))
    assert metric.norm == pytest.approx(np.linalg.norm(b) ** 2, rel=1e-12)
    return metric


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in registry.ANSATZES]
)
def test_metric_and_force_of_every_network(name):
    ansatz = registry.ANSATZES[name]()
    d, charge = ansatz.local_dim, getattr(ansatz, "charge", None)
    ring = heisenberg(registry.RING, field=(0.0, 0.0, 0.3), coupling=(1.0, 1.0, 0.5))  # conserves the number
    model = ring if charge is not None else helpers.random_lindbladian(0, registry.SITES, d, widest=2)
    agrees(ansatz, model, enumerate_all(registry.SITES, d, hermitian=ansatz.hermitian, charge=charge), charge=charge)


def test_configurations_that_symmetries_make_equal():
    """One of all that translations and the mirror image make of it, in a sector, stands for the others."""
    ring, charge = lattice.chain(3, periodic=True), number()
    ansatz = helpers.tied_network(0, ring, charge=charge)
    sampler = enumerate_all(3, hermitian=True, charge=charge, translations=ring.translations)
    assert len(sampler.configurations) < 10
    agrees(ansatz, heisenberg(ring, field=(0.0, 0.0, 0.3), coupling=(1.0, 1.0, 0.5)), sampler, charge=charge)


@pytest.mark.slow
def test_plain_norm():
    ansatz, model = registry.ANSATZES["MatrixProduct"](), helpers.random_lindbladian(0, 2, widest=2)
    agrees(ansatz, model, enumerate_all(2), centred=False)


def test_solvers():
    """All of them solve the problem in the depolarised norm, as NumPy does."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 7)), rng.normal(size=40)
    metric = RowMetric(
        a=jnp.asarray(a),
        b=jnp.asarray(b),
        force=jnp.asarray(a.T @ b),
        noise=jnp.zeros(()),
        norm=jnp.asarray(b @ b),
        guess=jnp.zeros(7),
    )
    best = np.linalg.lstsq(a, b, rcond=None)[0]
    shifted = np.linalg.solve(a.T @ a + 0.1 * np.trace(a.T @ a) / 7 * np.eye(7), a.T @ b)
    for solver, wanted in (
        (Ridge(0.1), shifted),
        (MinSR(0.1), shifted),
        (ConjugateGradient(0.1, 1e-12), shifted),
        (CrossValidated(least=0.1), shifted),
        (SpectralCutoff(1e-9), best),
        (SignalToNoise(), best),
    ):
        found = solver(metric)
        np.testing.assert_allclose(found.velocity, wanted, rtol=1e-7)
        assert found.residual == pytest.approx(np.sum((a @ wanted - b) ** 2) / (b @ b), rel=1e-7)
        assert metric.length(found.velocity) == pytest.approx(np.linalg.norm(a @ wanted), rel=1e-7)


@pytest.mark.slow
def test_implicit_steps():
    """Misfit and correction of a Crank-Nicolson step are those of the problem written with dense matrices (one site:
    the norm of more is tested above)."""
    origin, ansatz = (helpers.network(seed, 1) for seed in (0, 1))
    model, w, dt, damping = helpers.random_lindbladian(0, 1), 0.5, 0.3, 0.01
    sampler = enumerate_all(1, hermitian=True)
    norm = Depolarised.build(STRENGTH, sampler)
    implicit = Implicit(lindbladian_map(model), sampler, weight=w, trust=1e6, norm=norm)
    chains, half = sampler.configurations[:0], jnp.asarray(dt / 2)
    probe = implicit.probe(jax.random.key(0), half, jnp.asarray(dt), ansatz, origin, chains)
    found = implicit.correct(half, jnp.asarray(dt), jnp.asarray(damping), ansatz, origin, probe)

    x, seen, move = helpers.configurations(1), strings(STRENGTH, 1, 2), helpers.liouvillian(model)
    (logs, o), (before, _) = (derivatives()(a, jnp.asarray(x)) for a in (ansatz, origin))
    rho, rho_0 = np.exp(np.asarray(logs)), np.exp(np.asarray(before))
    rho, rho_0 = rho / np.linalg.norm(seen @ rho), rho_0 / np.linalg.norm(seen @ rho_0)
    columns, u = rho[:, None] * np.asarray(o[:, 0] + 1j * o[:, 1]), w * dt / (1 + w * dt)
    along = (seen @ rho).conj() @ (seen @ columns)
    turned = columns - np.outer(rho, along.real)
    g = seen @ ((1 - u) * turned - u * move @ turned)
    h = -seen @ ((1 - u) * rho_0 + (1 / w - 1) * u * move @ rho_0)
    r = seen @ ((1 - u) * rho - u * move @ rho) + h
    rows = np.concatenate([np.column_stack([g, h, r]), np.zeros((1, g.shape[1] + 2))])
    rows[-1, -2] = u  # holds the scale back
    gram = (rows.conj().T @ rows).real
    gram -= np.outer(gram[-2], gram[-2]) / gram[-2, -2]
    normal, force = gram[:-2, :-2], gram[:-2, -1]
    shift = damping * np.trace(normal) / len(normal)
    delta = -np.linalg.solve(normal + shift * np.eye(len(normal)), force)
    assert probe.misfit.mean == pytest.approx(gram[-1, -1], rel=1e-10)
    assert found.misfit == pytest.approx(gram[-1, -1], rel=1e-10)
    assert probe.motion == pytest.approx(np.linalg.norm(seen @ move @ rho) ** 2, rel=1e-10)
    np.testing.assert_allclose(found.delta, delta, rtol=0, atol=1e-9 * np.abs(delta).max())
    assert found.length == pytest.approx(np.linalg.norm(seen @ turned @ delta), rel=1e-9)


def test_samples_are_refused():
    with pytest.raises(NeurhoError, match=r"`metric` must be 1 unless all configurations are summed"):
        make_flow(helpers.driven_chain(), samples=64, metric=0.3)
    with pytest.raises(NeurhoError, match=r"`metric` must be a number > 0 and <= 1, but it is 1.5"):
        make_flow(helpers.driven_chain(), metric=1.5)
    for sampling, method in (('kind = "metropolis"\nsamples = 64', "bosh3"), ('kind = "enumeration"', "exact")):
        problem = PROBLEM.replace('kind = "enumeration"', sampling).replace("bosh3", method)
        with pytest.raises(NeurhoError, match=r"task\.metric"):
            loads(problem)
    assert loads(PROBLEM).task.metric == 0.3


PROBLEM = """
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "heisenberg"
[ansatz]
kind = "rbm"
hidden = 2
mixing = 2
[initial]
bloch = "+x"
[sampling]
kind = "enumeration"
[task]
kind = "evolve"
t = 0.1
method = "bosh3"
metric = 0.3
"""
