"""Quantum trajectories against sparse matrices, matrix exponentials, closed forms and the exact solver."""

import itertools
import tracemalloc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import helpers
import neurho
from neurho import exact, models, pulses
from neurho import trajectories as tr
from neurho._types import NeurhoError
from neurho.model import lattice
from neurho.model.operators import Lindbladian, Operator, local, sm, sp, sx, sy, sz, total
from neurho.trajectories import evolution, moves, start, statistics, system, walk
from neurho.trajectories.space import Space, keeps_parity, parity_change

KEY = jax.random.key(7)
XYZ = models.xyz(lattice.chain(3))
SINGLE_SPIN = Lindbladian(lattice.chain(1), 0.0 * sz(0), [(0.8, sm(0))])


def random_vectors(seed, size, lanes=4):
    return tuple(np.random.default_rng(seed).normal(size=(2, size, lanes)))


def as_complex(psi):
    return np.asarray(psi[0]) + 1j * np.asarray(psi[1])


def places(space, sector):
    """Where the configurations of a sector stand among all of them."""
    return space.digits(sector) @ space.local_dim ** np.arange(space.sites - 1, -1, -1)


@pytest.mark.parametrize(("sites", "dim"), [(4, 2), (3, 3)])
def test_moves_are_the_sparse_matrix(sites, dim):
    model, space = helpers.random_lindbladian(3, sites, dim), Space(sites, dim)
    psi, sector = random_vectors(0, space.dimension), jnp.ones(4)
    for operator in (model.hamiltonian, *(j.operator for j in model.jumps[:5])):
        matrix, made = operator.to_sparse(sites), moves.moves_of(operator, space, np.float64)
        expected = matrix @ as_complex(psi)
        np.testing.assert_allclose(as_complex(made.apply(psi, sector)), expected, atol=1e-12)
        mean = np.sum(as_complex(psi).conj() * expected, axis=0).real
        np.testing.assert_allclose(made.expect(psi, sector), mean, atol=1e-11)


def test_moves_of_many_sites_at_once():
    rng = np.random.default_rng(1)
    strings = [local(np.kron(*(helpers.random_matrix(rng, 4) for _ in range(2))), range(4)), sx(0) @ sz(5) @ sz(6)]
    strings += [sx(0) @ sz(1) @ sz(2) @ sz(3) @ sy(4), sx(0) @ sz(6)]
    operator, space = total(strings), Space(7, 2)
    psi = random_vectors(2, space.dimension)
    found = moves.moves_of(operator, space, np.float64).apply(psi, jnp.ones(4))
    np.testing.assert_allclose(as_complex(found), operator.to_sparse(7) @ as_complex(psi), atol=1e-12)


@pytest.mark.parametrize(
    ("operator", "change"),
    [(sx(0) @ sy(2) + 0.3 * sz(2) + sz(0) @ sz(1), 0), (sm(2), 1), (sp(0) + 1j * sm(1), 1), (sx(1) @ sx(2) @ sy(0), 1)],
)
def test_half_of_the_configurations_serve_where_parity_is_kept(operator, change):
    space, psi = Space(3, 2, halved=True), random_vectors(3, 4)
    assert parity_change(operator) == change
    made, matrix = moves.moves_of(operator, space, np.float64, change=change), operator.to_sparse(3).toarray()
    for before in (1, -1):
        after = -before if change else before
        found = made.apply(psi, jnp.full(4, float(after)))
        expected = matrix[np.ix_(places(space, after), places(space, before))] @ as_complex(psi)
        np.testing.assert_allclose(as_complex(found), expected, atol=1e-12)


def test_parity_is_found():
    assert keeps_parity(XYZ)
    assert not keeps_parity(models.ising(lattice.chain(3)))  # a transverse field raises single spins
    assert not keeps_parity(helpers.random_lindbladian(0, 2, 3))
    mixed = Lindbladian(lattice.chain(2), sz(0), [(1.0, sm(0) + 0.5 * sz(0))])
    assert not keeps_parity(mixed)  # neither conserved nor flipped
    up = start.site_matrices((0, 0, 1.0), 3, 2)
    assert start.space_of(XYZ, up).halved
    assert not start.space_of(XYZ, start.site_matrices((1.0, 0, 0), 3, 2)).halved


