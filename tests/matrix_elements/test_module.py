"""Modules of one's own: the numbers of the network with the same formula, and all that is wrong in one."""

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
import neurho
import registry
from neurho import NeurhoError, exact
from neurho.dynamics import flow
from neurho.dynamics.projected_steps import follow_projected
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import (
    Hermitian,
    InSector,
    Symmetrised,
    from_amplitude,
    from_module,
    log_amplitudes,
    log_derivatives,
    parameter_count,
    parameters,
    translated,
    with_point_group,
)
from neurho.matrix_elements.networks.module import names_module
from neurho.matrix_elements.sampling import enumerate_all, metropolis
from neurho.matrix_elements.symmetry import number, parity, strong_charge
from neurho.matrix_elements.tdvp.equation import TDVP
from neurho.model import lattice
from neurho.records import load_parameters, save_parameters
from neurho.stationary_states.continuation import search_stationary

X = jnp.asarray(helpers.configurations(3))


def log_cosh(z):
    return z + jnp.log((1 + jnp.exp(-2 * z)) / 2)


class Paper(eqx.Module):
    """Eq. 2 of PRL 122, 250502 with complex parameters, written down once more."""

    a: jax.Array
    b: jax.Array
    w: jax.Array
    c: jax.Array
    u: jax.Array

    def __init__(self, rbm):
        self.a, self.b, self.w, self.u = (
            np.asarray(v[0]) + 1j * np.asarray(v[1])
            for v in (rbm.visible, rbm.hidden_bias, rbm.hidden_weights, rbm.mixing_weights)
        )
        self.c = rbm.mixing_bias

    def __call__(self, left, right):
        mixed = jnp.sum(log_cosh(2 * self.c + self.u @ left + self.u.conj() @ right))
        sides = log_cosh(self.b + self.w @ left) + log_cosh(self.b.conj() + self.w.conj() @ right)
        return self.a @ left + self.a.conj() @ right + jnp.sum(sides) + mixed


@pytest.fixture(scope="module")
def pair():
    """The paper's network, and a module of the same numbers."""
    rbm = helpers.network(0)
    return rbm, from_module(Paper(rbm), sites=3, hermitian=True, positive=True)


def vectors(rbm, network):
    """Places of the module's parameters among those of the network, from the values."""
    one, other = np.asarray(parameters(rbm)[0]), np.asarray(parameters(network)[0])
    places = np.array([int(np.flatnonzero(one == value)[0]) for value in other])
    assert sorted(places) == list(range(len(one)))
    return places


def test_the_same_logarithms_and_derivatives(pair):
    rbm, network = pair
    found, expected = log_amplitudes(network, X), log_amplitudes(rbm, X)
    np.testing.assert_allclose(np.exp(found - expected), 1, rtol=1e-10)
    assert parameter_count(network) == parameter_count(rbm)
    rows = jax.vmap(lambda x: log_derivatives(network, x))(X)
    expected = jax.vmap(lambda x: log_derivatives(rbm, x))(X)[:, :, vectors(rbm, network)]
    np.testing.assert_allclose(rows, expected, atol=1e-10)


@pytest.mark.slow
def test_the_same_right_hand_side(pair):
    rbm, network = pair
    sampler = enumerate_all(3, hermitian=True)
    tdvp = TDVP(helpers.generator(), sampler, neurho.solvers.Ridge(1e-3))
    arguments = (jax.random.key(0), jnp.asarray(0.0))
    one, other = (tdvp(*arguments, ansatz, sampler.configurations[:0]) for ansatz in (rbm, network))
    np.testing.assert_allclose(other.velocity, one.velocity[vectors(rbm, network)], atol=1e-10)
    assert abs(other.residual - one.residual) < 1e-10


@pytest.mark.slow
def test_the_same_chains(pair):
    """Metropolis chains accept the same proposals: ratios are those of the network."""
    rbm, network = pair
    sampler = metropolis(lattice.chain(3), samples=256, chains=64)
    draws = [sampler.sample(jax.random.key(1), a.amplitudes(), X[:64])[0].x for a in (rbm, network)]
    # Acceptance is decided in single precision by one and in double by the other: a few of 256 may differ.
    assert np.mean(np.any(draws[0] != draws[1], axis=-1)) < 0.02


