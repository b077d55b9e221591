"""Bonds have a direction: rings with a flux, jumps one way around, chiral couplings, by file, by text and from Python.

Everything is compared with matrices written out by hand, whose bonds are j -> j + 1 modulo N.
"""

from functools import reduce

import numpy as np
import pytest

from neurho import build, config, exact, models
from neurho._types import NeurhoError
from neurho.matrix_elements.generator import lindbladian_map, to_dense, to_matrix
from neurho.matrix_elements.symmetry import require_invariant
from neurho.model import lattice
from neurho.model.operators import Lindbladian, Operator, sm, sp, sx, sy, sz, total
from neurho.model.text import operators_on

MATRICES = {
    "x": np.array([[0, 1], [1, 0]], dtype=complex),
    "y": np.array([[0, -1j], [1j, 0]]),
    "z": np.diag([1.0 + 0j, -1.0]),
    "p": np.array([[0, 1], [0, 0]], dtype=complex),
    "m": np.array([[0, 0], [1, 0]], dtype=complex),
}
RING = [(0, 1), (1, 2), (2, 3), (3, 0)]
PHASE = np.pi / 4
HOP = "exp(1j*pi/4) * sp(i) * sm(j) + exp(-1j*pi/4) * sm(i) * sp(j)"
TASK = """
[initial]
bloch = [[0, 0, 1], [0, 0, -1], [0, 0, -1], [0, 0, -1]]

[task]
kind = "evolve"
method = "exact"
t = 50.0
points = 2
"""
LATTICES = {
    "chain": 'kind = "chain"\nshape = [4]\nperiodic = true',
    "edges": 'kind = "edges"\nedges = [[0, 1], [1, 2], [2, 3], [3, 0]]',
}


def by_hand(*factors, sites=4):
    """A product of named one-site matrices, as in `by_hand(("p", 0), ("m", 1))`."""
    there = {site: MATRICES[name] for name, site in factors}
    return reduce(np.kron, [there.get(j, np.eye(2)) for j in range(sites)])


def problem(place, model, more=TASK):
    return build(config.loads(f"[lattice]\n{LATTICES[place]}\n\n[model]\nkind = 'custom'\n{model}\n{more}"))


def made(way, *, hamiltonian=None, jump=None):
    """The same model on a ring of four by a file, as text on a lattice and with operators."""
    if way in LATTICES:
        lines = [f"hamiltonian = [{{ on = 'bonds', operator = '{hamiltonian}' }}]"] if hamiltonian else []
        lines += [f"jumps = [{{ on = 'bonds', operator = '{jump}', rate = 1.0 }}]"] if jump else []
        return problem(way, "\n".join(lines)).lindbladian
    ring = {"text": lattice.chain(4, periodic=True), "python": lattice.from_edges(RING)}[way]
    if way == "text":
        terms = {"hamiltonian": hamiltonian, "jumps": jump}
        return models.custom(ring, **{k: [{"on": "bonds", "operator": v}] for k, v in terms.items() if v})
    hops = [np.exp(1j * PHASE) * sp(i) * sm(j) + np.exp(-1j * PHASE) * sm(i) * sp(j) for i, j in map(tuple, ring.bonds)]
    jumps = [(1.0, sm(i) * sp(j)) for i, j in map(tuple, ring.bonds)]
    return Lindbladian(ring, total(hops) if hamiltonian else Operator(2, ()), jumps if jump else [])


WAYS = ("chain", "edges", "text", "python")


def test_a_chiral_term_on_a_ring_of_three():
    terms = [{"on": "bonds", "operator": "sz(i)*sx(j)"}]
    model = models.custom(lattice.chain(3, periodic=True), hamiltonian=terms)
    expected = sum(by_hand(("z", j), ("x", (j + 1) % 3), sites=3) for j in range(3))
    np.testing.assert_allclose(model.hamiltonian.to_sparse(3).toarray(), expected, atol=1e-14)


