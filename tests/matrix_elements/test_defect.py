"""What a step loses, against dense matrices."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.exact import reduced
from neurho.matrix_elements.estimation.defect import Defects
from neurho.matrix_elements.networks import density_matrix, parameter_count, parameters, product_state
from neurho.matrix_elements.sampling import enumerate_all, enumerate_diagonal, metropolis, metropolis_diagonal

CHAIN = helpers.lattice.chain(3)


def defects(full=None, diagonal=None):
    return Defects.build(CHAIN, helpers.generator(), full or enumerate_all(3), diagonal or enumerate_diagonal(3))


def trace_norm(matrix):
    """Largest trace norm of the reduced matrices of both bonds."""
    return max(np.sum(np.abs(np.linalg.eigvalsh(reduced(matrix, pair, 3)))) for pair in pairwise(range(3)))


def begin(ansatz, sampler):
    return sampler.init(jax.random.key(3), ansatz.amplitudes())


def _apply(rho):
    rows, columns = helpers.label_index(3, 2)
    out = np.zeros_like(rho)
    out[rows, columns] = helpers.dense() @ rho[rows, columns]
    return out


NOWHERE = jnp.zeros((0, 3), jnp.int32)


def test_a_frozen_network_loses_all_of_the_motion():
    """With v = 0 the defect is L rho: its reduced matrices from QuTiP's Lindbladian."""
    ansatz = helpers.network(0)
    still = jnp.zeros((2, parameter_count(ansatz)))
    found = defects().of_flow(jax.random.key(0), jnp.asarray(0.0), jnp.asarray(0.1), ansatz, still, (NOWHERE, NOWHERE))
    expected = 0.1 * trace_norm(_apply(density_matrix(ansatz)))
    assert found.local == pytest.approx(expected, rel=1e-9)
    assert np.isnan(found.whole), "exact sums see everything themselves"


def test_motion_of_the_network_is_taken_off():
    """d rho along a tangent by finite differences of the density matrix."""
    ansatz = helpers.network(0)
    vector, restore = parameters(ansatz)
    v = jnp.asarray(np.random.default_rng(1).normal(size=len(vector)))
    tangents = jnp.stack([v, jnp.zeros_like(v)])
    found = defects().of_flow(
        jax.random.key(0), jnp.asarray(0.0), jnp.asarray(1.0), ansatz, tangents, (NOWHERE, NOWHERE)
    )
    ahead, behind = (density_matrix(restore(vector + s * v)) for s in (1e-5, -1e-5))
    expected = trace_norm(_apply(density_matrix(ansatz)) - (ahead - behind) / 2e-5)
    assert found.local == pytest.approx(expected, rel=1e-6)


def test_a_step_between_two_networks():
    """rho_1 - rho_0 - dt L (rho_0 + rho_1)/2, both of trace one."""
    origin, ansatz = helpers.network(0), helpers.network(1)
    zero, dt = jnp.asarray(0.0), jnp.asarray(0.3)
    found = defects().of_step(jax.random.key(0), zero, dt, origin, ansatz, (NOWHERE, NOWHERE))
    before, after = density_matrix(origin), density_matrix(ansatz)
    assert found.local == pytest.approx(trace_norm(after - before - 0.15 * _apply(before + after)), rel=1e-9)


def test_a_jump_of_the_network_is_seen():
    """Between two unrelated networks in dt = 1e-6 it is all of rho_1 - rho_0; small moves have none."""
    origin, other = helpers.network(0), helpers.network(1)
    zero = jnp.asarray(0.0)
    found = defects().jump(jax.random.key(0), zero, jnp.asarray(1e-6), origin, other, NOWHERE)
    expected = trace_norm(density_matrix(other) - density_matrix(origin))
    assert found == pytest.approx(expected, rel=1e-4)
    assert expected > 0.01
    vector, restore = parameters(origin)
    near = restore(vector + 1e-3)
    assert defects().jump(jax.random.key(0), zero, jnp.asarray(0.3), origin, near, NOWHERE) == 0


@pytest.mark.slow
def test_samples_see_what_a_pole_is_fed():
    """Nearly all of |rho|^2 of a pole with tilt 1e-5 is one configuration; L rho is elsewhere. 512 blurred samples
    give ||L rho||/||rho|| to a fifth (five standard errors: a false alarm in 1e6), those of the chain itself none of
    the decay."""
    start = product_state(jax.random.key(0), (0.0, 0.0, 1.0), 3, hidden=2, mixing=3, noise=0.0, tilt=1e-5)
    sizes = {"samples": 512, "chains": 64}
    full, diagonal = metropolis(CHAIN, **sizes), metropolis_diagonal(CHAIN, **sizes)
    chains = (begin(start.target, full), begin(start.target, diagonal))
    still = jnp.zeros((2, parameter_count(start.target)))
    found = defects(full, diagonal).of_flow(
        jax.random.key(1), jnp.asarray(0.0), jnp.asarray(1.0), start.target, still, chains
    )
    rho = density_matrix(start.target)
    lost = _apply(rho)
    lost = lost - rho * np.vdot(rho, lost) / np.vdot(rho, rho)
    assert found.whole == pytest.approx(np.linalg.norm(lost) / np.linalg.norm(rho), rel=0.2)
    assert found.local == pytest.approx(trace_norm(_apply(rho)), rel=0.2)
