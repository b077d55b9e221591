"""Wave functions of one momentum against full matrices, density matrices, and the exact solver."""

import dataclasses
import pickle

import equinox as eqx
import jax
import numpy as np
import pytest

import helpers
from neurho import config, exact, models
from neurho import trajectories as tr
from neurho._types import NeurhoError
from neurho.model import lattice
from neurho.model.bloch import bloch_vectors
from neurho.model.operators import Lindbladian, local, sm, sp, sx, sy, sz, total
from neurho.run import memory
from neurho.run.problem import build
from neurho.trajectories import making, start
from neurho.trajectories.collective import Collective
from neurho.trajectories.translations import translations_of

KEY = jax.random.key(5)


def ring(sites, dim=2, *, seed=0):
    """Random terms on sites and bonds, and random jumps on both, the same everywhere."""
    rng, sites_of = np.random.default_rng(seed), lattice.chain(sites, periodic=True)
    one, two = (helpers.random_matrix(rng, dim**k) for k in (1, 2))
    lower, hop = (0.5 * helpers.random_matrix(rng, dim**k) for k in (1, 2))
    pairs = [(j, (j + 1) % sites) for j in range(sites)]

    def everywhere(matrix, where):
        return [local(matrix, place, local_dim=dim) for place in where]

    h = total(everywhere(one + one.conj().T, range(sites)) + everywhere(two + two.conj().T, pairs))
    jumps = [(0.4, c) for c in everywhere(lower, range(sites))] + [(0.2, c) for c in everywhere(hop, pairs)]
    return Lindbladian(sites_of, h, jumps)


def staggered(sites):
    """Invariant under translations by two sites only; jumps on bonds, of which one orbit is its own image."""
    sites_of = lattice.chain(sites, periodic=True)
    pairs = [(j, (j + 1) % sites) for j in range(sites)]
    h = total([sx(i) @ sx(j) + 0.3 * sz(i) @ sx(j) for i, j in pairs]) + 0.4 * total(
        [sz(j) for j in range(0, sites, 2)]
    )
    collective = total([sm(j) for j in range(sites)])
    return Lindbladian(sites_of, h, [(0.3, collective), (0.0, sx(0))] + [(0.7, sm(i) @ sp(j)) for i, j in pairs])


TORUS = models.xyz(lattice.square(3, 3, periodic=True))
MODELS = {
    "spins": (ring(4), (0.3, 0.2, 0.9), 4),
    "qutrits": (ring(3, 3, seed=1), np.tile(np.diag([0.5, 0.3, 0.2]), (3, 1, 1)), 3),
    "staggered": (staggered(4), (0, 0, 0.4), 2),
    "parity": (models.xyz(lattice.square(2, 3, periodic=True)), (0, 0, 1.0), 6),
}


def engine_of(model, initial, operators, **options):
    matrices = start.site_matrices(initial, model.sites, model.local_dim)
    given = {"key": KEY, "accuracy": tr.DOUBLE, "span": (0.0, 1.0, 0.5), "momentum": True} | options
    return making.make_engine(model, matrices, operators, **given)


def lifted(orbits, phi, parity, k):
    """The wave function of all configurations."""
    psi = np.sqrt(1 / orbits.sectors[parity].sizes) * phi
    inside = orbits.parity == parity
    found = np.where(inside, psi[np.where(inside, orbits.number, 0)], 0)
    return found * orbits.group.phases[k][orbits.by]


@pytest.mark.parametrize("name", MODELS)
def test_one_momentum_is_part_of_the_whole(name):
    """H_eff, all jumps together and means are those of the full matrices, in every block."""
    model, initial, size = MODELS[name]
    n, d, rng = model.sites, model.local_dim, np.random.default_rng(3)
    one = local(helpers.random_matrix(rng, d), 1, local_dim=d)
    seen = [one + one.adjoint(), local(np.diag(np.arange(d)), 0, local_dim=d)]
    engine = engine_of(model, initial, seen)
    assert isinstance(engine, Collective)
    made = engine.momenta
    orbits, group = made.orbits, made.orbits.group
    assert group.size == size
    np.testing.assert_allclose(group.phases @ group.phases.conj().T, size * np.eye(size), atol=1e-12)
    h = model.hamiltonian.to_sparse(n)
    jumps = [(j.rate, j.operator.to_sparse(n)) for j in model.jumps]
    effective = h - 0.5j * sum(rate * c.conj().T @ c for rate, c in jumps)
    for parity, sector in enumerate(orbits.sectors):
        for k in range(size):
            phi = rng.normal(size=(2, len(sector.least))).T @ [1, 1j] * sector.compatible[k]
            psi, block = lifted(orbits, phi, parity, k), made.block(parity, k)
            np.testing.assert_allclose(np.vdot(psi, psi), np.vdot(phi, phi))
            found = lifted(orbits, block.radius * (block.matrix @ phi) + block.centre * phi, parity, k)
            np.testing.assert_allclose(found, effective @ psi, atol=1e-11)
            means = [np.vdot(psi, x.to_sparse(n) @ psi).real / np.vdot(psi, psi).real for x in seen]
            if not orbits.space.halved:
                np.testing.assert_allclose(made.means(phi, parity, k), means, atol=1e-12)
            rho = sum(rate * np.outer(c @ psi, (c @ psi).conj()) for rate, c in jumps)
            after = [
                lifted(orbits, vector, parity ^ change, to)
                for change, vectors in zip(made.changes, made.options(phi, parity, k), strict=True)
                for to, vector in enumerate(vectors)
            ]
            np.testing.assert_allclose(sum(np.outer(v, v.conj()) for v in after), rho, atol=1e-11)


