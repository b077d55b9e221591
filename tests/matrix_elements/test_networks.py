"""Gram-Hadamard, matrix-product and convolutional density operators against their formulas, written out in NumPy."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, build
from neurho.config import loads
from neurho.matrix_elements.networks import (
    density_matrix,
    log_amplitudes,
    parameter_count,
    parameters,
    random_convolution,
    random_gram,
    random_mpdo,
)
from neurho.matrix_elements.networks.convolution import products_of
from neurho.matrix_elements.networks.liouville import label_features
from neurho.matrix_elements.symmetry import parity
from neurho.model import lattice
from neurho.networks import load_parameters, save_parameters

RING, TORUS = lattice.chain(3, periodic=True), lattice.square(3, 2, periodic=True)


def gram(seed, sites=3, **changes):
    return random_gram(seed, sites, **({"width": 4, "depth": 2, "factors": 3, "rank": 2, "scale": 0.5} | changes))


def mpdo(seed, sites=3, **changes):
    return random_mpdo(seed, sites, **({"bond": 2, "kraus": 3, "scale": 0.5} | changes))


def convolution(seed, moves=RING.translations, **changes):
    return random_convolution(seed, moves, **({"channels": 2, "depth": 2, "units": 3, "scale": 0.5} | changes))


NETWORKS = {
    "gram": gram,
    "gram, one layer, no factors": lambda seed, **more: gram(seed, depth=1, factors=0, **more),
    "open chain": mpdo,
    "ring": lambda seed, **more: mpdo(seed, periodic=True, **more),
    "uniform ring": lambda seed, **more: mpdo(seed, periodic=True, uniform=True, **more),
    "convolution": convolution,
    "one convolution": lambda seed, **more: convolution(seed, depth=1, **more),
}
POSITIVE = [name for name in NETWORKS if "convolution" not in name]


def complex_of(parts):
    return np.asarray(parts[0]) + 1j * np.asarray(parts[1])


def gram_matrix(a):
    """Sums of outer products for all 2^N or d^N rows at once, multiplied entry by entry."""
    d, count = a.local_dim, a.local_dim**a.sites
    levels = np.array(list(itertools.product(range(d), repeat=a.sites)))
    features = helpers.features(d)[levels].reshape(count, -1)
    y = np.tanh(features @ np.asarray(a.first_weights).T + np.asarray(a.bias[0]))
    for weights, bias in zip(np.asarray(a.weights), np.asarray(a.bias[1:]), strict=True):
        y = np.tanh(y @ weights.T + bias)
    z = np.concatenate([features, y], axis=1)
    psi = np.exp(z @ complex_of(a.pure))
    rho = np.outer(psi, psi.conj())
    for bias, weights in zip(complex_of(a.gram_bias), complex_of(a.gram_weights), strict=True):
        chi = z @ weights.T + bias
        chi[:, 0] += 1
        rho = rho * (chi @ chi.conj().T)
    return rho / np.trace(rho)


def purified_matrix(a):
    """psi(l, k) of all purifying levels, and the partial trace over them."""
    tensors = complex_of(a.tensors)
    tensors = np.broadcast_to(tensors, (a.sites, *tensors.shape[1:]))
    d, kraus, bond = tensors.shape[1:4]
    psi = np.zeros((d**a.sites, kraus**a.sites), dtype=complex)
    for row, l in enumerate(itertools.product(range(d), repeat=a.sites)):
        for column, k in enumerate(itertools.product(range(kraus), repeat=a.sites)):
            product = np.linalg.multi_dot([tensors[j, l[j], k[j]] for j in range(a.sites)])
            psi[row, column] = np.trace(product) if a.periodic else np.ones(bond) @ product @ np.ones(bond)
    rho = psi @ psi.conj().T
    return rho / np.trace(rho)


def convolved_log_rho(a, x):
    """Layers by loops over moves, the products of moves by composing permutations."""
    moves = [tuple(m) for m in np.asarray(a.moves).tolist()]
    even, odd = label_features(a.local_dim)
    total = np.sum(even[x] @ np.asarray(a.visible)[: even.shape[1]])
    total = total + 1j * np.sum(odd[x] @ np.asarray(a.visible)[even.shape[1] :])

    def ahead(y, g, u):
        return y[:, moves.index(tuple(moves[g][j] for j in moves[u]))]

    def layer(weights, bias, y):
        return np.array(
            [bias + sum(weights[:, :, u] @ ahead(y, g, u) for u in range(len(moves))) for g in range(len(moves))]
        ).T

    for sign in (1, -1):
        phi = np.concatenate([even[x], sign * odd[x]], axis=1)
        first = np.asarray(a.first_weights)
        y = np.tanh([[np.sum(w * phi[list(m)]) for m in moves] for w in first] + np.asarray(a.bias[0])[:, None])
        for weights, bias in zip(np.asarray(a.weights), np.asarray(a.bias[1:]), strict=True):
            y = np.tanh(layer(weights, bias, y))
        units = np.sum(helpers.log_cosh(layer(complex_of(a.unit_weights), complex_of(a.unit_bias), y)))
        total += units if sign == 1 else np.conj(units)
    return total


@pytest.mark.parametrize("dim", [2, 3])
def test_gram_is_a_product_of_gram_matrices(dim):
    network = gram(1, 2, local_dim=dim)
    np.testing.assert_allclose(density_matrix(network), gram_matrix(network), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("dim", "more"),
    [(2, {}), (3, {}), (2, {"periodic": True}), (2, {"periodic": True, "uniform": True})],
    ids=["open", "three levels", "ring", "uniform ring"],
)
def test_mpdo_is_the_partial_trace_of_a_matrix_product(dim, more):
    network = mpdo(2, local_dim=dim, **more)
    np.testing.assert_allclose(density_matrix(network), purified_matrix(network), rtol=0, atol=1e-13)


def test_long_chains_do_not_overflow():
    network = mpdo(3, 400, bond=3, scale=2.0)
    x = jnp.zeros((1, 400), dtype=jnp.int32)
    (value,) = np.asarray(log_amplitudes(network, x))
    assert np.isfinite(value)
    assert value.real > 710, "its exponential would overflow"


@pytest.mark.parametrize(("moves", "depth"), [(RING.translations, 1), (TORUS.translations, 2), (TORUS.symmetries, 2)])
def test_convolution_is_the_formula(moves, depth):
    network = convolution(3, moves, depth=depth)
    x = np.random.default_rng(0).integers(0, 4, (6, moves.shape[1]))
    found = log_amplitudes(network, jnp.asarray(x, jnp.int32))
    expected = [convolved_log_rho(network, one) for one in x]
    np.testing.assert_allclose(np.exp(found - np.array(expected)), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_hermitian(name):
    rho = density_matrix(NETWORKS[name](4))
    np.testing.assert_allclose(rho, rho.conj().T, rtol=0, atol=1e-14 * np.abs(rho).max())
    assert np.abs(rho.imag).max() > 1e-3
    assert np.diagonal(rho).real.min() > 0


@pytest.mark.parametrize("charge", [None, parity()], ids=["", "parity"])
@pytest.mark.parametrize("name", POSITIVE)
def test_positive(name, charge):
    """Also within a sector, where a matrix becomes a sum of projections; without factors the state is pure."""
    for seed in range(3):
        rho = density_matrix(NETWORKS[name](seed, charge=charge))
        assert np.linalg.eigvalsh(rho).min() > -1e-14
        mixed = "factors" not in name or charge is not None
        assert (np.linalg.matrix_rank(rho, tol=1e-9) > 1) == mixed


def test_convolution_need_not_be_positive():
    least = [np.linalg.eigvalsh(density_matrix(convolution(seed))).min() for seed in range(5)]
    assert min(least) < -1e-3


@pytest.mark.parametrize("moves", [TORUS.translations, TORUS.symmetries], ids=["translations", "symmetries"])
def test_convolution_is_invariant(moves):
    """Under its own moves, and not under any other permutation of the sites."""
    network = convolution(5, moves)
    x = np.array([3, 0, 1, 2, 0, 0])
    everywhere = np.array([x[m] for m in moves] + [x[[1, 0, 2, 3, 4, 5]]])
    *same, other = np.exp(np.asarray(log_amplitudes(network, jnp.asarray(everywhere, jnp.int32))))
    np.testing.assert_allclose(same, same[0], rtol=1e-12)
    assert abs(other / same[0] - 1) > 1e-3


def test_uniform_ring_is_invariant():
    x = np.random.default_rng(2).integers(0, 4, 3)
    turned = jnp.asarray([np.roll(x, n) for n in range(3)], jnp.int32)
    values = np.exp(np.asarray(log_amplitudes(NETWORKS["uniform ring"](6), turned)))
    np.testing.assert_allclose(values, values[0], rtol=1e-12)


@pytest.mark.parametrize("name", ["gram", "uniform ring", "convolution"])
def test_files_hold_them(name, tmp_path):
    network = NETWORKS[name](8, charge=parity())
    save_parameters(tmp_path / "one.npz", network)
    assert eqx.tree_equal(load_parameters(tmp_path / "one.npz"), network)


def test_product_start():
    """Parameters of zero scale, layers apart, are |+x> on every site."""
    for network in (
        gram(0, scale=0.0),
        mpdo(0, scale=0.0),
        mpdo(0, scale=0.0, periodic=True),
        convolution(0, scale=0.0),
    ):
        np.testing.assert_allclose(density_matrix(network), np.full((8, 8), 1 / 8), rtol=0, atol=1e-14)


def test_numbers_of_parameters():
    assert parameter_count(gram(0)) == 4 * 3 + 16 + 2 * 4 + 2 * 7 + 2 * 6 * (1 + 7)
    assert parameter_count(mpdo(0)) == 2 * 3 * 2 * 3 * 4
    assert parameter_count(mpdo(0, periodic=True, uniform=True)) == 2 * 2 * 3 * 4
    assert parameter_count(convolution(0)) == 3 + 2 * 3 * 3 + 4 * 3 + 2 * 2 + 2 * 3 + 2 * 3 * 2 * 3
    vector, restore = parameters(convolution(0))
    assert eqx.tree_equal(restore(vector).moves, convolution(0).moves), "moves are no parameters"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: gram(0, width=0), r"`width` must be a whole number >= 1, but it is 0"),
        (lambda: gram(0, rank=0), r"`rank` must be a whole number >= 1, but it is 0"),
        (lambda: mpdo(0, bond=0), r"`bond` must be a whole number >= 1, but it is 0"),
        (lambda: mpdo(0, uniform=True), r"`uniform` must be False unless `periodic` is True, but it is True"),
        (lambda: convolution(0, depth=0), r"`depth` must be a whole number >= 1, but it is 0"),
        (lambda: convolution(0, lattice.chain(3).translations), r"periodic in every direction"),
        (lambda: products_of(np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1]])), r"`moves` must be a group"),
    ],
)
def test_sentences(make, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        make()


PROBLEM = """
[lattice]
kind = "chain"
shape = [3]
periodic = {periodic}
[model]
kind = "xyz"
coupling = [0.9, 1.2, 1.0]
[ansatz]
{ansatz}
[initial]
kind = "{initial}"
[sampling]
kind = "enumeration"
[task]
kind = "stationary"
max_steps = 2
"""


def problem(ansatz, *, periodic=True, initial="random"):
    return loads(PROBLEM.format(ansatz=ansatz, periodic=str(periodic).lower(), initial=initial))


@pytest.mark.parametrize(
    ("ansatz", "kind", "count"),
    [
        ('kind = "gram"\nwidth = 2\nfactors = 1', "GramHadamard", 2 * 3 + 2 + 2 * 5 + 2 * 2 * 6),
        ('kind = "mpdo"\nbond = 2', "MPDO", 3 * 2 * 2 * 2 * 4),
        ('kind = "mpdo"\nbond = 2\ntranslations = true', "MPDO", 2 * 2 * 2 * 4),
        ('kind = "convolution"\nchannels = 1\npoint_group = true', "GroupConvolution", 3 + 9 + 1 + 2 + 12),
    ],
)
def test_problem_files(ansatz, kind, count):
    """The network that a problem names, in the sector that its Lindbladian keeps."""
    network = build(problem(ansatz)).driver.initial.ansatz
    assert type(network).__name__ == kind
    assert parameter_count(network) == count
    assert network.charge == parity()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            ('kind = "convolution"\nchannels = 1', False, "random"),
            "ansatz.kind.* must be another one unless the lattice",
        ),
        (
            ('kind = "mpdo"\nbond = 1\ntranslations = true', False, "random"),
            "ansatz.translations.* must be false unless",
        ),
        (('kind = "gram"\nwidth = 2\nfactors = 1', True, "mean-field"), "initial.kind"),
        (('kind = "gram"\nwidth = 0\nfactors = 1', True, "random"), "ansatz.width"),
    ],
)
def test_refusals(given, sentence):
    ansatz, periodic, initial = given
    with pytest.raises(NeurhoError, match=sentence):
        problem(ansatz, periodic=periodic, initial=initial)


@pytest.mark.slow
def test_a_search_takes_steps():
    """By exact sums over one configuration for all that are equal: ||L rho|| falls, as it must from a distant start."""
    run = build(problem('kind = "convolution"\nchannels = 1'))
    norms = [snapshot.diagnostics["lindblad_norm2"] for snapshot in run.snapshots()]
    assert norms[-1] < norms[0]


def test_keys_may_be_numbers():
    assert eqx.tree_equal(gram(3), gram(jax.random.key(3)))


def start_of(fit):
    steps = 'kind = "evolve"\nmethod = "projected"\nt = 0.01\npoints = 2'
    ansatz = 'kind = "gram"\nwidth = 6\nfactors = 2'
    text = PROBLEM.format(ansatz=ansatz, periodic="true", initial="product").replace("max_steps = 2", "")
    return text.replace('kind = "stationary"', steps).replace('kind = "product"', f'bloch = "+x"\nfit = {fit}')


def test_a_product_state_needs_a_fit():
    with pytest.raises(NeurhoError, match=r'initial.fit` must be at least 1 for ansatz.kind = "gram"'):
        loads(start_of(0))


@pytest.mark.slow
def test_a_fitted_start():
    """|+x> to 1e-5, and from there along the exact curve."""
    made = build(loads(start_of(30)))
    first, last = made.snapshots()
    truth = made.reference()
    assert first.diagnostics["preparation"] < 1e-5
    assert abs(float(last.observables["sx"].mean) - float(truth.sx[-1])) < 1e-3
