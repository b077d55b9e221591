"""Every ansatz, sampler, solver and method keeps to its signature; classes are abstract or final.

Shapes and types are traced without compiling anything.
"""

import importlib
import inspect
import pkgutil
import re
from operator import attrgetter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurho
import registry
from neurho.matrix_elements.generator import Side
from neurho.matrix_elements.networks import AbstractAnsatz, Reevaluated, log_derivatives, parameter_count, parameters
from neurho.matrix_elements.networks.acceptance import AbstractModuli
from neurho.matrix_elements.networks.base import prepare_changes
from neurho.matrix_elements.sampling import AbstractSampler
from neurho.matrix_elements.tdvp.metric import Metric
from neurho.matrix_elements.tdvp.solvers import AbstractSolver

X = jax.ShapeDtypeStruct((registry.SITES,), jnp.int32)
KEY = jax.eval_shape(lambda: jax.random.key(0))


def modules():
    return [
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(neurho.__path__, "neurho.")
        if m.name != "neurho.cli"
    ]


def classes():
    """All eqx.Module classes defined in neurho."""
    found = {c for m in modules() for c in vars(m).values() if inspect.isclass(c) and issubclass(c, eqx.Module)}
    return sorted((c for c in found if c.__module__.startswith("neurho")), key=lambda c: c.__name__)


def shaped(tree):
    return jax.tree.map(lambda a: (a.shape, a.dtype), tree)


@pytest.mark.parametrize("name", registry.ANSATZES)
def test_ansatz(name):
    ansatz = registry.ANSATZES[name]()
    assert isinstance(ansatz, AbstractAnsatz)
    assert isinstance(ansatz.hermitian, bool)
    assert ansatz.sites == registry.SITES
    vector, restore = parameters(ansatz)
    assert vector.shape == (parameter_count(ansatz),)
    assert vector.dtype == float, "parameters are real"
    assert jax.tree.structure(restore(vector)) == jax.tree.structure(ansatz)
    value = eqx.filter_eval_shape(lambda a, x: a.log_amplitude(x), ansatz, X)
    assert (value.shape, value.dtype) == ((), complex)
    rows = eqx.filter_eval_shape(log_derivatives, ansatz, X)
    assert (rows.shape, rows.dtype) == ((2, len(vector)), float)


@pytest.mark.parametrize(("name", "slow"), [*((a, False) for a in registry.ANSATZES), ("RBM", True)])
def test_amplitudes(name, slow):
    """Caches keep their structure under updates (they are carried through scans), those for acceptance too."""
    ansatz = registry.ANSATZES[name]()
    amplitudes = Reevaluated(ansatz) if slow else ansatz.amplitudes()
    cache = eqx.filter_eval_shape(lambda e, x: e.cache(x), amplitudes, X)
    change = eqx.filter_eval_shape(lambda e, s: e.prepare(s, s, s), amplitudes, X)
    ratio = eqx.filter_eval_shape(lambda e, c, d: e.ratio(c, d), amplitudes, cache, change)
    assert {a.shape for a in ratio} == {()}
    assert {a.dtype.kind for a in ratio} == {"f"}
    updated = eqx.filter_eval_shape(lambda e, c, d: e.update(c, d), amplitudes, cache, change)
    assert jax.tree.structure(updated) == jax.tree.structure(cache)
    assert shaped(updated) == shaped(cache)
    moduli = eqx.filter_eval_shape(lambda e: e.moduli(), amplitudes)
    assert isinstance(moduli, AbstractModuli)
    cache = eqx.filter_eval_shape(lambda m, x: m.cache(x), moduli, X)
    change = eqx.filter_eval_shape(lambda m, s: m.prepare(s, s, s), moduli, X)
    log_r, moved = eqx.filter_eval_shape(lambda m, c, d: m.propose(c, d), moduli, cache, change)
    assert (log_r.shape, log_r.dtype.kind) == ((), "f")
    refreshed = eqx.filter_eval_shape(lambda m, c: m.refresh(c), moduli, cache)
    assert shaped(moved) == shaped(refreshed) == shaped(cache)
    single = eqx.filter_eval_shape(lambda e, x: e.log_amplitude(x), amplitudes, X)
    assert (single.shape, single.dtype) == ((), complex)