def test_starts_are_drawn_with_their_momentum():
    """The mean of 1000 mixed starts is the product state; elements within 5 sigma, at most 1/sqrt(1000)/2 each."""
    made = engine_of(ring(3), (0.3, 0.2, 0.5), [sz(0)])
    assert isinstance(made, Collective)
    walk = made.start(np.arange(1000), 0.0)
    rows = [lifted(made.momenta.orbits, *args) for args in zip(walk.psi, walk.parity, walk.momentum, strict=True)]
    rho = np.einsum("na,nb->ab", rows, np.conj(rows)) / 1000
    np.testing.assert_allclose(rho, exact.product_state((0.3, 0.2, 0.5), 3), atol=5 / np.sqrt(1000) / 2)
    assert len(set(walk.momentum.tolist())) == 3


def deviations(model, initial, observables, *, trajectories=300, times=(0.0, 0.4, 1.0)):
    """(estimate - exact)/error of an evolution."""
    found = tr.evolve(
        model, initial, times, observables=observables, key=KEY, trajectories=trajectories, momentum=True
    ).estimates
    factors, rows = start.site_matrices(initial, model.sites, model.local_dim), []
    rho0 = factors[0]
    for factor in factors[1:]:
        rho0 = np.kron(rho0, factor)
    for n, rho in enumerate(exact.evolve(model, rho0, times)):
        for name, operators in observables.items():
            true = np.array([exact.expectation(rho, o, model.sites).real for o in operators])
            mean, error = (part[n] for part in found[name])
            np.testing.assert_allclose(mean[error < 1e-12], true[error < 1e-12], atol=1e-9)
            rows += list(((mean - true) / np.where(error < 1e-12, 1, error))[error >= 1e-12])
    return np.array(rows)


@pytest.mark.parametrize("name", ["spins", "qutrits", "staggered"])
def test_evolution_agrees_with_exact(name):
    """At most 12 deviations, translations of one another alike, below 3 sigma: a right code fails with 2 %."""
    model, initial, _ = MODELS[name]
    d = model.local_dim
    seen = {"site": [local(np.diag(np.eye(d)[1]), j, local_dim=d) for j in range(2)]}
    seen["pair"] = [local(np.kron(*[np.diag(np.eye(d)[1])] * 2), (0, j), local_dim=d) for j in (1, 2)]
    found = deviations(model, initial, seen)
    assert len(found) >= 6
    assert np.max(np.abs(found)) < 3


def test_sites_and_profiles_have_the_mean_over_translations():
    seen = {"z": [sz(j) for j in range(9)], "mean": [total([sz(j) for j in range(9)]) / 9], "x": [sx(4)]}
    found = tr.evolve(TORUS, (0, 0, 1.0), [0.0, 0.3], observables=seen, key=KEY, trajectories=4, momentum=True)
    z, mean, x = (found.estimates[name].mean for name in ("z", "mean", "x"))
    np.testing.assert_allclose(z, np.broadcast_to(mean, z.shape), atol=1e-14)
    assert np.all(x == 0)


@pytest.mark.parametrize(
    "sites",
    [lattice.chain(6, periodic=True), pytest.param(lattice.square(3, 3, periodic=True), marks=pytest.mark.slow)],
    ids=["ring", "torus"],
)
def test_stationary_means_agree_with_exact(sites):
    """m_z and two correlators within 3 errors: a right code fails with 1 %."""
    model = models.xyz(sites)
    pairs = [(int(i), int(j)) for i, j in sites.bonds]
    seen = {"z": sz(0)} | {f"{s.__name__}2": total([s(i) @ s(j) for i, j in pairs]) / len(pairs) for s in (sx, sy)}
    found = tr.stationary_state(model, observables=seen, key=KEY, trajectories=8, t_end=120.0, momentum=True)
    assert found.message == ""
    rho = exact.stationary_state(model).rho
    for name, operator in seen.items():
        mean, error = found.estimates[name]
        assert abs(mean - exact.expectation(rho, operator, model.sites).real) < 3 * error < 0.1