@pytest.mark.parametrize(("seed", "sites", "dim"), [(0, 3, 2), (1, 2, 3)])
@pytest.mark.parametrize("accuracy", [tr.DOUBLE, tr.SINGLE])
def test_propagation_is_the_matrix_exponential(seed, sites, dim, accuracy):
    model, space = helpers.random_lindbladian(seed, sites, dim), Space(sites, dim)
    made = system.make_system(model, space, accuracy, spacing=0.5)
    psi = tuple(part.astype(accuracy.dtype) for part in random_vectors(4, space.dimension))
    h = jnp.asarray([1.0, 0.6, 0.1, 0.0]) * made.propagation.longest
    basis = made.propagation.basis(psi, jnp.ones(4), jnp.zeros(4), h)
    found = as_complex(made.propagation.at(psi, basis, h, h))
    effective = model.hamiltonian - 0.5j * system.loss_of(model)
    matrix = effective.to_sparse(sites).toarray()
    for lane, time in enumerate(np.asarray(h)):
        expected = scipy.linalg.expm(-1j * time * matrix) @ as_complex(psi)[:, lane]
        overlap = np.vdot(expected, found[:, lane])  # the phase does not matter
        error = np.linalg.norm(found[:, lane] - overlap / abs(overlap) * expected) / np.linalg.norm(expected)
        assert error < 20 * accuracy.tolerance


def driven_model():
    pulse = pulses.sin2(2.0, start=0.3, end=0.5)
    coupling = pulses.ramp(0.2, 1.0, start=0.0, end=0.7)
    h = 0.7 * sx(0) * pulse + sz(0) @ sz(1) * coupling + 0.2 * (sy(1) + sz(0))
    return Lindbladian(
        lattice.chain(2), h, [(pulses.sine(0.3, frequency=4.0, offset=0.5), sm(0)), (0.4, sz(1) * coupling)]
    )