@pytest.mark.parametrize(("name", "slow"), [*((a, False) for a in registry.ANSATZES), ("RBM", True)])
@pytest.mark.parametrize("side", Side)
def test_a_part_knows_the_ratios_of_its_side(name, slow, side):
    """Changes of rows only, or of columns only, from a part of the units."""
    ansatz = registry.ANSATZES[name]()
    amplitudes, d = Reevaluated(ansatz) if slow else ansatz.amplitudes(), ansatz.local_dim
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(0, d * d, registry.SITES), jnp.int32)
    sites = jnp.asarray([0, registry.SITES - 1], jnp.int32)
    row, column = np.divmod(np.asarray(x[sites]), d)
    if side is not Side.COLUMNS:
        row = (row + 1) % d
    if side is not Side.ROWS:
        column = (column + 1) % d
    new = jnp.asarray(d * row + column, jnp.int32)
    part, cache = amplitudes.part(side), amplitudes.cache(x)
    found = part.ratio(amplitudes.cut(cache, side), part.prepare(sites, x[sites], new)).value()
    expected = amplitudes.ratio(cache, amplitudes.prepare(sites, x[sites], new)).value()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 2])
def test_prepared_changes_have_leading_axes_of_instance_configuration_and_move(k):
    amplitudes = registry.ANSATZES["RBM"]().amplitudes()
    sites = jax.ShapeDtypeStruct((5, k), jnp.int32)
    labels = jax.ShapeDtypeStruct((1, 4**k, 3, k), jnp.int32)
    found = jax.eval_shape(lambda a, s, new: prepare_changes(a, s, new, 4), amplitudes, sites, labels)
    assert {leaf.shape[:3] for leaf in jax.tree.leaves(found)} == {(5, 4**k, 3)}


