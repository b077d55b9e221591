"""Quantum trajectories of twenty small models beside the exact solver."""

from functools import reduce

import jax
import numpy as np
import pytest

import helpers
from neurho import exact, models, pulses
from neurho import trajectories as tr
from neurho.model import lattice
from neurho.model.operators import Lindbladian, local, sm, sp, sx, sy, sz, total
from neurho.trajectories.start import site_matrices

UP, DOWN, PLUS, MIXED = (0, 0, 1.0), (0, 0, -1.0), (1.0, 0, 0), (0.3, -0.2, 0.4)
KICK = pulses.gaussian(1.5, centre=0.5, width=0.08)
CHAIN, RING, SQUARE = lattice.chain(4), lattice.chain(4, periodic=True), lattice.square(2, 2, periodic=True)
PAIRED = Lindbladian(
    CHAIN, total([sx(0) @ sx(1), sz(2) @ sz(3)]), [(0.7, sm(0) @ sm(1)), (0.3, sp(2) @ sm(3)), (0.2, sz(1))]
)
HOPPING = Lindbladian(CHAIN, models.xyz(CHAIN, coupling=(1, 1, 0)).hamiltonian, [(1.0, sp(0)), (1.0, sm(3))])

ZOO = {
    "xyz chain from up": (models.xyz(CHAIN), UP),
    "xyz ring from down": (models.xyz(RING), DOWN),
    "xyz square, mixed levels": (models.xyz(SQUARE), (0, 0, 0.3)),
    "xyz from plus": (models.xyz(CHAIN), PLUS),
    "ising": (models.ising(RING), DOWN),
    "ising, strong": (models.ising(CHAIN, interaction=5.0, transverse=2.0), MIXED),
    "dephasing": (models.dephasing_chain(CHAIN), [UP, DOWN, UP, DOWN]),
    "dephasing from plus": (models.dephasing_chain(RING), PLUS),
    "decay, pump and dephasing": (
        models.heisenberg(CHAIN, field=(0.3, 0.2, 1), coupling=(1, 0.5, 2), decay=0.5, pump=0.7, dephasing=0.2),
        MIXED,
    ),
    "fig. 2 couplings": (models.heisenberg(lattice.chain(3), field=(0, 0, 10), coupling=(20, 0, 10)), UP),
    "one spin, driven": (models.heisenberg(lattice.chain(1), field=(1.0, 0, 0.5)), DOWN),
    "free decay": (models.heisenberg(CHAIN), UP),
    "pairs": (PAIRED, PLUS),
    "boundary driven": (HOPPING, DOWN),
    "random, three spins": (helpers.random_lindbladian(5, 3), MIXED),
    "random, four spins": (helpers.random_lindbladian(6, 4), UP),
    "random, two qutrits": (helpers.random_lindbladian(7, 2, 3), np.eye(3)[0]),
    "random, three qutrits": (helpers.random_lindbladian(8, 3, 3), np.diag([0.5, 0.3, 0.2])),
    "kicked": (models.heisenberg(CHAIN, field=(1.0, 0, 0), coupling=(0, 0, 1), pulses={"field": KICK}), DOWN),
    "rate in time": (
        models.xyz(CHAIN, pulses={"decay": pulses.sine(0.6, frequency=5.0, offset=0.8)}),
        MIXED,
    ),
}


def measured(model):
    """Three numbers of each model: two means of sites, one of a pair."""
    if model.local_dim > 2:
        first, second = (np.diag(np.eye(3)[n]) for n in (0, 1))
        return [
            local(first, 0, local_dim=3),
            local(second, 1, local_dim=3),
            local(np.kron(first, second), (0, 1), local_dim=3),
        ]
    last = model.sites - 1
    pair = sx(0) @ sx(last) + sy(0) @ sy(last) if last else sx(0)
    return [sz(0), total([sz(j) for j in range(model.sites)]) / model.sites, pair]


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_a_zoo_agrees_with_exact(name):
    """Each of three values within 3 errors, of 2000 trajectories at t = 1. Of these 60 values a right code misses one
    with probability 15 %; the seed is fixed.
    """
    model, initial = ZOO[name]
    operators = measured(model)
    found = tr.evolve(
        model, initial, [0.0, 1.0], observables={"all": operators}, key=jax.random.key(11), trajectories=2000
    ).estimates["all"]
    rho0 = reduce(np.kron, site_matrices(initial, model.sites, model.local_dim))
    *_, rho = exact.evolve(model, rho0, [0.0, 1.0], tolerance=1e-10)
    truth = np.array([exact.expectation(rho, o, model.sites).real for o in operators])
    pulls = np.abs(found.mean[1] - truth) / np.maximum(found.error[1], 1e-9)
    print(name, np.round(pulls, 2))
    assert np.all(pulls < 3)