@pytest.mark.slow
def test_a_module_evolves(tmp_path):
    """Three sites by exact sums close to the exact solution, and what is saved comes back."""
    model = helpers.driven_chain()
    rho0 = neurho.networks.product_state(jax.random.key(3), (1, 0, 0), 3, hidden=3, mixing=3, noise=0.05).ansatz
    network = from_module(Paper(rho0), sites=3, hermitian=True)
    *_, last = neurho.methods.evolve(model, network, [0.0, 0.2], tolerance=1e-4)
    truth = list(exact.evolve(model, neurho.networks.density_matrix(rho0), [0.0, 0.2]))[-1]
    error = exact.delta_rho(neurho.networks.density_matrix(last.state.ansatz), truth)
    *_, known = neurho.methods.evolve(model, rho0, [0.0, 0.2], tolerance=1e-4)
    assert error < 0.05
    assert abs(error - exact.delta_rho(neurho.networks.density_matrix(known.state.ansatz), truth)) < 1e-6
    save_parameters(tmp_path / "own.npz", last.state.ansatz)
    with np.load(tmp_path / "own.npz") as file:
        assert file["parameters.w"].shape == (2, 3, 3)
    assert eqx.tree_equal(load_parameters(tmp_path / "own.npz", like=network), last.state.ansatz)


@pytest.mark.parametrize("name", ["function", "equinox", "single precision"])
def test_ways_to_give_a_module(name):
    """Functions and modules of equinox, with whole numbers or spins, on two arrays or on one."""
    l, r = np.divmod(np.asarray(X), 2)
    if name == "function":
        network = registry.own_function(0, 3)
        p = {k: np.asarray(v) for k, v in network.parameters.items()}
        left, right = 1 - 2 * l, 1 - 2 * r
        expected = (
            np.einsum("xi,ij,xj->x", left, p["matrix"][0] + 1j * p["matrix"][1], right) + (left + right) @ p["field"]
        )
    else:
        net = eqx.nn.MLP(6, 2, 4, 1, key=jax.random.key(0))
        if name == "single precision":
            net = jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_array(a) else a, net)
        network = from_module(net, sites=3, joined=True, spins=False)
        assert all(leaf.dtype == float for leaf in network.parameters.values())
        expected = jax.vmap(net)(jnp.concatenate([l, r], axis=1)) @ jnp.asarray([1, 1j])
    np.testing.assert_allclose(log_amplitudes(network, X), expected, atol=1e-6 if "single" in name else 1e-12)


def test_levels_of_more_than_two():
    """Sites of three levels: whole numbers 0, 1, 2, as they are."""
    network = registry.own_function(0, local_dim=3)
    x = helpers.configurations(2, 3)
    l, r = np.divmod(x, 3)
    p = {k: np.asarray(v) for k, v in network.parameters.items()}
    expected = np.einsum("xi,ij,xj->x", l, p["matrix"][0] + 1j * p["matrix"][1], r) + (l + r) @ p["field"]
    np.testing.assert_allclose(log_amplitudes(network, jnp.asarray(x)), expected, atol=1e-12)


def test_equal_modules_share_programs():
    make = lambda seed: from_module(eqx.nn.MLP(6, 2, 4, 1, key=jax.random.key(seed)), sites=3, joined=True)  # noqa: E731
    one, other = make(0), make(1)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert jax.tree.structure(one) != jax.tree.structure(from_module(Paper(helpers.network(0)), sites=3))


class Masked(eqx.Module):
    """What is no parameter: whole numbers, a static field, a function."""

    weights: jax.Array
    order: jax.Array
    power: int = eqx.field(static=True)

    def __call__(self, left, right):
        return 0.3 * jnp.sum(self.weights * left[self.order] * right**self.power)