def test_propagation_with_pulses_never_steps_over_one():
    model, space = driven_model(), Space(2, 2)
    made = system.make_system(model, space, tr.DOUBLE, spacing=1.0, t0=0.0, t1=1.0)
    psi, t = random_vectors(5, 4), jnp.zeros(4)
    expected = as_complex(psi)

    @eqx.filter_jit
    def step(propagation, psi, t):
        h = jnp.minimum(propagation.limit(t), 1.0 - t)
        basis = propagation.basis(psi, jnp.ones(4), t, h)
        return propagation.at(psi, basis, h, h), t + h

    while float(t[0]) < 1.0 - 1e-12:
        psi, t = step(made.propagation, psi, t)

    def rate(time, flat):
        effective = model.hamiltonian.to_sparse(2, time) - 0.5j * system.loss_of(model).to_sparse(2, time)
        return (-1j * (effective @ flat.reshape(4, 4))).ravel()

    for a, b in itertools.pairwise([0.0, *model.stops(0.0, 1.0), 1.0]):
        expected = scipy.integrate.solve_ivp(rate, (a, b), expected.ravel(), "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(as_complex(psi), expected.reshape(4, 4), atol=1e-8)


def test_a_spin_decays_when_its_threshold_says():
    """|psi|^2 = exp(-gamma t) for a raised spin, so that it jumps at -ln(r)/gamma: no statistics, all 64 agree."""
    matrices, numbers = start.site_matrices((0, 0, 1.0), 1, 2), np.arange(64)
    made = system.make_system(SINGLE_SPIN, Space(1, 2), tr.DOUBLE, spacing=0.5)
    begin = start.start_walk(matrices, Space(1, 2), KEY, numbers, np.float64)
    due = -np.log(np.asarray(begin.threshold)) / 0.8
    now, times, step = begin, np.zeros(64), eqx.filter_jit(walk._step)
    for _ in range(40):
        moved = step(made, KEY, now, jnp.full(64, 6.0))
        times = np.where((np.asarray(now.event) == 0) & (np.asarray(moved.event) == 1), np.asarray(moved.t), times)
        now = moved
    fell = np.asarray(now.event) > 0
    np.testing.assert_array_equal(fell, due < 6.0)
    np.testing.assert_allclose(times[fell], due[fell], atol=1e-8)
    np.testing.assert_allclose(as_complex(now.psi)[1, fell], np.exp(1j * np.angle(as_complex(now.psi)[1, fell])))


def test_a_dark_state_stays():
    found = tr.evolve(XYZ_DARK, (0, 0, -1.0), [0.0, 5.0], observables={"z": sz(0)}, key=KEY, trajectories=8)
    np.testing.assert_allclose(found.estimates["z"].mean, [-1, -1], atol=1e-9)


XYZ_DARK = models.xyz(lattice.chain(3), coupling=(1.0, 1.0, 0.5))
OBSERVABLES = {
    "z": [sz(j) for j in range(3)],
    "x": total([sx(j) for j in range(3)]) / 3,
    "xy": sx(0) @ sy(1),
    "zz": sz(1) @ sz(2),
}


def deviations(model, initial, times, observables, *, trajectories, key=KEY, accuracy=tr.DOUBLE, dim=2):
    """(estimate - exact)/error of everything that has an error."""
    found = tr.evolve(
        model, initial, times, observables=observables, key=key, trajectories=trajectories, accuracy=accuracy
    ).estimates
    factors, sites = start.site_matrices(initial, model.sites, dim), model.sites
    rho0 = factors[0]
    for factor in factors[1:]:
        rho0 = np.kron(rho0, factor)
    rows = []
    for n, rho in enumerate(exact.evolve(model, rho0, times)):
        for name, given in observables.items():
            several = [given] if isinstance(given, Operator) else given
            true = np.array([exact.expectation(rho, o, sites).real for o in several])
            mean, error = (np.atleast_1d(part[n]) for part in found[name])
            np.testing.assert_allclose(mean[error < 1e-12], true[error < 1e-12], atol=1e-9)
            rows += list(((mean - true) / np.where(error < 1e-12, 1, error))[error >= 1e-12])
    return np.array(rows)


@pytest.mark.parametrize(
    ("model", "initial"),
    [
        (
            models.heisenberg(lattice.chain(3), field=(0.4, 0.1, 0.2), coupling=(0.9, 1.2, 1), dephasing=0.3),
            (0.5, 0, 0.3),
        ),
        (XYZ, (0, 0, 0.4)),
    ],
)
def test_evolution_agrees_with_exact(model, initial):
    """All of about 20 deviations below 3.5 sigma: a right code fails with probability 1 % (correlations lower it)."""
    found = deviations(model, initial, [0.0, 0.5, 1.5], OBSERVABLES, trajectories=512)
    assert np.max(np.abs(found)) < 3.5
    assert np.sqrt(np.mean(found**2)) < 1.6


def test_evolution_of_a_driven_model_agrees_with_exact():
    """As above; rates, jumps and energies depend on time."""
    observables = {"z": [sz(0), sz(1)], "x": sx(0), "yz": sy(0) @ sz(1)}
    found = deviations(driven_model(), (0.6, 0.0, 0.5), [0.0, 0.4, 1.0], observables, trajectories=512)
    assert np.max(np.abs(found)) < 3.5


@pytest.mark.slow
def test_the_same_key_gives_the_same_trajectories_whatever_else():
    options = {"observables": OBSERVABLES, "key": KEY}
    ends = evolution.Ends(trajectories=24)
    seen = tr.observed(OBSERVABLES)
    whole = tr.make_evolution(XYZ, (0, 0, 0.4), [0.0, 1.0], seen, key=KEY, ends=ends, lanes=8)
    rows = np.concatenate([whole.work(g, jax.devices()[0]) for g in range(3)])
    other = tr.make_evolution(XYZ, (0, 0, 0.4), [0.0, 1.0], seen, key=KEY, ends=ends, lanes=12)
    np.testing.assert_array_equal(rows, np.concatenate([other.work(g, jax.devices()[0]) for g in range(2)]))
    few = tr.evolve(XYZ, (0, 0, 0.4), [0.0, 1.0], trajectories=5, **options)
    np.testing.assert_allclose(few.estimates["z"].mean, rows[:5, :, :3].mean(axis=0), atol=1e-14)


def test_an_evolution_resumes_bit_for_bit(tmp_path):
    ends = evolution.Ends(trajectories=30)
    run = tr.make_evolution(XYZ, (0, 0, 0.4), [0.0, 1.0], tr.observed(OBSERVABLES), key=KEY, ends=ends, lanes=8)
    states = list(run.states())
    assert [s.done for s in states] == [8, 16, 24, 30]
    eqx.tree_serialise_leaves(tmp_path / "state", states[1])
    read = eqx.tree_deserialise_leaves(tmp_path / "state", run.template())
    *_, last = run.states(read)
    np.testing.assert_array_equal(last.mean, states[-1].mean)
    np.testing.assert_array_equal(last.spread, states[-1].spread)
    assert list(run.states(last)) == []


def test_a_search_resumes_bit_for_bit_and_joins_blocks(tmp_path):
    ends = evolution.Ends(trajectories=10)
    seen = tr.observed(OBSERVABLES)
    run = tr.make_stationary(XYZ, seen, key=KEY, ends=ends, t_end=160.0, spacing=0.5)
    states = list(run.states())
    assert states[-1].step == 320
    eqx.tree_serialise_leaves(tmp_path / "state", states[5])
    *_, last = run.states(eqx.tree_deserialise_leaves(tmp_path / "state", run.template()))
    for one, other in zip(jax.tree.leaves(last), jax.tree.leaves(states[-1]), strict=True):
        if np.ndim(one):
            np.testing.assert_array_equal(one, other)
    assert last.length == 8  # 320 samples in at most 64 blocks
    assert last.filled * last.length == 320
    np.testing.assert_allclose(
        last.sums[..., :3].sum(axis=(0, 1)) / 3200, run.settled(last)._replace().mean[:3], atol=0.2
    )


def test_stationary_means_agree_with_exact():
    """Means within 3.5 errors of five values, which a right code misses with probability 0.3 %."""
    found = tr.stationary_state(XYZ, observables=OBSERVABLES, key=KEY, trajectories=64, t_end=60.0)
    assert found.message == ""
    rho = exact.stationary_state(XYZ).rho
    for name in ("z", "zz"):
        several = [OBSERVABLES[name]] if name == "zz" else OBSERVABLES[name]
        true = [exact.expectation(rho, o, 3).real for o in several]
        mean, error = found.estimates[name]
        assert np.all(np.abs(mean - true) < 3.5 * error)
        assert np.all(error < 0.03)
    assert found.estimates["x"].mean == 0  # forbidden by parity


def test_a_goal_ends_a_run_or_is_said_to_be_missed():
    options = {"observables": {"z": sz(0)}, "key": KEY}
    reached = tr.evolve(XYZ, (0, 0, 1.0), [0.0, 1.0], trajectories=100000, goal=("z", 0.05), **options)
    assert reached.trajectories < 2000
    assert 0.03 < reached.estimates["z"].error[1] <= 0.05
    assert reached.message == ""
    missed = tr.evolve(XYZ, (0, 0, 1.0), [0.0, 1.0], trajectories=10, goal=("z", 1e-4), **options)
    assert missed.trajectories == 10
    assert "above the goal of 0.0001" in missed.message
    short = tr.stationary_state(XYZ, observables={"z": sz(0)}, key=KEY, trajectories=4, t_end=2.0, goal=("z", 1e-4))
    assert "cannot be trusted yet" in short.message
    assert "above the goal" in short.message


def test_mixed_sites_are_drawn_from_their_eigenvectors():
    """The mean over 4000 draws of two sites has the Bloch vectors asked for, each component within 4 sigma."""
    bloch = np.array([[0.3, -0.2, 0.5], [0.0, 0.6, -0.1]])
    matrices = start.site_matrices(bloch, 2, 2)
    psi = as_complex(start.start_walk(matrices, Space(2, 2), KEY, np.arange(4000), np.float64).psi)
    rho = psi @ psi.conj().T / 4000
    np.testing.assert_allclose(rho, np.kron(matrices[0], matrices[1]), atol=4 / np.sqrt(4000) / 2)


def test_levels_of_a_qutrit():
    model = helpers.random_lindbladian(2, 2, 3)
    populations = [local(np.diag(np.eye(3)[n]), j, local_dim=3) for j in range(2) for n in range(2)]
    found = deviations(model, np.eye(3)[1], [0.0, 0.3], {"p": populations}, trajectories=512, dim=3)
    assert np.max(np.abs(found)) < 3.5


def autoregressive(rng, steps, count, memory, begin=0.0):
    """x' = memory x + noise: integrated autocorrelation time (1 + memory)/(1 - memory)/2."""
    x, rows = np.full(count, begin), []
    for _ in range(steps):
        x = memory * x + rng.normal(size=count)
        rows.append(x)
    return np.array(rows)


@pytest.mark.parametrize("count", [4, 40])
def test_errors_of_time_averages_cover(count):
    """400 runs of 640 steps with tau = 4.5: 68 and 95 % within one and two errors, to 3 sigma of 400 draws and what
    blocks lose.
    """
    rng = np.random.default_rng(0)
    inside, taus = [], []
    for _ in range(400):
        rows = autoregressive(rng, 640, count, 0.8).reshape(64, 10, count, 1)
        found = statistics.settle(rows.mean(axis=1), (rows**2).mean(axis=1), 10, np.array([True]))
        inside.append(abs(found.mean[0]) / found.error[0])
        taus.append(found.tau[0])
    assert np.mean(taus) == pytest.approx(4.5, rel=0.15)
    assert np.mean(np.array(inside) < 1) == pytest.approx(0.683, abs=0.09)
    assert np.mean(np.array(inside) < 2) == pytest.approx(0.954, abs=0.05)


def test_the_beginning_is_left_out():
    rows = autoregressive(np.random.default_rng(1), 640, 16, 0.9, begin=40.0).reshape(64, 10, 16, 1)
    found = statistics.settle(rows.mean(axis=1), (rows**2).mean(axis=1), 10, np.array([True]))
    assert 2 <= found.discarded <= 16
    assert abs(found.mean[0]) < 4 * found.error[0]
    assert found.trusted


def test_errors_of_trajectories_cover():
    """100 groups of 64 trajectories: their means lie within 1 and 2 errors of the truth in 68 and 95 of them, to 3
    sigma of a hundred draws.
    """
    ends = evolution.Ends(trajectories=6400)
    run = tr.make_evolution(XYZ, (0, 0, 1.0), [0.0, 1.0], tr.observed({"z": sz(1)}), key=KEY, ends=ends, lanes=128)
    rows = np.concatenate([run.work(g, jax.devices()[0]) for g in range(50)])[:, 1, 0].reshape(100, 64)
    (_, rho) = exact.evolve(XYZ, exact.product_state((0, 0, 1.0), 3), [0.0, 1.0])
    truth = exact.expectation(rho, sz(1), 3).real
    share = np.abs(rows.mean(axis=1) - truth) / (rows.std(axis=1, ddof=1) / 8)
    assert np.mean(share < 1) == pytest.approx(0.683, abs=0.14)
    assert np.mean(share < 2) == pytest.approx(0.954, abs=0.065)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": models.xyz(lattice.chain(21))}, "at most 20 sites of 2 levels"),
        ({"model": Lindbladian(lattice.chain(2), sz(0), [])}, "jump operator with a positive rate"),
        ({"model": models.xyz(lattice.chain(2), decay=0.0)}, "jump operator with a positive rate"),
        ({"model": Lindbladian(lattice.chain(1), sx(0), [(lambda t: 0.0 * t, sm(0))])}, "all vanish from 0 to 1"),
        (
            {"model": Lindbladian(lattice.chain(1), sx(0), [(lambda t: t - 0.5, sm(0))])},
            "finite real number >= 0 at all times",
        ),
        ({"times": [1.0, 0.5]}, "increase"),
        ({"times": []}, "at least one time"),
        ({"initial": (0, 0, 2.0)}, "length <= 1"),
        ({"initial": np.eye(4)}, "have shape"),
        ({"trajectories": 1}, "at least 2"),
        ({"goal": ("x", 0.1)}, "name one of z"),
        ({"goal": ("z", 0.0)}, "be an error > 0"),
        ({"observables": {}}, "name at least one operator"),
        ({"observables": {"z": sm(0)}}, "be Hermitian"),
        ({"observables": {"z": sz(0) * np.cos}}, "not depend on time"),
    ],
)
def test_bad_input_is_a_sentence(change, words):
    arguments = {"model": XYZ, "initial": (0, 0, 1.0), "times": [0.0, 1.0], "observables": {"z": sz(0)}} | change
    with pytest.raises(NeurhoError, match=words):
        tr.evolve(arguments.pop("model"), arguments.pop("initial"), arguments.pop("times"), key=KEY, **arguments)