@pytest.mark.parametrize("way", WAYS)
def test_a_flux_through_a_ring(way):
    """E = 2 cos(k + phi), k = 0, pi/2, pi, 3 pi/2: with phi = pi/4 twice sqrt 2 and twice -sqrt 2."""
    model = made(way, hamiltonian=HOP)
    one = [2 ** (3 - j) ^ 15 for j in range(4)]  # up on one site: the basis states with one raised level
    block = model.hamiltonian.to_sparse(4).toarray()[np.ix_(one, one)]
    np.testing.assert_allclose(np.linalg.eigvalsh(block), np.sqrt(2) * np.array([-1, -1, 1, 1]), atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_the_generator_of_a_network_sees_the_flux_and_the_way(way):
    """L on labels against matrices on a random state."""
    model = made(way, hamiltonian=HOP, jump="sm(i)*sp(j)")
    rng = np.random.default_rng(1)
    table = rng.normal(size=256) + 1j * rng.normal(size=256)
    rho = to_matrix(table, 4, 2)
    hops = [np.exp(1j * PHASE) * by_hand(("p", i), ("m", j)) for i, j in RING]
    h = sum(hops) + sum(hops).conj().T
    expected = -1j * (h @ rho - rho @ h)
    for i, j in RING:
        c = by_hand(("m", i), ("p", j))
        loss = c.conj().T @ c
        expected += c @ rho @ c.conj().T - (loss @ rho + rho @ loss) / 2
    found = to_matrix(to_dense(lindbladian_map(model)) @ table, 4, 2)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("place", LATTICES)
def test_a_jump_one_way_around_spreads_a_particle_evenly(place):
    made = problem(place, "jumps = [{ on = 'bonds', operator = 'sm(i)*sp(j)' }]")
    last = list(made.snapshots())[-1]
    np.testing.assert_allclose((1 + last.observables["sz_site"].mean) / 2, 0.25, atol=1e-8)


FLOW = """
[task]
kind = "stationary"
method = "exact"

[observables]
on_bonds = { flow = "(1 + sz(i)) * (1 - sz(j)) / 4" }
"""


@pytest.mark.parametrize("place", LATTICES)
def test_gain_and_loss_on_a_ring_that_is_driven_one_way(place):
    """A totally asymmetric exclusion process with rates 0.05 in and out everywhere: uniform and uncorrelated."""
    gain = "{ on = 'sites', operator = 'sp(i)', rate = 0.05 }, { on = 'sites', operator = 'sm(i)', rate = 0.05 }"
    made = problem(place, f"jumps = [{{ on = 'bonds', operator = 'sm(i)*sp(j)' }}, {gain}]", FLOW)
    (last,) = made.snapshots()
    np.testing.assert_allclose(last.observables["sz_site"].mean, 0.0, atol=1e-8)
    np.testing.assert_allclose(last.observables["flow_bond"].mean, 0.25, atol=1e-8)


def test_quantities_on_bonds_keep_the_order_of_the_edges():
    """The same edge the other way around has the opposite current."""
    operators = [operators_on(lattice.from_edges([edge]), "sx(i)*sy(j)", on="bonds")[0] for edge in ((0, 1), (1, 0))]
    expected = [by_hand(("x", 0), ("y", 1), sites=2), by_hand(("x", 1), ("y", 0), sites=2)]
    for operator, matrix in zip(operators, expected, strict=True):
        np.testing.assert_allclose(operator.to_sparse(2).toarray(), matrix, atol=1e-14)


def test_values_for_each_bond_belong_to_the_edges_as_they_are_given():
    edges, strengths = [(2, 0), (1, 2)], [0.3, 0.7]
    made = lattice.from_edges(edges)
    terms = [{"on": "bonds", "operator": "J * sz(i)*sx(j)"}]
    model = models.custom(made, hamiltonian=terms, values={"J": strengths})
    expected = 0.3 * by_hand(("z", 2), ("x", 0), sites=3) + 0.7 * by_hand(("z", 1), ("x", 2), sites=3)
    np.testing.assert_allclose(model.hamiltonian.to_sparse(3).toarray(), expected, atol=1e-14)
    couplings = np.array([[0, 0, 0.3], [0.7, 0, 0]])
    model = models.heisenberg(made, coupling=couplings)
    expected = 0.3 * by_hand(("z", 2), ("z", 0), sites=3) + 0.7 * by_hand(("x", 1), ("x", 2), sites=3)
    np.testing.assert_allclose(model.hamiltonian.to_sparse(3).toarray(), expected, atol=1e-14)
    model = models.processor(made, T1=1.0, crosstalk=[0.4, 0.0])
    np.testing.assert_allclose(model.hamiltonian.to_sparse(3).toarray(), 0.1 * by_hand(("z", 2), ("z", 0), sites=3))


def test_translations_keep_a_chiral_model_and_reflections_do_not():
    """A Dzyaloshinskii-Moriya term turns its sign under reflections, which must be refused, not projected away."""
    ring = lattice.chain(4, periodic=True)
    terms = [{"on": "bonds", "operator": "sx(i)*sy(j) - sy(i)*sx(j)"}]
    generator = lindbladian_map(models.custom(ring, hamiltonian=terms))
    require_invariant(generator, ring.translations)
    with pytest.raises(NeurhoError, match="must be symmetries of the Lindbladian"):
        require_invariant(generator, ring.symmetries)
    by_operators = total(sx(j) * sy((j + 1) % 4) - sy(j) * sx((j + 1) % 4) for j in range(4))
    found = models.custom(ring, hamiltonian=terms).hamiltonian.to_sparse(4).toarray()
    np.testing.assert_allclose(found, by_operators.to_sparse(4).toarray(), atol=1e-14)


@pytest.mark.parametrize(
    "made", [lattice.chain(2, periodic=True), lattice.from_edges([(0, 1)], directed=False)], ids=["ring", "graph"]
)
def test_what_depends_on_the_order_is_refused_where_there_is_none(made):
    """One bond of a ring of two stands for both ways around."""
    for text in ("sz(i)*sx(j)", "sx(i)*sy(j) - sy(i)*sx(j)", HOP):
        with pytest.raises(NeurhoError, match=r"`operator` must be the same with i and j exchanged .* on \(0, 1\)"):
            models.custom(made, hamiltonian=[{"on": "bonds", "operator": text}])
    with pytest.raises(NeurhoError, match="`rate` must be the same with i and j exchanged"):
        models.custom(made, jumps=[{"on": "bonds", "operator": "sm(i)*sm(j)", "rate": "1 + i"}])
    jumps = [{"on": "bonds", "operator": "sm(i) - sm(j)", "rate": "1 + 0.1*cos(t)"}]
    model = models.custom(made, hamiltonian=[{"on": "bonds", "operator": "sp(i)*sm(j) + sm(i)*sp(j)"}], jumps=jumps)
    assert len(model.jumps) == 1, "the sign of a jump says nothing"


def test_both_ways_around_a_ring_of_two():
    made = lattice.chain(2, periodic=True, multi_edges=True)
    model = models.custom(made, hamiltonian=[{"on": "bonds", "operator": "sz(i)*sx(j)"}])
    expected = by_hand(("z", 0), ("x", 1), sites=2) + by_hand(("z", 1), ("x", 0), sites=2)
    np.testing.assert_allclose(model.hamiltonian.to_sparse(2).toarray(), expected, atol=1e-14)


def test_the_exact_state_of_a_chiral_jump_in_time():
    """One particle on a ring of four that hops one way at rate 1: a Poisson process, modulo four."""
    model = made("python", jump="sm(i)*sp(j)")
    up = [1.0, 0.0]
    start = reduce(np.kron, [up, [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    *_, rho = exact.evolve(model, np.outer(start, start).astype(complex), [0.0, 0.7])
    found = [exact.expectation(rho, (1 + sz(j)) / 2, 4).real for j in range(4)]
    modes = np.exp(0.7 * (np.exp(-0.5j * np.pi * np.arange(4)) - 1))
    expected = [np.mean(modes * np.exp(0.5j * np.pi * np.arange(4) * j)).real for j in range(4)]
    np.testing.assert_allclose(found, expected, atol=1e-8)
