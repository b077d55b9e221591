"""Hamiltonians and rates that depend on time: every way to evolve against closed forms and QuTiP."""

import numpy as np
import pytest
import qutip
from scipy.integrate import quad

from neurho import NeurhoError, build, config, exact, interchange, models, pulses
from neurho.model import lattice

PROBLEM = """
[lattice]
kind = "chain"
shape = [2]

[model]
kind = "custom"
hamiltonian = [{ on = "sites", operator = "kick / 2 * sx(i)" }]
jumps = [{ on = "sites", operator = "sx(i)", rate = "0.1 * slow" }]

[pulses.kick]
kind = "gaussian"
height = 6.0
centre = 0.3
width = 0.05

[pulses.slow]
kind = "ramp"
first = 0.0
last = 4.0
start = 0.1
end = 0.4

[ansatz]
kind = "rbm"
hidden = 1
mixing = 2

[initial]
bloch = [0.3, 0.0, -0.6]
noise = 0.0

[sampling]
kind = "enumeration"

[task]
kind = "evolve"
t = 0.6
points = 3
"""
METHODS = {
    "exact": ('method = "exact"', 1e-9),
    "bosh3": ('method = "bosh3"\ntolerance = 1e-3\nridge = 1e-9', 2e-3),
    "projected": ('method = "projected"\ntolerance = 1e-5', 2e-3),
}


@pytest.mark.parametrize(
    "method",
    ["exact", pytest.param("bosh3", marks=pytest.mark.slow), pytest.param("projected", marks=pytest.mark.slow)],
)
def test_a_kicked_spin_turns_by_the_area_and_loses_by_the_integrated_rate(method):
    """H = f(t)/2 sigma^x and jumps sigma^x at rate g(t): y + iz turns by the area of f and shrinks by exp(-2 int g).

    Without marks an integrator would step over the kick, whose width is a sixth of the distance of two outputs.
    """
    lines, tolerance = METHODS[method]
    problem = build(config.loads(f"{PROBLEM}{lines}\n"))
    f = pulses.gaussian(6.0, centre=0.3, width=0.05)
    g = pulses.ramp(0.0, 0.4, start=0.1, end=0.4)
    seen = []
    for snapshot in problem.snapshots():
        t = snapshot.t
        angle = quad(f, -1, t, points=[0.3] if t > 0.3 else None)[0] - quad(f, -1, 0, points=None)[0]
        size = np.exp(-2 * quad(g, 0, t, points=[0.1, 0.4] if t > 0.4 else None)[0]) if t else 1.0
        expected = {"sx": 0.3, "sy": 0.6 * np.sin(angle) * size, "sz": -0.6 * np.cos(angle) * size}
        values = {name: float(snapshot.observables[name].mean) for name in (*expected, "energy")}
        for name, value in expected.items():
            assert values[name] == pytest.approx(value, abs=tolerance), (t, name)
        assert values["energy"] == pytest.approx(f(t) * 0.3, abs=6 * tolerance + 1e-9)
        seen.append(t)
    assert seen == [0.0, 0.3, 0.6]
    assert abs(angle - 6 * 0.05 * np.sqrt(2 * np.pi)) < 1e-6


def test_driven_models_against_qutip():
    """Two coupled spins with a pulse on each kind of term, by the exact solver and by QuTiP."""
    shapes = {
        "field_x": pulses.sin2(3.0, start=0.2, end=0.5),
        "coupling": pulses.ramp(1.0, 0.2, end=1.0),
        "coupling_y": pulses.sine(1.0, frequency=7.0),
        "decay": pulses.sine(0.5, frequency=3.0, offset=0.6),
        "dephasing": pulses.tabulated([0.0, 0.4, 1.0], [0.1, 1.0, 0.3], smooth=True),
        "pump": lambda t: np.exp(-t),
    }
    model = models.heisenberg(
        lattice.chain(2),
        field=[[1.0, 0.2, 0.7], [0.5, 0.0, 0.4]],
        coupling=[0.5, 0.8, 0.3],
        decay=[1.0, 0.4],
        pump=0.2,
        dephasing=0.3,
        pulses=shapes,
    )
    rho = exact.product_state([[0.3, 0.1, -0.6], [0.0, 0.5, 0.5]], 2)
    found = list(exact.evolve(model, rho, [0.0, 0.4, 1.0], tolerance=1e-12))
    expected, h, steps = rho.ravel("F"), 1 / 80, {32: 1, 80: 2}
    moving = [qutip.liouvillian(*interchange.to_qutip(model, t=n * h / 2)).full() for n in range(161)]
    for n in range(80):  # Runge-Kutta of order 4 by hand
        a = moving[2 * n] @ expected
        b = moving[2 * n + 1] @ (expected + h / 2 * a)
        c = moving[2 * n + 1] @ (expected + h / 2 * b)
        d = moving[2 * n + 2] @ (expected + h * c)
        expected = expected + h / 6 * (a + 2 * b + 2 * c + d)
        if n + 1 in steps:
            np.testing.assert_allclose(found[steps[n + 1]].ravel("F"), expected, atol=1e-5)