def test_a_search_needs_an_end_and_a_constant_model():
    with pytest.raises(NeurhoError, match="be finite where neither"):
        tr.stationary_state(XYZ, observables={"z": sz(0)}, key=KEY)
    with pytest.raises(NeurhoError, match="not depend on time"):
        tr.stationary_state(driven_model(), observables={"z": sz(0)}, key=KEY, t_end=1.0)


def test_many_terms_of_one_move_take_the_memory_of_a_few_vectors():
    """All diagonal terms make one vector; a list of theirs would hold 40 of them (20 spins took 2.6 GB)."""
    operator, space = total([sz(i) @ sz(j) for i, j in itertools.combinations(range(16), 2)][::3]), Space(16, 2)
    tracemalloc.start()
    (move,) = moves.moves_of(operator, space, np.float64).moves
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 16 * space.dimension
    np.testing.assert_array_equal(np.asarray(move.even[0]).ravel(), operator.to_sparse(16).diagonal().real)


def test_errors_hold_jumps_that_no_trajectory_has_had():
    """Of 16 trajectories none jumps (by chance 0.9; seed fixed): all are alike, and off by what a jump would change."""
    chain = neurho.chain(2)
    model = neurho.xyz(chain, coupling=(0.3, 0.3, 0.3), decay=0.02)
    result = neurho.solve(model, "up", [0.0, 0.15], method="trajectories", trajectories=16, progress=False)
    truth = neurho.solve(model, "up", [0.0, 0.15], method="exact", progress=False)
    off = abs(result["sz"].mean - truth["sz"].mean)
    assert 1e-4 < off < result["sz"].error < 0.1
    assert result.dataset.sz_error.values[0] < 1e-12
