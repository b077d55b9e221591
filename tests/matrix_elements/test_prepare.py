"""Product states inside the paper's ansatz, against Kronecker products."""

from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError
from neurho.matrix_elements.estimation.estimators import comparison
from neurho.matrix_elements.networks import product_state
from neurho.matrix_elements.sampling import Draw

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
SIZES = {"hidden": 2, "mixing": 3}


def kron(vectors):
    return reduce(np.kron, [(np.eye(2) + np.tensordot(r, PAULI, axes=1)) / 2 for r in vectors])


def directions(seed, count):
    v = np.random.default_rng(seed).normal(size=(count, 3))
    return v / np.linalg.norm(v, axis=1)[:, None]


def rho_of(rbm):
    return helpers.matrix_of(helpers.literal_table(rbm), rbm.sites)


def prepare(bloch, seed=0, **options):
    return product_state(jax.random.key(seed), bloch, 3, **{**SIZES, "noise": 0.0, **options})


@pytest.mark.parametrize("radii", [(0.9, 0.5, 0.2), (1.0, 1.0, 1.0), (1.0, 0.0, 0.7)], ids=["mixed", "pure", "both"])
@pytest.mark.parametrize("seed", [0, 1])
def test_density_matrix_is_the_product(radii, seed):
    bloch = np.array(radii)[:, None] * directions(seed, 3)
    prepared = prepare(bloch)
    np.testing.assert_allclose(prepared.bloch, bloch, rtol=0, atol=1e-7)  # theta = arccos(1 - tiny) near pure states
    np.testing.assert_allclose(rho_of(prepared.target), kron(bloch), rtol=0, atol=1e-7)
    np.testing.assert_array_equal(rho_of(prepared.ansatz), rho_of(prepared.target))


def test_one_vector_serves_all_sites():
    np.testing.assert_allclose(
        rho_of(prepare((0.3, -0.2, 0.1)).target), kron([(0.3, -0.2, 0.1)] * 3), rtol=0, atol=1e-12
    )


def test_infinite_temperature():
    prepared = prepare((0, 0, 0))
    np.testing.assert_allclose(rho_of(prepared.target), np.eye(8) / 8, rtol=0, atol=1e-16)
    np.testing.assert_allclose(prepared.bloch, 0, atol=1e-15)


@pytest.mark.parametrize("tilt", [1e-3, 1e-2])
@pytest.mark.parametrize("pole", [1, -1])
def test_poles_are_tilted_as_stated(pole, tilt):
    """The smaller population becomes `tilt`; the state stays pure and leans towards +x. No mixing units are needed."""
    prepared = prepare((0, 0, pole), tilt=tilt, mixing=0)
    expected = [2 * np.sqrt(tilt * (1 - tilt)), 0, pole * (1 - 2 * tilt)]
    np.testing.assert_allclose(prepared.bloch, [expected] * 3, rtol=0, atol=1e-12)
    rho = rho_of(prepared.target)
    np.testing.assert_allclose(rho, kron([expected] * 3), rtol=0, atol=1e-12)
    assert np.trace(rho @ rho).real == pytest.approx(1, abs=1e-12)


def test_nearly_polarised_mixed_states_keep_their_relative_coherence():
    tilt = 1e-2
    bloch = np.array([0.02, 0.05, 0.995])
    up, down = (1 + bloch[2]) / 2, (1 - bloch[2]) / 2
    relative = (bloch[0] - 1j * bloch[1]) / 2 / np.sqrt(up * down)
    coherence = relative * np.sqrt(tilt * (1 - tilt))
    one = np.array([[1 - tilt, coherence], [np.conj(coherence), tilt]])
    np.testing.assert_allclose(rho_of(prepare(bloch, tilt=tilt).target), reduce(np.kron, [one] * 3), rtol=0, atol=1e-12)


def test_noise_disturbs_all_but_the_visible_biases_and_its_cost_is_the_overlap():
    prepared = prepare((0.2, 0.3, 0.4), noise=0.05, seed=3)
    changed = jax.tree.map(
        lambda a, b: np.asarray(a - b),
        eqx.filter(prepared.ansatz, eqx.is_array),
        eqx.filter(prepared.target, eqx.is_array),
    )
    assert np.all(changed.visible == 0)
    rest = np.concatenate(
        [v.ravel() for v in (changed.hidden_bias, changed.hidden_weights, changed.mixing_bias, changed.mixing_weights)]
    )
    assert np.all(rest != 0)
    assert np.std(rest) == pytest.approx(0.05, rel=0.4)
    noisy, target = helpers.literal_table(prepared.ansatz), helpers.literal_table(prepared.target)
    expected = abs(np.vdot(target, noisy)) ** 2 / (np.vdot(target, target) * np.vdot(noisy, noisy)).real
    assert expected < 0.999
    weight = np.abs(noisy) ** 2
    draw = Draw(x=jnp.asarray(helpers.configurations(3))[None], weight=jnp.asarray(weight / weight.sum())[None])
    assert comparison(prepared.ansatz, prepared.target, draw, draw).overlap == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("bloch", "options", "sentence"),
    [
        ((0, 0, 1.01), {}, r"Argument `bloch` must have length at most 1, but the longest is 1\.01\."),
        ((0, 0), {}, r"Argument `bloch` must have shape \(3,\) or \(3, 3\), but its shape is \(2,\)\."),
        ((0, 0, np.nan), {}, r"Argument `bloch` must be finite"),
        (
            (0, 0, 0.5),
            {"mixing": 2},
            r"`mixing` must be at least 3, the number of sites, for a mixed product state .* it is 2\.",
        ),
        ((0, 0, 1), {"tilt": 0.5}, r"Argument `tilt` must lie between 0 and 0\.5, but it is 0\.5\."),
        ((0, 0, 1), {"noise": -1.0}, r"Argument `noise` must be >= 0, but it is -1\.0\."),
    ],
)
def test_refuses(bloch, options, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        prepare(bloch, **options)
