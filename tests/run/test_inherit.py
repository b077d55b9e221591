"""The state of another run as the initial state, and what translation-invariant problems refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, config, records
from neurho.dynamics.flow import RunState
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import RBM, TiedRBM, as_liouville, enlarged, random_liouville
from neurho.matrix_elements.symmetry import number, parity
from neurho.model import lattice
from neurho.observables import Estimate, Snapshot
from neurho.run import initial
from neurho.run.assembly import make_charge, make_lattice, make_lindbladian
from neurho.stationary_states.continuation import SearchState

CHAINS = jnp.zeros((2, 3), dtype=jnp.int32)


def problem(shape=3, **changes):
    """A ring with weak parity (field along z), as a `Config`."""
    tables = {
        "lattice": {"kind": "chain", "shape": [shape], "periodic": True},
        "model": {"kind": "heisenberg", "field": [0.0, 0.0, 0.4], "coupling": [0.9, 0.3, 0.5]},
        "ansatz": {"kind": "rbm", "hidden": 2 * shape, "mixing": shape, "translations": True},
        "sampling": {"kind": "metropolis", "samples": 4, "chains": 2},
        "task": {"kind": "stationary"},
        "initial": {"kind": "random"},
    }
    for name, table in changes.items():
        tables[name] = tables[name] | table if "kind" not in table else table
    return config.validate(tables)


def begin(asked):
    sites = make_lattice(asked)
    generator = lindbladian_map(make_lindbladian(asked, sites))
    return initial.make_initial(asked, sites, generator, make_charge(asked, generator)).ansatz


def write(path, asked, *networks):
    """A run directory with one checkpoint for each network."""
    run = records.create(path, config.dumps(asked), fingerprint=config.fingerprint(asked), seed=0, keep=9)
    for step, network in enumerate(networks):
        state = RunState(ansatz=network, chains=CHAINS, diagonal_chains=CHAINS, step=step, t=float(step), dt=0.1)
        zero = Estimate(mean=np.zeros(3), error=np.zeros(3))
        run.record(Snapshot(step=step, t=float(step), observables={"sz_site": zero}, diagnostics={}, state=state))
        run.save()
    return str(path)


def same(one, other):
    leaves = [jax.tree.leaves(tree) for tree in (one, other)]
    return all(np.array_equal(a, b) for a, b in zip(*leaves, strict=True))


@pytest.fixture
def run(tmp_path):
    """A finished run of the small ring, and its last network."""
    last = helpers.tied_network(1, lattice.chain(3, periodic=True))
    return write(tmp_path / "ring", problem(), helpers.tied_network(0, lattice.chain(3, periodic=True)), last), last


def test_every_state_begins_with_its_network():
    """What `read_ansatz` relies on."""
    assert RunState._fields[0] == SearchState._fields[0] == "ansatz"


def test_the_last_parameters_in_the_sector_of_the_new_problem(run):
    found = begin(problem(initial={"run": run[0], "kind": "state"}))
    assert isinstance(found, TiedRBM)
    assert same(found, run[1])
    assert found.charge == parity()
    broken = problem(initial={"run": run[0], "kind": "state"}, model={"field": [0.3, 0.0, 0.4]})
    assert begin(broken).charge is None


def test_a_damaged_checkpoint_is_passed_over(run, tmp_path):
    newest = sorted((tmp_path / "ring" / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-10])
    found = begin(problem(initial={"run": run[0], "kind": "state"}))
    assert same(found, helpers.tied_network(0, lattice.chain(3, periodic=True)))


def test_from_a_small_ring_to_a_larger_one(run):
    found = begin(problem(5, initial={"run": run[0], "kind": "state"}))
    assert same(found, enlarged(run[1], lattice.chain(3, periodic=True), lattice.chain(5, periodic=True)))


def test_noise_moves_all_but_the_visible_parameters(run):
    found = begin(problem(initial={"run": run[0], "kind": "state", "noise": 0.01}))
    np.testing.assert_array_equal(found.visible, run[1].visible)
    for name in ("hidden_bias", "hidden_filters", "mixing_bias", "mixing_filters"):
        change = np.abs(getattr(found, name) - getattr(run[1], name))
        assert 0 < change.max() < 0.06


def test_a_tied_state_becomes_an_ordinary_one(run):
    found = begin(problem(initial={"run": run[0], "kind": "state"}, ansatz={"translations": False}))
    assert isinstance(found, RBM)
    assert same(found, run[1].expanded())


def liouville(**changes):
    return {"kind": "liouville", "hidden": 6, "mixing": 3} | changes


@pytest.mark.parametrize("translations", [True, False])
def test_a_state_of_the_paper_s_network_becomes_one_on_labels(run, translations):
    asked = problem(initial={"run": run[0], "kind": "state"}, ansatz=liouville(translations=translations))
    known = run[1] if translations else run[1].expanded()
    assert same(begin(asked), as_liouville(known))
    assert begin(asked).tied == translations


def test_states_on_labels(tmp_path):
    """On the same lattice, untied, and on a larger one; with the sector of the new problem, and not back to Eq. 2."""
    small, large = lattice.chain(3, periodic=True), lattice.chain(5, periodic=True)
    last = random_liouville(jax.random.key(0), 3, hidden=6, mixing=3, scale=0.3, translations=small.translations)
    path = write(tmp_path / "labels", problem(ansatz=liouville(translations=True)), last)
    state = {"run": path, "kind": "state"}
    kept = begin(problem(ansatz=liouville(translations=True), initial=state))
    assert same(kept, last)
    assert kept.charge == parity()
    assert same(begin(problem(ansatz=liouville(), initial=state)), last.expanded())
    grown = liouville(translations=True, hidden=10, mixing=5)
    assert same(begin(problem(5, ansatz=grown, initial=state)), enlarged(last, small, large))
    with pytest.raises(NeurhoError, match="its network is of another kind"):
        begin(problem(initial=state))


@pytest.mark.parametrize("translations", [True, False])
@pytest.mark.parametrize(
    "start", [{"kind": "product", "bloch": [0.3, -0.2, 0.4]}, {"kind": "mean-field"}], ids=["product", "mean-field"]
)
def test_starts_on_labels_are_those_of_the_paper_s_network_with_noise_of_their_own(start, translations):
    known, asked = (
        problem(ansatz={"kind": kind, "hidden": 6, "mixing": 3, "translations": translations}, initial=start)
        for kind in ("rbm", "liouville")
    )
    sites = make_lattice(asked)
    generator = lindbladian_map(make_lindbladian(asked, sites))
    of_paper, found = (initial.make_initial(one, sites, generator, None) for one in (known, asked))
    assert same(found.target, as_liouville(of_paper.target))
    assert found.tilt_loss == of_paper.tilt_loss
    assert same(found.ansatz.visible, found.target.visible)
    noise = np.asarray(found.ansatz.hidden_weights)
    assert found.ansatz.tied == translations
    assert 0.2 * asked.initial.noise < noise.std() < 1.2 * asked.initial.noise
    assert np.all(noise != 0), "weights to products, too"


def test_an_ordinary_state_on_the_same_lattice(tmp_path):
    """A quench: the parameters of another run, another Lindbladian."""
    plain, network = problem(ansatz={"translations": False}), helpers.network(0, hidden=6, mixing=3)
    path = write(tmp_path / "plain", plain, network)
    quench = problem(
        ansatz={"translations": False},
        initial={"run": path, "kind": "state"},
        model={"field": [1.0, 0.0, 0.0]},
        task={"kind": "evolve", "t": 1.0, "method": "heun", "dt": 0.1},
    )
    assert same(begin(quench), network)


@pytest.mark.parametrize(
    ("source", "field", "kept"),
    [("auto", 0.0, True), ("none", 0.0, False), ("auto", 1.0, False)],
    ids=["kept", "source without sector", "broken by the quench"],
)
def test_an_evolution_stays_in_the_sector_in_which_it_begins(tmp_path, source, field, kept):
    path = write(tmp_path / "ring", problem(ansatz={"symmetry": source}))
    quench = problem(
        initial={"run": path, "kind": "state"},
        model={"field": [field, 0.0, 0.1]},
        task={"kind": "evolve", "t": 1.0, "method": "heun", "dt": 0.1},
    )
    generator = lindbladian_map(make_lindbladian(quench, make_lattice(quench)))
    assert make_charge(quench, generator) == (parity() if kept else None)


def test_a_parity_sector_may_be_wider_than_the_new_number_sector(tmp_path):
    """A state with pairs of particles does not lie in the sector of equal numbers."""
    path = write(tmp_path / "ring", problem())
    evolve = {"kind": "evolve", "t": 1.0, "method": "heun", "dt": 0.1}
    conserving = {"coupling": [0.9, 0.9, 0.5]}
    quench = problem(initial={"run": path, "kind": "state"}, model=conserving, task=evolve)
    generator = lindbladian_map(make_lindbladian(quench, make_lattice(quench)))
    assert make_charge(problem(model=conserving), generator) == number()
    assert make_charge(quench, generator) is None


WRONG = [
    ({"ansatz": {"hidden": 3}}, "its network needs ansatz.hidden = 6, but it is 3."),
    ({"lattice": {"shape": [2]}, "ansatz": {"hidden": 4, "mixing": 2}}, "at least as large"),
    (
        {"lattice": {"kind": "square", "shape": [3, 3], "periodic": True}, "ansatz": {"hidden": 18, "mixing": 9}},
        "a lattice of its own kind",
    ),
    ({"ansatz": {"kind": "table"}}, "its network is of another kind."),
    ({"initial": {"run": "no/such/run", "kind": "state"}}, "There is no run directory `no/such/run`."),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=["hidden", "smaller", "kind", "table", "missing"])
def test_one_sentence_for_a_state_that_does_not_fit(run, changes, sentence):
    with pytest.raises(NeurhoError) as caught:
        begin(problem(**({"initial": {"run": run[0], "kind": "state"}} | changes)))
    assert str(caught.value).startswith("Key `initial.run` must be a run whose last state fits this problem: ")
    assert sentence in str(caught.value)


def test_one_sentence_for_runs_without_a_translation_invariant_state(tmp_path):
    plain = problem(ansatz={"translations": False})
    untied = write(tmp_path / "plain", plain, helpers.network(0, hidden=6, mixing=3))
    empty = write(tmp_path / "empty", problem())
    exact = write(tmp_path / "exact", problem(task={"kind": "stationary", "method": "exact"}))
    for path, sentence in (
        (untied, "its network is not translation-invariant."),
        (empty, f"The run `{empty}` has saved no state yet."),
        (exact, f"the run `{exact}` is exact and has no network."),
    ):
        with pytest.raises(NeurhoError, match="Key `initial") as caught:
            begin(problem(initial={"run": path, "kind": "state"}))
        assert sentence in str(caught.value)
    other = problem(ansatz={"kind": "ndm", "hidden": 6, "mixing": 3})
    ndm = write(tmp_path / "ndm", other, helpers.neural_density_matrix(0, hidden=6))
    with pytest.raises(NeurhoError, match="its network is of another kind"):
        begin(problem(initial={"run": ndm, "kind": "state"}, ansatz={"translations": False}))


REFUSED = [
    (
        {"lattice": {"kind": "chain", "shape": [3]}},
        "key `ansatz.translations` must be false unless the lattice is periodic in every direction, but it is true.",
    ),
    (
        {"lattice": {"kind": "edges", "edges": [[0, 1], [1, 2], [0, 2]]}},
        "key `ansatz.translations` must be false unless the lattice is periodic in every direction, but it is true.",
    ),
    (
        {"ansatz": {"mixing": 4}},
        "key `ansatz.mixing` must be a multiple of the 3 sites where ansatz.translations = true, but it is 4.",
    ),
    (
        {"initial": {"kind": "levels", "populations": [0.5, 0.5]}},
        'key `initial.kind` must be another one where ansatz.translations = true, but it is "levels".',
    ),
    (
        {"initial": {"kind": "product", "bloch": [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0.4]]}},
        "key `initial.bloch` must be the same on all sites where ansatz.translations = true, but it is not.",
    ),
    (
        {"initial": {"kind": "state", "run": ""}},
        'key `initial.run` must be the directory of a run, but it is "".',
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_one_sentence_for_each_wrong_value(changes, sentence):
    with pytest.raises(NeurhoError) as caught:
        problem(**changes)
    assert sentence in str(caught.value)


def test_a_lindbladian_that_is_not_invariant_is_refused():
    with pytest.raises(
        NeurhoError, match=r"In \[ansatz\]: Argument `translations` .* sites \(0,\) and \(1,\) differ\."
    ):
        begin(problem(model={"decay": [1.0, 0.9, 1.0]}))


def test_the_mean_field_state_is_that_of_all_sites():
    """Against the mean-field equations of one spin, d<sigma>/dt = 0 by hand."""
    start = {"kind": "mean-field", "noise": 0.0}
    found = begin(problem(model={"field": [0.5, 0.0, 0.0], "coupling": [0.0, 0.0, 0.5]}, initial=start))
    rho = helpers.matrix_of(np.exp(np.asarray(jax.vmap(found.log_amplitude)(helpers.configurations(3)))), 3)
    one = rho.reshape(2, 4, 2, 4).trace(axis1=1, axis2=3)
    np.testing.assert_allclose(rho, np.kron(one, np.kron(one, one)), rtol=0, atol=1e-9)
    x, y, z = 2 * one[0, 1].real, -2 * one[0, 1].imag, (one[0, 0] - one[1, 1]).real
    h = 2 * 0.5 * z  # two neighbours with coupling 1/2: the field along z that each spin feels
    rates = (-2 * h * y - x / 2, 2 * h * x - 2 * 0.5 * z - y / 2, 2 * 0.5 * y - z - 1)
    np.testing.assert_allclose(rates, 0, atol=1e-6)
    assert abs(x) > 0.05