def test_a_model_with_constant_pulses_is_the_model():
    ring = lattice.chain(3, periodic=True)
    given = {"coupling": (0.4, 0.5, 0.6), "decay": [0.1, 0.2, 0.3]}
    half = pulses.constant(0.5)
    plain = models.heisenberg(ring, field=(0.1, 0.2, 0.3), **given)
    driven = models.heisenberg(ring, field=(0.2, 0.2, 0.3), pulses={"field_x": half}, **given)
    rho = exact.product_state([0.3, 0.1, -0.6], 3)
    one, other = (exact.ExactLindbladian(m).apply(rho, 0.7) for m in (plain, driven))
    np.testing.assert_allclose(one, other, atol=1e-14)
    ising = models.ising(ring, interaction=4.0, transverse=3.0, pulses={"interaction": half, "transverse": half})
    np.testing.assert_allclose(
        ising.hamiltonian.to_sparse(3, 0.7).toarray(),
        models.ising(ring, interaction=2.0, transverse=1.5).hamiltonian.to_sparse(3).toarray(),
        atol=1e-14,
    )
    with pytest.raises(NeurhoError, match="`pulses` must name some of interaction, transverse, decay"):
        models.ising(ring, pulses={"field": half})
    with pytest.raises(NeurhoError, match=r"`pulses\[decay\]` must be a function of time, but it is 2"):
        models.xyz(ring, pulses={"decay": 2.0})


BAD = {
    "a shape that is not known": (
        'kind = "ramp"',
        'kind = "rmap"',
        "`pulses.slow.kind` must .*did you mean `ramp`",
    ),
    "a key that is not known": (
        "height = 6.0",
        "hight = 6.0",
        "`pulses.kick.hight` is not .*`pulses.kick.height`",
    ),
    "an end before the start": (
        "end = 0.4",
        "end = 0.0",
        "`pulses.slow.end` must lie after start = 0.1, but it is 0",
    ),
    "a negative rate": (
        "last = 4.0",
        "last = -4.0",
        "rate` must be a finite real number >= 0 at all times, but `0.1.slow` is -0",
    ),
    "a name that is taken": ("[pulses.slow]", "[pulses.sx]", "one is called `sx`"),
    "a table that is not sorted": (
        'kind = "ramp"\nfirst = 0.0\nlast = 4.0\nstart = 0.1\nend = 0.4',
        'kind = "tabulated"\ntimes = [0.0, 0.5, 0.4]\nvalues = [0.0, 1.0, 1.0]',
        "key `pulses.slow.times` must increase, but 0.4 follows 0.5",
    ),
    "a table that ends too early": (
        'kind = "ramp"\nfirst = 0.0\nlast = 4.0\nstart = 0.1\nend = 0.4',
        'kind = "tabulated"\ntimes = [0.0, 0.5]\nvalues = [0.0, 1.0]',
        "key `pulses.slow.times` must cover 0..task.t = 0.6, but it covers 0..0.5",
    ),
    "a file that is not there": (
        'kind = "ramp"\nfirst = 0.0\nlast = 4.0\nstart = 0.1\nend = 0.4',
        'kind = "tabulated"\nfile = "no.csv"',
        "key `pulses.slow.file` must be a CSV file that can be read, but `no.csv` is not",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_pulse_is_said_with_its_path(case):
    old, new, sentence = BAD[case]
    assert PROBLEM.count(old) == 1
    with pytest.raises(NeurhoError, match=sentence):
        build(config.loads(PROBLEM.replace(old, new) + 'method = "exact"\n'))


NAMED = """
[lattice]
kind = "chain"
shape = [2]

[model]
kind = "heisenberg"
field = [1.0, 0.0, 0.0]
pulses = { field_x = "kick", decay = "kick" }

[pulses.kick]
kind = "tabulated"
file = "kick.csv"

[initial]
bloch = [0.0, 0.0, 1.0]

[task]
kind = "evolve"
t = 1.0
method = "exact"
"""


def test_a_table_from_a_file_becomes_part_of_the_problem(tmp_path):
    """The path is relative to the problem file; problem.toml needs the file no more."""
    (tmp_path / "kick.csv").write_text("t,f\n0.0,0.0\n0.5,2.0\n1.0,1.0\n")
    (tmp_path / "p.toml").write_text(NAMED)
    loaded = config.load(tmp_path / "p.toml")
    (tmp_path / "kick.csv").unlink()
    assert config.loads(config.dumps(loaded)) == loaded
    assert loaded.pulses["kick"].values == (0.0, 2.0, 1.0)
    drive = build(loaded).lindbladian.hamiltonian.terms[0].coefficient
    assert drive(0.25) == pytest.approx(1.0)
    (tmp_path / "kick.csv").write_text("t,f\n0.0,0.0\n0.5;2.0\n")
    with pytest.raises(NeurhoError, match=r"`pulses.kick.file` must have two numbers t, f in each line, but line 3 of"):
        config.load(tmp_path / "p.toml")
    (tmp_path / "kick.csv").write_text("0.0,0.0\n0.5,2.0\n1.0,-1.0\n")
    with pytest.raises(NeurhoError, match=r"`model.pulses.decay` must .* >= 0 at all times, but `Tabulated` is -0"):
        build(config.load(tmp_path / "p.toml"))
    (tmp_path / "p.toml").write_text(NAMED.replace('decay = "kick"', 'decay = "kik"'))
    with pytest.raises(NeurhoError, match=r"`model.pulses.decay` must name a table \[pulses.NAME\] \(kick\), but it"):
        config.load(tmp_path / "p.toml")


def test_a_pulse_can_be_changed_on_the_command_line(tmp_path):
    (tmp_path / "p.toml").write_text(PROBLEM + 'method = "exact"\n')
    changed = config.load(tmp_path / "p.toml", ["pulses.kick.height=2.0"])
    assert changed.pulses["kick"].height == 2.0