# All with the first ansatz, the first with all: every pair would say nothing more.
@pytest.mark.parametrize(
    ("name", "ansatz"),
    [*((s, "RBM") for s in registry.SAMPLERS), ("metropolis", "RBM of three levels"), ("Blurred", "Table")],
)
def test_sampler(name, ansatz):
    """Chains keep their shape, and draws, weights and information have the stated ones."""
    ansatz = registry.ANSATZES[ansatz]()
    sampler, amplitudes = registry.SAMPLERS[name](ansatz.local_dim), ansatz.amplitudes()
    assert isinstance(sampler, AbstractSampler)
    assert isinstance(sampler.exact, bool)
    chains = jax.eval_shape(lambda s, k, a: s.init(k, a), sampler, KEY, amplitudes)
    draw, after, info = jax.eval_shape(lambda s, k, a, c: s.sample(k, a, c), sampler, KEY, amplitudes, chains)
    assert shaped(after) == shaped(chains)
    assert chains.dtype == draw.x.dtype == jnp.int32
    assert draw.x.ndim == 3
    assert draw.x.shape == (*draw.weight.shape, registry.SITES)
    assert draw.weight.dtype == float
    assert info.acceptance.shape == ()
    if sampler.exact:
        assert chains.shape == (0, registry.SITES)
        assert draw.weight.shape[0] == 1
    else:
        assert chains.shape == (registry.SIZES["chains"], registry.SITES)
        assert draw.weight.shape == (registry.SIZES["samples"] // registry.SIZES["chains"], registry.SIZES["chains"])


@pytest.mark.parametrize(
    ("name", "ansatz"),
    [*((s, "RBM") for s in registry.SOLVERS), ("Ridge", "RBM of three levels"), ("ConjugateGradient", "Table")],
)
def test_solver(name, ansatz):
    solver, ansatz = registry.SOLVERS[name](), registry.ANSATZES[ansatz]()
    assert isinstance(solver, AbstractSolver)
    count = parameter_count(ansatz)
    x, weight, local = (
        jax.ShapeDtypeStruct(s, t) for s, t in (((6, registry.SITES), jnp.int32), ((6,), float), ((6,), complex))
    )

    def solve(solver, ansatz, x, weight, local):
        return solver(Metric.build(ansatz, x, weight, local))

    found = jax.eval_shape(solve, solver, ansatz, x, weight, local)
    assert shaped(found.velocity) == ((count,), float)
    assert shaped(found.residual) == ((), float)
    assert found.rank.shape == ()


@pytest.mark.parametrize("name", registry.METHODS)
def test_method(name):
    tableau = registry.METHODS[name]
    stages = len(tableau.b)
    assert [len(row) for row in tableau.a] == list(range(stages))
    assert len(tableau.c) == stages
    assert tableau.error is None or (len(tableau.error) == stages and tableau.error_order >= 2)
    assert tableau.order >= 1
    assert name in neurho.methods.__all__


def public(kind):
    return {c.__name__ for c in classes() if issubclass(c, kind) and not inspect.isabstract(c)}


def test_registry_is_complete():
    """Every concrete ansatz, sampler and solver stands in the registry."""
    made = [type(make()) for make in registry.ANSATZES.values()]
    ansatzes = {kind.__name__ for kind in made if kind.__module__.startswith("neurho")}
    samplers = {type(make(2)).__name__ for make in registry.SAMPLERS.values()}
    solvers = {type(make()).__name__ for make in registry.SOLVERS.values()}
    assert public(AbstractAnsatz) == ansatzes
    assert public(AbstractSampler) == samplers
    assert public(AbstractSolver) == solvers


@pytest.mark.parametrize("one", classes(), ids=lambda c: c.__name__)
def test_classes_are_abstract_or_final(one):
    """A class with subclasses is abstract, named so, and never overridden in what it defines."""
    subclasses = [c for c in classes() if one in c.__mro__[1:]]
    assert inspect.isabstract(one) == one.__name__.startswith("Abstract")
    if not inspect.isabstract(one):
        assert not subclasses
    concrete = {
        name
        for name, value in vars(one).items()
        if inspect.isfunction(value) and not getattr(value, "__isabstractmethod__", False)
    }
    defined = {name for name in concrete if not name.startswith("__")}
    for child in subclasses:
        assert not defined & set(vars(child)), f"{child.__name__} overrides {one.__name__}"


SPACES = (neurho.networks, neurho.samplers, neurho.solvers, neurho.methods)


def test_public_names_exist_once():
    """At the top, or in one namespace: what is in two has two meanings."""
    for space in (neurho, *SPACES):
        for name in space.__all__:
            assert getattr(space, name) is not None
    names = [name for space in (neurho, *SPACES) for name in space.__all__]
    assert len(names) == len(set(names))
    for other in (
        neurho.exact,
        neurho.matrix_product,
        neurho.trajectories,
        neurho.correlators,
        neurho.matrix_elements.tdvp.solvers,
    ):
        assert not set(neurho.__all__) & set(vars(other).get("__all__", ()))


ROOMS = (
    *("exact", "pulses", "models", "interchange", "networks", "samplers", "solvers", "methods", "outcomes"),
    *("matrix_product", "trajectories", "correlators"),
)
LONG = (
    *("networks.fitted_product", "networks.last_network", "methods.evolve", "methods.stationary_state"),
    *("samplers.metropolis", "trajectories.evolve", "trajectories.stationary_state", "trajectories.Record"),
)
"""Examples that compile for more than a few seconds; pages of the documentation use the same functions."""


def public_calls():
    """Functions and classes of the namespaces, each where it is found first.

    Left out are abstract classes, which pages of docs/extend show whole, and what pulses are made of: `sine` makes a
    `Sine` and shows it.
    """
    for path, room in {"neurho": neurho, **{f"neurho.{name}": getattr(neurho, name) for name in ROOMS}}.items():
        own = [n for n, v in vars(room).items() if inspect.isroutine(v) and v.__module__ == room.__name__]
        for name in getattr(room, "__all__", None) or own:
            found = getattr(room, name)
            elsewhere = room is not neurho and name in neurho.__all__
            if callable(found) and not inspect.isabstract(found) and not elsewhere and not name.startswith("_"):
                short = f"{path}.{name}".removeprefix("neurho.")
                yield pytest.param(f"{path}.{name}", marks=pytest.mark.slow if short in LONG else ())


@pytest.mark.parametrize("path", list(public_calls()))
def test_public_functions_and_classes_have_an_example_that_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if path.endswith("netket"):
        pytest.importorskip("netket")
    public = attrgetter(path.removeprefix("neurho."))(neurho)
    found = re.findall(r"```python\n(.*?)```", inspect.cleandoc(public.__doc__ or ""), re.DOTALL)
    assert found, f"{path} has no example"
    for example in found:
        assert inspect.isclass(public) or f"{path}(" in example
        exec(compile(example, path, "exec"), {})


def test_arrays_of_the_core_are_not_mutable_numpy():
    """Leaves of compiled objects are JAX arrays: NumPy ones would be constants in the programs."""
    for make in (*registry.ANSATZES.values(), *(lambda s=s: s(2) for s in registry.SAMPLERS.values())):
        leaves = [leaf for leaf in jax.tree.leaves(make()) if eqx.is_array_like(leaf) and not np.isscalar(leaf)]
        assert all(isinstance(leaf, jax.Array) for leaf in leaves)