def test_both_kinds_resume_bit_for_bit(tmp_path):
    """In another process, too, which makes its matrices anew."""
    model, initial, _ = MODELS["parity"]
    seen = tr.observed({"z": sz(0)})
    whole = tr.make_evolution(model, initial, [0.0, 0.5], seen, key=KEY, ends=tr.Ends(trajectories=6), momentum=True)
    search = tr.make_stationary(model, seen, key=KEY, ends=tr.Ends(trajectories=3), t_end=32.0, momentum=True)
    for run in (whole, search):
        states = list(run.states())
        eqx.tree_serialise_leaves(tmp_path / "state", states[1])
        sent = dataclasses.replace(run, engine=pickle.loads(pickle.dumps(run.portable().engine)))
        *_, last = sent.states(eqx.tree_deserialise_leaves(tmp_path / "state", run.template()))
        for one, other in zip(jax.tree.leaves(last), jax.tree.leaves(states[-1]), strict=True):
            if np.ndim(one):
                np.testing.assert_array_equal(one, other)


def test_momentum_is_taken_where_it_serves():
    """Of the model and the start; large enough."""
    up, neel = (0, 0, 1.0), bloch_vectors("neel", lattice.chain(12, periodic=True))
    large = models.xyz(lattice.chain(12, periodic=True))
    assert isinstance(engine_of(large, up, [sz(0)], momentum=None), Collective)
    assert not isinstance(engine_of(large, up, [sz(0)], momentum=False), Collective)
    assert not isinstance(engine_of(large, neel, [sz(0)], momentum=None), Collective)
    assert isinstance(engine_of(large, neel, [sz(0)], momentum=None, stationary=True), Collective)
    assert not isinstance(engine_of(TORUS, up, [sz(0)], momentum=None), Collective)
    assert translations_of(Lindbladian(large.lattice, large.hamiltonian + sz(3), large.jumps)).size == 1
    assert translations_of(Lindbladian(large.lattice, large.hamiltonian, large.jumps[1:])).size == 1


@pytest.mark.parametrize(
    ("model", "initial", "words"),
    [
        (models.xyz(lattice.chain(3)), (0, 0, 1.0), "no translation of the lattice"),
        (TORUS, np.eye(3)[np.arange(9) % 3], "the start is not the same"),
        (Lindbladian(TORUS.lattice, total([sz(j) for j in range(9)]) * np.cos, TORUS.jumps), (0, 0, 1.0), "on time"),
    ],
)
def test_where_there_is_no_momentum_it_is_refused(model, initial, words):
    with pytest.raises(NeurhoError, match=words):
        tr.evolve(model, initial, [0.0, 1.0], observables={"z": sz(0)}, key=KEY, momentum=True)


def test_a_dark_state_stays():
    model = models.xyz(lattice.chain(3, periodic=True), coupling=(1.0, 1.0, 0.5))
    seen = {"z": sz(0)}
    found = tr.evolve(model, (0, 0, -1.0), [0.0, 5.0], observables=seen, key=KEY, trajectories=2, momentum=True)
    np.testing.assert_allclose(found.estimates["z"].mean, [-1, -1], atol=1e-9)


PROBLEM = """
[lattice]
kind = "chain"
shape = [12]
periodic = true
[model]
kind = "xyz"
coupling = [0.9, 1.2, 1.0]
[initial]
bloch = "up"
[observables]
structure = true
[task]
kind = "evolve"
t = 0.1
points = 2
method = "trajectories"
trajectories = 2
"""


def test_a_problem_takes_momenta_by_itself():
    """Of 2^12 configurations 2^12/24 and a few stay; sites are all alike, and pairs symmetric."""
    built = build(config.loads(PROBLEM))
    facts = built.describe()
    assert facts["momenta"] == 12
    assert 2**12 / 24 < facts["configurations"] < 1.1 * 2**12 / 24
    assert facts["memory_bytes"] > memory.LIBRARIES
    *_, last = built.snapshots()
    sites = last.observables["sz_site"].mean
    np.testing.assert_array_equal(sites, np.full(12, sites[0]))
    assert last.observables["sz"].mean == pytest.approx(sites[0])
    assert 0.5 < sites[0] < 1
    other = build(config.loads(PROBLEM + "momentum = false\n")).describe()
    assert (other["momenta"], other["configurations"]) == (1, 2**11)


def test_momentum_that_a_problem_does_not_have_is_refused():
    open_chain = PROBLEM.replace("periodic = true", "periodic = false") + "momentum = true\n"
    with pytest.raises(NeurhoError, match=r'With task.method = "trajectories": .* no translation of the lattice'):
        build(config.loads(open_chain))
    with pytest.raises(NeurhoError, match=r'task.momentum.* true, false or "auto"'):
        config.loads(PROBLEM + "momentum = 1\n")