def test_what_is_no_parameter_stays():
    network = from_module(Masked(jnp.arange(3.0), jnp.asarray([2, 0, 1]), 2), sites=3)
    assert parameter_count(network) == 3
    vector, restore = parameters(network)
    left = 1.0 - 2.0 * (np.asarray(X) // 2)
    expected = 0.3 * left[:, [2, 0, 1]] @ np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(log_amplitudes(restore(vector + 1), X), expected, atol=1e-12)


def flax_modules():
    linen, nnx = pytest.importorskip("flax.linen"), pytest.importorskip("flax.nnx")

    class Linen(linen.Module):
        width: int

        @linen.compact
        def __call__(self, left, right):
            hidden = linen.Dense(self.width)(jnp.concatenate([left, right]))
            shift = self.variable("fixed", "shift", lambda: jnp.ones(2))
            return linen.Dense(2)(jnp.tanh(hidden)) + shift.value

    class Nnx(nnx.Module):
        def __init__(self, width, rngs):
            self.inner = nnx.Linear(6, width, rngs=rngs)
            self.outer = nnx.Linear(width, 2, rngs=rngs)
            self.shift = nnx.BatchStat(jnp.ones(2))

        def __call__(self, left, right):
            return self.outer(jnp.tanh(self.inner(jnp.concatenate([left, right])))) + self.shift[...]

    return Linen(4), Nnx(4, nnx.Rngs(0))


def perceptron(inner, outer):
    """1 + the value of a perceptron with these (kernel, bias), as a complex number."""
    seen = np.concatenate([1.0 - 2.0 * (np.asarray(X) // 2), 1.0 - 2.0 * (np.asarray(X) % 2)], axis=1)
    value = np.tanh(seen @ inner[0] + inner[1]) @ outer[0] + outer[1] + 1
    return value[:, 0] + 1j * value[:, 1]


def test_flax_linen():
    module, _ = flax_modules()
    variables = module.init(jax.random.key(0), jnp.ones(3), jnp.ones(3))
    network = from_module(module, variables, sites=3)
    assert parameter_count(network) == 7 * 4 + 5 * 2  # the shift is not trained
    parts = [[variables["params"][f"Dense_{n}"][k] for k in ("kernel", "bias")] for n in (0, 1)]
    np.testing.assert_allclose(log_amplitudes(network, X), perceptron(*parts), atol=1e-6)
    with pytest.raises(NeurhoError, match=r"given with its variables, .* but `Linen` of flax.linen has none"):
        from_module(module, sites=3)


def test_flax_nnx():
    _, module = flax_modules()
    network = from_module(module, sites=3)
    assert parameter_count(network) == 7 * 4 + 5 * 2
    parts = [[np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])] for layer in (module.inner, module.outer)]
    np.testing.assert_allclose(log_amplitudes(network, X), perceptron(*parts), atol=1e-6)
    rows = eqx.filter_jit(lambda a, x: jax.vmap(lambda y: log_derivatives(a, y))(x))(network, X)
    assert np.all(np.isfinite(rows))


@pytest.mark.parametrize("library", ["linen", pytest.param("nnx", marks=pytest.mark.slow)])
def test_flax_evolves_as_equinox_does(library):
    """Two Euler steps of the flow by exact sums: the same state, in modules of two libraries."""
    linen, nnx = flax_modules()
    layers = [
        (np.asarray(layer.kernel[...], float), np.asarray(layer.bias[...], float)) for layer in (nnx.inner, nnx.outer)
    ]
    variables = linen.init(jax.random.key(0), jnp.ones(3), jnp.ones(3))
    variables["params"] = {
        f"Dense_{n}": {"kernel": jnp.asarray(k), "bias": jnp.asarray(b)} for n, (k, b) in enumerate(layers)
    }
    net = eqx.nn.MLP(6, 2, 4, 1, jnp.tanh, key=jax.random.key(0))
    for n, (kernel, bias) in enumerate(layers):
        where = lambda m, n=n: (m.layers[n].weight, m.layers[n].bias)  # noqa: E731
        net = eqx.tree_at(where, net, (jnp.asarray(kernel.T), jnp.asarray(bias + n)))  # the shift adds one
    given = {"equinox": (net, None), "linen": (linen, variables), "nnx": (nnx, None)}
    sampler = enumerate_all(3)
    tdvp = TDVP(helpers.generator(), sampler, neurho.solvers.Ridge(1e-3))
    ends = {}
    for name in ("equinox", library):
        network = from_module(*given[name], sites=3, joined=name == "equinox")
        start = log_amplitudes(network, X)
        for _ in range(2):
            vector, restore = parameters(network)
            rates = tdvp(jax.random.key(0), jnp.asarray(0.0), network, sampler.configurations[:0])
            network = restore(vector + 0.02 * rates.velocity)
        ends[name] = log_amplitudes(network, X)
        assert np.max(np.abs(ends[name] - start)) > 1e-2
    np.testing.assert_allclose(ends[library], ends["equinox"], atol=1e-7)


def test_nan_in_a_run_names_the_module():
    """Every loop that moves a network says which module it was."""

    def own(p, left, right):
        return p @ (left + right)

    @names_module
    def follow(method, state):
        yield method
        raise neurho.NumericalError("At t = 1 sx became NaN.")

    network = Hermitian(from_module(own, jnp.ones(3), sites=3))
    with pytest.raises(neurho.NumericalError, match=r"With the module `own`: At t = 1 sx became NaN\."):
        list(follow(0, SimpleNamespace(ansatz=network)))
    with pytest.raises(neurho.NumericalError, match=r"^At t = 1"):
        list(follow(0, SimpleNamespace(ansatz=helpers.network(0))))
    for loop in (flow.follow, follow_projected, search_stationary):
        assert loop.__wrapped__


def test_a_module_that_changes_what_it_returns_is_named():
    changed = []

    def fickle(p, left, right):
        value = p @ (left + right)
        return jnp.stack([value] * 3) if changed else value

    network = from_module(fickle, jnp.ones(3), sites=3)
    changed.append(True)
    with pytest.raises(NeurhoError, match=r"`fickle` now returns an array of shape \(3,\)"):
        log_amplitudes(network, X[:5])


# ---- wrappers, against dense matrices


def dense_of(network):
    """The matrix without normalisation, from the logarithms."""
    rows, columns = helpers.label_index(network.sites, network.local_dim)
    rho = np.zeros((network.local_dim**network.sites,) * 2, dtype=complex)
    values = log_amplitudes(network, jnp.asarray(helpers.configurations(network.sites, network.local_dim)))
    rho[rows, columns] = np.exp(np.asarray(values))
    return rho


def moved(rho, move, sites):
    """P rho P^T with P |l> = |l'>, l'_j = l_move[j]."""
    order = [*move, *(sites + np.asarray(move))]
    return rho.reshape((2,) * (2 * sites)).transpose(order).reshape(rho.shape)


def test_hermitian():
    network = registry.own_function(0, 3)
    rho = dense_of(network)
    found = Hermitian(network)
    np.testing.assert_allclose(dense_of(found), rho + rho.conj().T, atol=1e-12)
    assert found.hermitian
    assert parameter_count(found) == parameter_count(network)


def test_wrapped_networks_are_taken_as_they_are():
    """A wrapper holds a network as a prepared state does, and is one itself: nothing takes it off."""
    network, ring = registry.own_function(0, 3), lattice.chain(3, periodic=True)
    for found in (Hermitian(network), translated(network, ring), InSector(Hermitian(network), parity())):
        rho = dense_of(found)
        np.testing.assert_allclose(neurho.networks.density_matrix(found), rho / np.trace(rho), atol=1e-12)


def test_positive():
    network = registry.own_amplitude(0, 3)
    weights = np.asarray(network.parameters["value"])
    weights = weights[0] + 1j * weights[1]
    l = 1 - 2 * np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T
    phi = np.exp(l @ weights.T)
    np.testing.assert_allclose(dense_of(network), phi @ phi.conj().T, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(neurho.networks.density_matrix(network))
    assert eigenvalues[0] > -1e-12
    assert np.sum(eigenvalues > 1e-12) == 3  # the rank is the number of ancillas


@pytest.mark.parametrize("logarithms", [False, True])
def test_symmetrised(logarithms):
    ring = lattice.chain(3, periodic=True)
    network = registry.own_function(0, 3)
    rho = dense_of(network)
    for make, moves in ((translated, ring.translations), (with_point_group, ring.symmetries)):
        all_of_them = np.stack([moved(rho, move, 3) for move in moves])
        logs = np.mean([np.asarray(log_amplitudes(network, X[:, move])) for move in moves], axis=0)
        expected = all_of_them.mean(axis=0)
        if logarithms:
            expected = np.zeros_like(rho)
            expected[helpers.label_index(3, 2)] = np.exp(logs)
        found = dense_of(make(network, ring, logarithms=logarithms))
        np.testing.assert_allclose(found, expected, atol=1e-12)
        for move in moves:
            np.testing.assert_allclose(moved(found, move, 3), found, atol=1e-12)
    assert len(ring.symmetries) == 2 * len(ring.translations)


def test_a_strong_sector():
    """P rho P with the projector on two raised spins of three; and the weak sectors of number and parity."""
    network = registry.own_function(0, 3)
    rho = dense_of(network)
    raised = np.array([np.sum(l) for l in np.ndindex(2, 2, 2)])
    model = neurho.models.dephasing_chain(lattice.chain(3))
    charge = strong_charge(lindbladian_map(model))
    assert charge is not None
    inside = (raised == 2).astype(float)
    np.testing.assert_allclose(dense_of(InSector(network, charge, 2)), rho * np.outer(inside, inside), atol=1e-12)
    for weak, apart in ((number(), raised), (parity(), raised % 2)):
        kept = apart[:, None] == apart[None]
        np.testing.assert_allclose(dense_of(InSector(network, weak)), rho * kept, atol=1e-12)


@pytest.mark.slow
def test_a_sector_is_kept():
    """Chains find the sector and stay in it, and the flow by exact sums is finite."""
    model = neurho.models.dephasing_chain(lattice.chain(3))
    network = InSector(Hermitian(registry.own_function(0, 3)), strong_charge(lindbladian_map(model)), 1)
    sampler = metropolis(lattice.chain(3), samples=256, chains=64, warmup=20)
    chains = sampler.init(jax.random.key(0), network.amplitudes())
    x = np.asarray(sampler.sample(jax.random.key(1), network.amplitudes(), chains)[0].x).reshape(-1, 3)
    assert np.all(np.sum(x // 2, axis=1) == 1)
    assert np.all(np.sum(x % 2, axis=1) == 1)
    every = enumerate_all(3)
    rates = TDVP(lindbladian_map(model), every, neurho.solvers.Ridge(1e-3))(
        jax.random.key(0), jnp.asarray(0.0), network, every.configurations[:0]
    )
    assert np.all(np.isfinite(rates.velocity))
    assert rates.residual < 1


# ---- what is wrong is said in a sentence


def of(value, **leaves):
    """A function `mine` that returns something, with parameters."""

    def mine(parameters, left, right):
        return value(parameters, left, right)

    return mine, leaves or {"w": np.ones(3)}


@pytest.mark.parametrize(
    ("given", "claims", "sentence"),
    [
        (of(lambda p, l, r: l), {}, r"two real ones \(re, im\), but `mine` returns an array of shape \(3,\)"),
        (of(lambda p, l, r: (l, r)), {}, r"but `mine` returns "),
        (of(lambda p, l, r: jnp.sum(p["v"])), {}, r"but `mine` raises KeyError"),
        (of(lambda p, l, r: jnp.sum(p["w"]) * jnp.nan), {}, r"finite log rho.*but `mine` returns .*nan.* at l = \["),
        (of(lambda p, l, r: jnp.log(p["w"] @ l)), {}, r"finite log rho.*but `mine` returns .*nan"),
        (of(lambda p, l, r: p["w"] @ l), {"hermitian": True}, r"be Hermitian, .* but `mine` is not"),
        (
            of(lambda p, l, r: p["w"] @ (l + r) + 1j * jnp.pi * (1 - jnp.prod(l)) / 2 * (l @ r == 3)),
            {"positive": True},
            r"rho\(l, l\) >= 0 where positive=True says so, but `mine` has not",
        ),
        (of(lambda p, l, r: l[0], w=[1.0]), {}, r"parameters, but `w.0` of `mine` is 1.0"),
        (of(lambda p, l, r: l[0], w=np.arange(3)), {}, r"parameters, but `w` of `mine` is an array of type int64"),
        (of(lambda p, l, r: l[0], w=np.array(["a"])), {}, r"parameters, but `w` of `mine` is an array of type"),
        (of(lambda p, l, r: l[0], w=np.array([np.nan])), {}, r"finite parameters, but `w` of `mine` holds NaN"),
        ((lambda l, r: l[0], {}), {}, r"have parameters, but `<lambda>` has none"),
        ((lambda l, r: l[0], None), {}, r"given with its parameters, but `<lambda>` has none"),
        ((3, {"w": np.ones(3)}), {}, r"be a function, or a module that can be called, but it is 3"),
        ((eqx.nn.MLP(6, 2, 4, 1, key=jax.random.key(0)), None), {}, r"take an array of shape \(3,\) and an array"),
        ((eqx.nn.MLP(6, 3, 4, 1, key=jax.random.key(0)), None), {"joined": True}, r"`MLP` returns an array"),
        ((eqx.nn.MLP(6, 2, 4, 1, key=jax.random.key(0)), {}), {}, r"`parameters` must be left out for a module"),
        (of(lambda p, l, r: l[0]), {"local_dim": 3, "spins": True}, r"`spins` must be False for more than two levels"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_the_module(given, claims, sentence):
    with pytest.raises(NeurhoError, match=sentence) as caught:
        from_module(*given, sites=3, **claims)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda net: Symmetrised(net, [[0, 1, 1]]), "`moves` must be permutations of the 3 sites"),
        (lambda net: Symmetrised(net, [[0, 1, 2], [1, 2, 0]]), "`moves` must be a group"),
        (lambda net: translated(net, 3), "`lattice` must be a Lattice"),
        (lambda net: InSector(net, number(3)), "`charge` must have 4 values, but it has 9"),
        (lambda net: InSector(net, number(), 1), r"`sector` must be one of \[0\]"),
        (lambda net: Hermitian(3), "`ansatz` must be a network"),
        (lambda net: from_amplitude(lambda p, l, k: l, np.ones(3), sites=3, ancillas=2), r"return log phi_k\(l\)"),
        (lambda net: from_amplitude(lambda p, l, k: p[0] / k, np.ones(3), sites=3, ancillas=2), r"finite log phi_k"),
    ],
)
def test_wrong_wrappers(make, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        make(registry.own_function(0, 3))
