"""What is measured, against traces with the full density matrix."""

import dataclasses

import jax
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, exact
from neurho.matrix_elements.estimation.estimators import balanced_values, group_values, prepare_balanced, prepare_group
from neurho.matrix_elements.estimation.observables import build_observables
from neurho.matrix_elements.generator import row_groups
from neurho.matrix_elements.sampling import enumerate_diagonal, metropolis_diagonal
from neurho.model import lattice
from neurho.model.operators import local, sm, sx, sy, sz
from neurho.observables import Quantity, pauli_quantities

MODEL = helpers.driven_chain()
KEY = jax.random.key(3)


def quantities():
    everything = pauli_quantities(MODEL.lattice, correlations=True, structure=True, momenta=True)
    return [*everything, Quantity("energy", (MODEL.hamiltonian,))]


def expected(rbm):
    rho = helpers.matrix_of(helpers.literal_table(rbm), 3)
    return exact.expectations(rho, MODEL, correlations=True, structure=True, momenta=True)


@pytest.fixture(scope="module")
def observables():
    return build_observables(quantities(), enumerate_diagonal(3), 3, purity=True)


@pytest.mark.parametrize("seed", [0, 1])
def test_exact_sums(observables, seed):
    rbm = helpers.network(seed)
    measurement, _ = observables(KEY, rbm, observables.sampler.configurations[:0])
    found, wanted = observables.named(measurement, 3), expected(rbm)
    assert set(found) == set(wanted)
    for name, estimate in found.items():
        value = np.asarray(wanted[name]).reshape(np.shape(estimate.mean)) if name == "energy" else wanted[name]
        np.testing.assert_allclose(estimate.mean, value, rtol=0, atol=1e-12, err_msg=name)
        assert np.all(estimate.error == 0)
    assert abs(found["sy"].mean) > 1e-2
    assert measurement.r_hat == measurement.tau == 1
    assert observables.remark(measurement) == ""


def test_a_purity_that_the_samples_cannot_tell_is_left_out_with_a_sentence(observables):
    measurement, _ = observables(KEY, helpers.network(0), observables.sampler.configurations[:0])
    sampled = dataclasses.replace(observables, sampler=dataclasses.replace(observables.sampler, exact=False))
    value = measurement.purity.value._replace(error=0.6 * measurement.purity.value.mean)
    unknown = measurement._replace(purity=measurement.purity._replace(value=value, terms=3.0))
    assert "purity" not in sampled.named(unknown, 3)
    assert "renyi2" not in sampled.named(unknown, 3)
    assert "3.0 effective pairs of samples of q(l) overlap" in sampled.remark(unknown)


def test_sampled():
    """Every number within five of its own standard errors, which are of the size that 8192 samples give."""
    rbm = helpers.network(1)
    alone = lattice.from_edges([], sites=3)  # fewer moves to compile
    sampler = metropolis_diagonal(alone, samples=8192, chains=4096, sweeps=5)
    asked = pauli_quantities(MODEL.lattice, bonds=False, correlations=True, momenta=True)
    sampled = build_observables(asked, sampler, 3)
    chains = jax.numpy.asarray(np.random.default_rng(0).integers(0, 2, size=(4096, 3)) * 3, dtype="int32")
    measurement, chains = sampled(KEY, rbm, chains)
    assert chains.shape == (4096, 3)
    found, wanted = sampled.named(measurement, 3), expected(rbm)
    pulls = []
    for name, estimate in found.items():
        value = np.reshape(wanted[name], np.shape(estimate.mean))
        if name.endswith("_pair"):
            np.testing.assert_array_equal(np.diag(estimate.mean), 1)
            np.testing.assert_array_equal(estimate.mean, estimate.mean.T)
        moving = estimate.error > 0
        assert np.all(estimate.error < 0.1)
        pulls.append(np.ravel((estimate.mean - value)[moving] / estimate.error[moving]))
        np.testing.assert_allclose(np.where(moving, value, estimate.mean), value, rtol=0, atol=1e-12)
    pulls = np.concatenate(pulls)
    assert len(pulls) > 20
    assert np.abs(pulls).max() < 5
    assert 0.2 < np.sqrt(np.mean(pulls**2)) < 2.5
    assert 0 < measurement.acceptance < 1


def local_values_of(operator, rbm, *, balanced):
    """X_loc(l) at all l, and q(l)."""
    amplitudes, (group,) = rbm.amplitudes(), row_groups([operator])
    levels = np.arange(8)[:, None] // np.array([4, 2, 1]) % 2
    prepare, values = (prepare_balanced, balanced_values) if balanced else (prepare_plain, group_values)
    changes = prepare(amplitudes, group, 2)

    def one(x):
        return values(amplitudes, group, changes, amplitudes.cache(3 * x), group.local_index(x, 2)).sum()

    rho = helpers.matrix_of(helpers.literal_table(rbm), 3)
    return np.asarray(jax.vmap(one)(jax.numpy.asarray(levels, dtype="int32"))), rho


