"""What users give to runs in Python: made to work where the meaning is plain, one sentence where it is not."""

import jax
import numpy as np
import pytest

import neurho
from neurho import exact, methods, networks, samplers
from neurho._types import NeurhoError, default_chains
from neurho.matrix_elements.tdvp import solvers

SITES = neurho.chain(2)
MODEL = neurho.heisenberg(SITES, field=(0.3, 0.0, 0.2), coupling=(0.5, 0.2, 0.1))
KEY = jax.random.key(0)
RING = neurho.chain(3, periodic=True).translations
UNITS = {"hidden": 3, "mixing": 3}
PREPARED = networks.product_state(KEY, (0.6, 0.0, 0.8), 2, hidden=2, mixing=2)
NETWORK = PREPARED.ansatz
NUMBER = tuple(neurho.sp(j) @ neurho.sm(j) for j in range(2))


def evolve(**options):
    return methods.evolve(MODEL, NETWORK, [0.0, 0.01], **options)


@pytest.mark.parametrize(
    "prepared", [PREPARED, networks.level_state(KEY, (0.3, 0.7), 2, hidden=2, mixing=2)], ids=["spins", "levels"]
)
def test_a_prepared_state_runs_as_its_network(prepared):
    (snapshot,) = methods.evolve(MODEL, prepared, [0.0], quantities={"n": NUMBER})
    rho = networks.density_matrix(prepared.ansatz)
    expected = np.mean([exact.expectation(rho, n, 2).real for n in NUMBER])
    assert float(snapshot.observables["n"].mean) == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(networks.density_matrix(prepared), rho)
    assert networks.parameter_count(prepared) == networks.parameter_count(prepared.ansatz)
    one = methods.reduced_density_matrix(prepared, 1).mean
    np.testing.assert_allclose(one, exact.reduced(rho, (1,), 2), atol=1e-12)


def test_a_prepared_state_is_saved_and_rewritten_as_its_network(tmp_path):
    networks.save_parameters(tmp_path / "state.npz", PREPARED)
    kept = networks.load_parameters(tmp_path / "state.npz")
    np.testing.assert_array_equal(kept.visible, NETWORK.visible)
    np.testing.assert_allclose(
        networks.density_matrix(networks.as_liouville(PREPARED)),
        networks.density_matrix(NETWORK),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda key: networks.random_rbm(key, 2, **UNITS),
        lambda key: networks.random_ndm(key, 2, **UNITS),
        lambda key: networks.random_liouville(key, 2, **UNITS),
        lambda key: networks.random_tied(key, RING, **UNITS),
        lambda key: networks.product_state(key, (0, 0, 1), 2, **UNITS).ansatz,
        lambda key: networks.uniform_product_state(key, (0, 0, 1), RING, **UNITS).ansatz,
        lambda key: networks.level_state(key, (1, 0, 0), 2, **UNITS).ansatz,
    ],
    ids=["rbm", "ndm", "liouville", "tied", "product", "uniform", "levels"],
)
def test_a_whole_number_is_a_key(make):
    short, long = jax.tree.leaves(make(3)), jax.tree.leaves(make(jax.random.key(3)))
    assert all(np.array_equal(a, b) for a, b in zip(short, long, strict=True))
    for wrong in ("seed", 0.5, None, -1, True):
        with pytest.raises(NeurhoError, match="Argument `key` must be a random key or a whole number >= 0"):
            make(wrong)


