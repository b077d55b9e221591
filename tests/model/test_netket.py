"""Operators and Lindbladians of NetKet, which lives in an environment of its own: `make netket`."""

import importlib.util
import inspect
import re

import jax
import numpy as np
import pytest
from scipy.sparse import coo_matrix

import neurho
from neurho.exact.generator import ExactLindbladian

jax.config.update("jax_enable_x64", True)

needs_netket = pytest.mark.skipif(
    importlib.util.find_spec("netket") is None, reason="no NetKet here: run `make netket`"
)


def spins(nk, *, s=0.5, sites=3, inverted=False):
    return nk.hilbert.Spin(s, sites, inverted_ordering=inverted)


def random_operator(nk, space, rng, places):
    """A complex matrix on sites in any order; sparse, as NetKet 3.23 cannot add dense matrices to sparse ones."""
    size = space.local_size ** len(places)
    return nk.operator.LocalOperator(space, coo_matrix(rng.normal(size=(size, size, 2)) @ [1, 1j]), list(places))


def superoperator(model):
    """The matrix of L on rows and columns of rho strung together, from its action on all unit matrices."""
    size = model.local_dim**model.sites
    units = np.eye(size * size).reshape(-1, size, size)
    return np.stack([ExactLindbladian(model).apply(unit).ravel() for unit in units], axis=1)


@needs_netket
@pytest.mark.parametrize("inverted", [False, True])
def test_operators_have_the_same_matrix(inverted):
    nk = pytest.importorskip("netket")
    rng, space = np.random.default_rng(0), spins(nk, inverted=inverted)
    parts = [random_operator(nk, space, rng, places) for places in ((1,), (2, 0), (0, 1, 2))]
    theirs = parts[0] + parts[1] + parts[2] + (0.5 - 2j)
    ours = neurho.interchange.from_netket(theirs)
    np.testing.assert_allclose(ours.to_sparse(3).toarray(), theirs.to_dense(), rtol=0, atol=1e-13)
    for ours, theirs in [(neurho.sz, "sigmaz"), (neurho.sy, "sigmay"), (neurho.sm, "sigmam")]:
        found = neurho.interchange.from_netket(getattr(nk.operator.spin, theirs)(space, 1)).to_sparse(3).toarray()
        np.testing.assert_array_equal(found, ours(1).to_sparse(3).toarray())


@needs_netket
def test_other_operators_and_other_sites():
    nk = pytest.importorskip("netket")
    graph = nk.graph.Chain(3)
    ising = nk.operator.Ising(spins(nk), graph, h=1.3)  # no LocalOperator, but can become one
    np.testing.assert_allclose(
        neurho.interchange.from_netket(ising).to_sparse(3).toarray(), ising.to_dense(), atol=1e-14
    )
    bosons = nk.hilbert.Fock(2, 2)
    found = neurho.interchange.from_netket(nk.operator.boson.destroy(bosons, 1))
    np.testing.assert_allclose(found.to_sparse(2).toarray(), neurho.destroy(1, 3).to_sparse(2).toarray(), atol=1e-14)
    ones = nk.operator.spin.sigmax(spins(nk, s=1, sites=2), 0)
    expected = 2 * neurho.spin(0, 0, 3).to_sparse(2).toarray()
    np.testing.assert_allclose(neurho.interchange.from_netket(ones).to_sparse(2).toarray(), expected, atol=1e-14)


@needs_netket
@pytest.mark.parametrize("inverted", [False, True])
def test_lindbladians_have_the_same_matrix(inverted):
    nk = pytest.importorskip("netket")
    rng, space = np.random.default_rng(1), spins(nk, inverted=inverted)
    z = [nk.operator.spin.sigmaz(space, j) for j in range(3)]
    energy = z[0] @ z[1] - 0.7 * z[1] @ z[2] + z[2] @ z[0] + 0.3 * nk.operator.spin.sigmay(space, 1) + 0.1
    jumps = [np.sqrt(0.4) * nk.operator.spin.sigmam(space, j) for j in range(3)]
    jumps += [random_operator(nk, space, rng, (2, 0)), 0.2 + nk.operator.spin.sigmaz(space, 1)]
    theirs = nk.operator.LocalLiouvillian(energy, jumps)
    ours = neurho.interchange.from_netket(theirs)
    np.testing.assert_allclose(superoperator(ours), np.asarray(theirs.to_dense()), rtol=0, atol=1e-12)
    assert ours.lattice.bonds.tolist() == [[0, 1], [0, 2], [1, 2]]
    ring = neurho.chain(3, periodic=True)
    assert neurho.interchange.from_netket(theirs, ring).lattice is ring
    with pytest.raises(neurho.NeurhoError, match="`lattice` must have 3 sites like the operator, but it has 4"):
        neurho.interchange.from_netket(theirs, neurho.chain(4))


@needs_netket
def test_refuses_what_has_no_place():
    nk = pytest.importorskip("netket")
    with pytest.raises(neurho.NeurhoError, match="a Hilbert space without a constraint"):
        neurho.interchange.from_netket(nk.operator.spin.sigmaz(nk.hilbert.Spin(0.5, 4, total_sz=0), 0))
    mixed = nk.hilbert.TensorHilbert(nk.hilbert.Spin(0.5, 1), nk.hilbert.Fock(2, 1))
    with pytest.raises(neurho.NeurhoError, match=r"sites of one dimension, but its sites have dimensions \(2, 3\)"):
        neurho.interchange.from_netket(nk.operator.spin.sigmaz(mixed, 0))
    with pytest.raises(neurho.NeurhoError, match=r"`lattice` must be given with a LocalLiouvillian only"):
        neurho.interchange.from_netket(nk.operator.spin.sigmaz(spins(nk), 0), neurho.chain(3))
    with pytest.raises(neurho.NeurhoError, match=r"to_local_operator\(\), but it is a Transpose"):
        neurho.interchange.from_netket(nk.operator.spin.sigmap(spins(nk), 0).transpose())


def test_strangers_are_refused_with_a_sentence(monkeypatch):
    monkeypatch.setattr("neurho.model.interchange.netket.find_spec", lambda _: None)
    sentence = (
        r"Argument `operator` must be a LocalOperator or a LocalLiouvillian of NetKet, or have to_local_operator\(\), "
        r"but it is a list \(and NetKet is not installed here: pip install netket\)\."
    )
    with pytest.raises(neurho.NeurhoError, match=sentence):
        neurho.interchange.from_netket([1.0])
    monkeypatch.setattr("neurho.model.interchange.netket.find_spec", lambda _: "there")
    with pytest.raises(neurho.NeurhoError, match=r"but it is a LocalOperator\.$"):  # of another library
        neurho.interchange.from_netket(type("LocalOperator", (), {})())


def test_the_example_of_the_docstring_runs():
    pytest.importorskip("netket")
    (example,) = re.findall(r"```python\n(.*?)```", inspect.getdoc(neurho.interchange.from_netket), re.DOTALL)
    exec(example, {})