def prepare_plain(amplitudes, group, levels):
    return prepare_group(amplitudes, group, levels, diagonal=True)


def hermitian_operator():
    matrix = helpers.random_matrix(np.random.default_rng(5), 8)
    return matrix + matrix.conj().T


def test_balanced_local_values():
    """Each is what its definition says, none exceeds the row of X, and their mean is the trace."""
    x, rbm = hermitian_operator(), helpers.network(1)
    found, rho = local_values_of(local(x, (0, 1, 2)), rbm, balanced=True)
    q = np.diag(rho).real
    off = x - np.diag(np.diag(x))
    wanted = np.diag(x) + np.sum(2 * off * rho.T / (q[:, None] + q), axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-11)
    assert np.all(np.abs(found - np.diag(x)) <= np.sum(np.abs(off), axis=1))
    assert q @ found.real == pytest.approx(np.trace(x @ rho).real, rel=1e-11)


@pytest.mark.slow
def test_balanced_local_values_have_no_tails_near_a_pole():
    """A product of pure states with populations 1 : t^2: by Eq. 13 sigma^x of a site has the variance 1 - m^2, m =
    2t/(1 + t^2), which rare configurations with X_loc = 1/t make; balanced, X_loc is m everywhere. Network noise 1e-3.
    """
    rbm = dataclasses.replace(helpers.network(1, scale=1e-3), visible=jax.numpy.asarray([[-1.5] * 3, [0.0] * 3]))
    variance = {}
    for balanced in (False, True):
        values, rho = local_values_of((sx(0) + sx(1) + sx(2)).merged(), rbm, balanced=balanced)
        q, real = np.diag(rho).real, values.real
        variance[balanced] = q @ (real - q @ real) ** 2
    m = 1 / np.cosh(3.0)
    assert variance[False] == pytest.approx(3 * (1 - m**2), rel=0.01)
    assert variance[True] < 1e-4


def test_operators_that_share_sites_share_ratios():
    """Quantities that name the same operators are measured once, however they are averaged."""
    built = build_observables(
        pauli_quantities(MODEL.lattice, correlations=True, structure=True), enumerate_diagonal(3), 3
    )
    assert built.count == 3 * (3 + 2 + 3)
    assert sum(len(g.sites) for g in built.groups) == 3 + 3


def test_pauli_quantities():
    names = lambda **options: {q.name for q in pauli_quantities(MODEL.lattice, **options)}  # noqa: E731
    assert names(bonds=False) == {f"s{a}{s}" for a in "xyz" for s in ("", "_site")}
    assert names() - names(bonds=False) == {f"s{a}s{a}{s}" for a in "xyz" for s in ("", "_bond")}
    assert names(correlations=True, structure=True) - names() == {f"s{a}s{a}_pair" for a in "xyz"} | {
        f"structure_{a * 2}" for a in "xyz"
    }
    alone = pauli_quantities(lattice.chain(1), correlations=True, structure=True)
    assert {q.name for q in alone} == names(bonds=False)


def test_sums_of_terms_on_many_sites():
    """An operator of terms on one, two and three sites, complex and Hermitian, on three-level sites."""
    rng = np.random.default_rng(0)
    parts = [helpers.random_matrix(rng, 3**k) for k in (1, 2)]
    operator = local(parts[0] + parts[0].conj().T, 1, local_dim=3) + local(
        parts[1] + parts[1].conj().T, (1, 0), local_dim=3
    )
    rbm = helpers.network(0, 2, local_dim=3)
    built = build_observables([Quantity("both", (operator, operator * 2.0))], enumerate_diagonal(2, 3), 2)
    measurement, _ = built(KEY, rbm, built.sampler.configurations[:0])
    rho = helpers.matrix_of(helpers.literal_table(rbm), 2, 3)
    wanted = np.trace(operator.to_sparse(2).toarray() @ rho).real
    np.testing.assert_allclose(built.named(measurement, 2)["both"].mean, [wanted, 2 * wanted], rtol=1e-12)


def test_constants_are_measured():
    built = build_observables([Quantity("shifted", (sz(0) + 2.0,))], enumerate_diagonal(3), 3)
    rbm = helpers.network(0)
    measurement, _ = built(KEY, rbm, built.sampler.configurations[:0])
    assert built.named(measurement, 3)["shifted"].mean[0] == pytest.approx(expected(rbm)["sz_site"][0] + 2, abs=1e-12)


def test_time_dependent_operators_are_refused_or_measured_at_their_time():
    with pytest.raises(NeurhoError):
        build_observables([Quantity("drive", (sx(0) * np.cos,))], enumerate_diagonal(3), 3)


def test_refuses():
    with pytest.raises(NeurhoError, match=r"`quantities` must name at least one quantity, but it is empty"):
        build_observables([], enumerate_diagonal(3), 3)
    with pytest.raises(
        NeurhoError, match=r"`quantities` must hold Hermitian operators, but `loss` has one that is not"
    ):
        build_observables([Quantity("loss", (sy(0), sm(1)))], enumerate_diagonal(3), 3)