WRONG = {
    "method name": (lambda: evolve(method="bosh3"), "`method` must be a neurho.methods.Method, as in Method(BOSH3)"),
    "tableau name": (lambda: evolve(method=methods.Method("bosh3")), "`method` must be a neurho.methods.Method"),
    "fixed steps": (
        lambda: evolve(method=methods.Method(methods.RK4)),
        "`tolerance` must be None for a method that",
    ),
    "solver name": (
        lambda: evolve(solver="snr"),
        "`solver` must be an object such as neurho.matrix_elements.tdvp.solvers.Ridge(1e-3), but it is",
    ),
    "solver class": (lambda: evolve(solver=solvers.Ridge), "`solver` must be an object such as"),
    "sampler name": (lambda: evolve(sampler="metropolis"), "`sampler` must be an object such as metropolis("),
    "observables": (lambda: evolve(observables=[neurho.sz]), "no argument `observables`; did you mean `quantities`?"),
    "unknown": (lambda: evolve(sweeps=3), "There is no argument `sweeps`; known are generator, samples"),
    "function": (lambda: evolve(quantities=[neurho.sz]), "`quantities` must be a list of neurho.methods.Quantity"),
    "operator": (lambda: evolve(quantities=[neurho.sz(0)]), "`quantities` must be a list of neurho.methods.Quantity"),
    "not operators": (lambda: evolve(quantities={"n": neurho.sz}), "hold operators as `n`, as in sz(0), but"),
    "seed": (lambda: evolve(seed=KEY), "`seed` must be a whole number >= 0"),
    "dt": (lambda: evolve(dt="0.1"), "`dt` must be a number > 0"),
    "tolerance": (lambda: evolve(tolerance=-1), "`tolerance` must be a number > 0, or None for fixed steps"),
    "dt_max": (lambda: evolve(dt_max=0), "`dt_max` must be a number > 0"),
    "samples": (lambda: evolve(samples=1e3), "`samples` must be a whole number >= 1"),
    "chains": (lambda: evolve(chains=16), "`chains` must stand beside samples"),
    "time": (lambda: methods.evolve(MODEL, NETWORK, 1.0), "`times` must be a list of increasing numbers"),
    "complex times": (lambda: methods.evolve(MODEL, NETWORK, [0, 1j]), "`times` must be finite real numbers"),
    "array": (lambda: methods.evolve(MODEL, np.eye(4), [0.0]), "`ansatz` must be a network or a prepared state"),
    "swapped": (lambda: methods.evolve(NETWORK, MODEL, [0.0]), "`lindbladian` must be a Lindbladian"),
    "sites": (
        lambda: methods.evolve(MODEL, networks.random_rbm(0, 3, **UNITS), [0.0]),
        "`ansatz` must have the 2 sites of 2 levels that the Lindbladian has, but it has 3 of 2",
    ),
    "t_max": (lambda: methods.stationary_state(MODEL, NETWORK, t_max=-1), "`t_max` must be a number > 0"),
    "stationary ansatz": (lambda: methods.stationary_state(MODEL, 3, t_max=1), "`ansatz` must be a network or"),
    "lattice": (lambda: networks.random_rbm(0, SITES, **UNITS), "`sites` must be a whole number >= 1"),
    "hidden": (
        lambda: networks.product_state(0, (0, 0, 1), 2, hidden=2.5, mixing=2),
        "`hidden` must be a whole",
    ),
    "metropolis": (
        lambda: samplers.metropolis(3, samples=8, chains=4),
        "`lattice` must be a Lattice, as chain(4) gives",
    ),
    "enumeration": (lambda: samplers.enumerate_all(SITES), "`sites` must be a whole number >= 1"),
    "ridge": (lambda: solvers.Ridge("0.1"), "`ridge` must be a number > 0, but it is '0.1'"),
    "build": (lambda: neurho.build("fig2"), "`config` must be a Config, as neurho.load(FILE) gives"),
    "load": (lambda: neurho.load(3), "`source` must be the path of a TOML file or the name of a shipped problem"),
    "table": (lambda: networks.table_from_matrix(np.eye(4), sites=3), "`rho` must have shape (8, 8)"),
    "reduced": (
        lambda: methods.reduced_density_matrix(NETWORK, "01"),
        "`sites` must be one to three different sites",
    ),
    "bloch": (lambda: networks.product_state(0, (0, 0, 1j), 2, **UNITS), "`bloch` must be finite real numbers"),
    "quantities of": (lambda: methods.pauli_quantities(MODEL), "`lattice` must be a Lattice"),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence_for_each_wrong_argument(name):
    call, sentence = WRONG[name]
    with pytest.raises(NeurhoError) as caught:
        call()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bare_tableau_is_a_method():
    flow = methods.make_flow(MODEL, method=methods.BOSH3)
    assert flow.method == methods.Method(methods.BOSH3)


def test_a_chain_count_divides_all_samples_and_leaves_enough_to_each():
    for samples in ((4096,), (8192,), (1000,), (100,), (96, 36), (1009,), (3,), (20000, 5000)):
        chains = default_chains(*samples)
        assert all(count % chains == 0 for count in samples)
        assert 1 <= chains <= 512
        assert chains == 1 or min(samples) / chains >= 4
    assert [default_chains(n) for n in (4096, 8192, 65536, 256)] == [256, 512, 512, 64]


def test_changes_of_a_problem_may_be_a_table():
    changed = neurho.load("fig2", {"task.t": 1.0, "task.method": "dopri5", "lattice.shape": [4]})
    assert (changed.task.t, changed.task.method, changed.sites) == (1.0, "dopri5", 4)
