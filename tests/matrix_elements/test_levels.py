"""Product states of sites with more than two levels, and problems of such sites from the file to the numbers."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

import helpers  # noqa: F401  (compile fast)
from neurho import config, exact
from neurho._types import NeurhoError
from neurho.matrix_elements.networks import density_matrix, level_amplitudes, level_state
from neurho.observables import Snapshot
from neurho.run.assembly import make_lattice, make_lindbladian
from neurho.run.drivers.flow import FlowDriver
from neurho.run.drivers.network import Noise
from neurho.run.initial import product_matrix
from neurho.run.problem import Problem, build

SPIN1 = """
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "custom"
local_dim = 3
hamiltonian = [
  { on = "sites", operator = "drive * Sx(i) + D * Sz(i)**2" },
  { on = "bonds", operator = "J * (Sx(i) * Sx(j) + Sy(i) * Sy(j))" },
]
jumps = [{ on = "sites", operator = "Sm(i)", rate = 0.5 }]
values = { J = 0.5, D = 0.3, drive = 1.0 }
[ansatz]
kind = "rbm"
hidden = 2
mixing = 3
[initial]
populations = [0.2, 0.2, 0.6]
phases = [0.0, 0.4, 0.0]
noise = 0.02
[sampling]
kind = "enumeration"
[task]
kind = "evolve"
t = 0.2
points = 2
method = "heun"
dt = 0.05
[observables]
on_sites = { Sz = "Sz(i)" }
on_bonds = { SzSz = "Sz(i) * Sz(j)" }
reference = "exact"
"""


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_product_of_levels_is_exact(levels):
    rng = np.random.default_rng(levels)
    populations = rng.dirichlet(np.ones(levels), size=2)
    phases = rng.normal(size=(2, levels))
    prepared = level_state(jax.random.key(0), populations, 2, hidden=1, mixing=1, phases=phases, noise=0.0, tilt=1e-9)
    truth = exact.product_of(level_amplitudes(populations, 2, phases))
    assert_allclose(density_matrix(prepared.ansatz), truth, atol=1e-12)
    assert prepared.overlap == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("levels", [3, 4])
def test_mixtures_of_levels_are_exact(levels):
    populations = np.random.default_rng(levels).dirichlet(np.ones(levels), size=2)
    sizes = {"hidden": 2, "mixing": 4, "noise": 0.0, "tilt": 1e-9, "mixed": True}
    prepared = level_state(jax.random.key(0), populations, 2, **sizes)
    truth = np.diag(np.kron(*populations))
    assert_allclose(density_matrix(prepared.ansatz), truth, atol=1e-12)
    assert prepared.overlap == pytest.approx(1, abs=1e-6)


def test_the_overlap_of_a_tilted_mixture():
    sizes = {"hidden": 2, "mixing": 4, "noise": 0.0, "tilt": 0.1, "mixed": True}
    prepared = level_state(jax.random.key(0), [0.0, 0.3, 0.7], 2, **sizes)
    one, other = np.diag(np.kron(*[[0.0, 0.3, 0.7]] * 2)), density_matrix(prepared.target)
    expected = np.trace(one @ other).real ** 2 / np.sum(one**2) / np.sum(np.abs(other) ** 2)
    assert prepared.overlap == pytest.approx(expected, rel=1e-12)


def test_mixtures_say_what_they_need():
    with pytest.raises(NeurhoError, match="`mixing` must be at least 4 for a mixture, but it is 3"):
        level_state(jax.random.key(0), [0.2, 0.3, 0.5], 2, hidden=2, mixing=3, mixed=True)
    with pytest.raises(NeurhoError, match="`phases` must be left out for a mixture"):
        level_state(jax.random.key(0), [0.2, 0.3, 0.5], 2, hidden=2, mixing=4, mixed=True, phases=[0.0, 1.0, 2.0])


def test_empty_levels_are_tilted_and_the_loss_is_stated():
    prepared = level_state(jax.random.key(0), (0, 0, 1), 2, hidden=1, mixing=1, noise=0.0, tilt=0.01)
    truth = exact.product_of(level_amplitudes((0, 0, 1), 2))
    rho = density_matrix(prepared.ansatz)
    assert np.trace(rho @ truth).real ** 2 == pytest.approx(prepared.overlap)
    assert prepared.overlap == pytest.approx((1 / 1.02) ** 4)


@pytest.mark.parametrize(
    ("populations", "options", "sentence"),
    [
        ((0.5, 0.4), {}, "`populations` must be >= 0 and add up to 1"),
        ((1.5, -0.5), {}, "`populations` must be >= 0 and add up to 1"),
        (np.full((3, 2), 0.5), {}, r"`populations` must have shape \(levels,\) or \(2, levels\)"),
        ((0.5, 0.5), {"phases": (0, 0, 0)}, "`phases` must have 2 levels"),
        ((0.5, 0.5), {"tilt": 0.6}, "`tilt` must lie between 0 and 1/2"),
        ((0.5, 0.5), {"noise": -1.0}, "`noise` must be >= 0"),
        ((1.0,), {}, "`populations` must have at least 2 levels"),
    ],
)
def test_refusals(populations, options, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        level_state(jax.random.key(0), populations, 2, hidden=1, mixing=1, **options)


@pytest.mark.slow
def test_spin_one_from_the_file_to_the_numbers():
    """A nine-dimensional problem; the network must follow the exact state, by sums and by samples."""
    problem = build(config.loads(SPIN1))
    start, end = problem.snapshots()
    assert end.diagnostics["delta_rho"] < 0.05
    truth = problem.reference()
    for name in ("Sz", "Sz_site", "SzSz", "SzSz_bond", "p0", "p1_site", "energy"):
        assert_allclose(end.observables[name].mean, truth[name][-1], atol=0.03)
        assert_allclose(start.observables[name].mean, truth[name][0], atol=0.02)
    total = sum(end.observables[f"p{k}"].mean for k in range(3))
    assert total == pytest.approx(1)
    by_exact = list(
        build(
            config.loads(SPIN1.replace('reference = "exact"', "").replace("heun", "exact").replace("dt = 0.05", ""))
        ).snapshots()
    )
    assert_allclose(by_exact[-1].observables["Sz"].mean, truth["Sz"][-1], atol=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("Sm(i)", "sm(i)", "In [model]: In jumps[0]: The operator `sm(i)` cannot be read at character 1"),
        ('"Sz(i)" }', '"Sp(i)" }', "In observables.on_sites.Sz: the operator `Sp(i)` must be Hermitian"),
        ('"Sz(i)" }', '"Sz(i) +" }', "In observables.on_sites.Sz: The operator `Sz(i) +` cannot be read at character"),
    ],
)  # fmt: skip
def test_what_only_physics_can_check(old, new, sentence):
    assert old in SPIN1
    with pytest.raises(NeurhoError) as caught:
        build(config.loads(SPIN1.replace(old, new)))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.hamiltonian=3", "key `model.hamiltonian` must be a list of tables, as in [{ on"),
        ("model.hamiltonian=[3]", "key `model.hamiltonian[0]` must be a table, but it is 3."),
        ("model.hamiltonian.1.on=bond", 'key `model.hamiltonian[1].on` must be "sites", "bonds", "pairs" or'),
        ("model.jumps.0.rat=1", "key `model.jumps[0].rat` is not known; did you mean `model.jumps[0].rate`?"),
        ("model.jumps.0.rate=-1", "key `model.jumps[0].rate` must be a finite number >= 0, one for each"),
        ("model.jumps.1.rate=1", "`--set` cannot change `model.jumps.1`"),
        ("model.values={J='a'}", "key `model.values` must be numbers by name and lists of numbers or names of pulses"),
        ("model.local_dim=1", "key `model.local_dim` must be a whole number from 2 to 16"),
        ("initial.populations=[0.5,0.5]", "key `initial.populations` must have 3 numbers, one for each level, but one"),
        ("initial.populations=[0.5,0.5,0.5]", "key `initial.populations` must add up to 1, but one list is"),
        ("initial.populations=[[1,0,0]]", "key `initial.populations` must have one list for each of the 2 sites"),
        ("initial={bloch=[0,0,1]}", 'key `initial.kind` must be "levels", "random" or "state" for sites of 3 levels'),
        ("observables.correlations=true", "key `observables.correlations` must be false for sites of 3 levels"),
        ("observables.on_sites={'a b'='Sz(i)'}", "key `observables.on_sites` must be operators by names of letters"),
        ("lattice.shape=[5]", "have at most 4 sites for"),
    ],
)  # fmt: skip
def test_one_sentence_for_each_wrong_value(tmp_path, override, sentence):
    file = tmp_path / "spin.toml"
    file.write_text(SPIN1)
    with pytest.raises(NeurhoError) as caught:
        config.load(file, [override])
    assert sentence in str(caught.value)


def test_round_trip_and_deep_changes(tmp_path):
    problem = config.loads(SPIN1)
    assert config.loads(config.dumps(problem)) == problem
    assert config.fingerprint(config.loads(config.dumps(problem))) == config.fingerprint(problem)
    file = tmp_path / "spin.toml"
    file.write_text(SPIN1)
    changed = config.load(file, ["model.values.J=[0.1]", "model.jumps.0.rate=2", "initial.phases.1=0.5"])
    assert changed.model.values["J"] == (0.1,)
    assert changed.model.jumps[0].rate == 2.0
    assert changed.initial.phases == (0.0, 0.5, 0.0)
    ring = config.load("fig2", ["model.field.2=3.5"])
    assert ring.model.field == (0.0, 0.0, 3.5)
    assert config.load("fig2", ["initial.bloch.0=0.5"]).initial.bloch == (0.5, 0.0, 0.0)


def test_a_mixture_from_a_problem_file():
    mixed = SPIN1.replace("phases = [0.0, 0.4, 0.0]", "mixed = true").replace("mixing = 3", "mixing = 4")
    problem = build(config.loads(mixed))
    truth = np.diag(np.kron(*[[0.2, 0.2, 0.6]] * 2))
    assert_allclose(density_matrix(problem.driver.initial.target), truth, atol=1e-12)
    assert_allclose(product_matrix(problem.config.initial, problem.lattice), truth, atol=1e-15)
    with pytest.raises(NeurhoError, match=r"key `initial.phases` must be left out where initial.mixed = true"):
        config.loads(SPIN1.replace("phases", "mixed = true\nphases"))
    with pytest.raises(NeurhoError, match="`mixing` must be at least 4 for a mixture, but it is 3"):
        build(config.loads(mixed.replace("mixing = 4", "mixing = 3")))


def test_a_warning_at_the_beginning_is_not_lost(monkeypatch):
    """The first output says what the preparation costs and what is wrong with it."""
    made = config.loads(SPIN1.replace('reference = "exact"', ""))
    lattice = make_lattice(made)
    problem = Problem(made, lattice, make_lindbladian(made, lattice))
    first = Snapshot(step=0, t=0.0, observables={}, diagnostics={}, state=None, message="The chains disagree.")
    problem.driver.__dict__["flow"] = None
    monkeypatch.setattr(
        FlowDriver,
        "_start",
        lambda self: SimpleNamespace(t=0.0, ansatz=None, _replace=lambda **_: SimpleNamespace(t=0.0)),
    )
    monkeypatch.setattr(FlowDriver, "_cost_of_noise", lambda self, state: Noise(infidelity=0.01, distance=0.1))
    monkeypatch.setattr(FlowDriver, "_cost_of_preparation", lambda self, ansatz, noise: noise)
    monkeypatch.setattr(FlowDriver, "_preparation", lambda self, lost: "Infidelity 0.01.")
    monkeypatch.setattr("neurho.run.drivers.flow.follow", lambda *args, **options: [first, first._replace(step=1)])
    found = [snapshot.message for snapshot in problem.snapshots()]
    assert found == ["Infidelity 0.01. The chains disagree.", "The chains disagree."]
