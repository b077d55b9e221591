"""Times and frequencies with their units."""

from math import pi
from typing import get_args

import pytest

from neurho import NeurhoError, config
from neurho.config.processor import FIXED, PAIRS, TURNS, Coupling, Drive, Gate, Processor
from neurho.config.schema import PULSES
from neurho.config.units import DIMENSIONS
from neurho.model.operators import GATES

PROBLEM = """
lattice = { kind = "chain", shape = [2] }
model = { kind = "processor", unit = "us", T1 = ["60 us", 50.0], T2 = "2e4ns", crosstalk = "50 kHz", \
detuning = "0.3 rad/us", gates = [{ gate = "rx", at = [0], angle = "90 deg", start = "-0.5 us", duration = "20 ns" }] }
pulses.half = { kind = "sin2", end = "0.1 ms" }
initial = { bloch = "down" }
task = { kind = "evolve", t = "0.5 ms", times = ["1 us", "2us", "300 us"] }
""".replace("\\\n", "")


def test_quantities_become_numbers_in_the_unit_of_the_model():
    problem = config.loads(PROBLEM)
    model = problem.model
    assert (model.T1, model.T2) == ((60.0, 50.0), 20.0)
    assert model.crosstalk == pytest.approx(2 * pi * 0.05, rel=1e-15)
    assert model.detuning == 0.3
    gate = model.gates[0]
    assert (gate.angle, gate.start, gate.duration) == (pytest.approx(pi / 2), -0.5, 0.02)
    assert (problem.pulses["half"].end, problem.task.t, problem.task.times) == (100.0, 500.0, (1.0, 2.0, 300.0))
    assert config.loads(config.dumps(problem)) == problem


@pytest.mark.parametrize(("unit", "t1", "zeta"), [("ns", 6e4, 5e-5), ("ms", 0.06, 50.0), ("s", 6e-5, 5e4)])
def test_units_of_the_model(unit, t1, zeta):
    model = config.loads(PROBLEM.replace('unit = "us"', f'unit = "{unit}"').replace('["60 us", 50.0]', '"60 us"')).model
    assert (model.T1, model.crosstalk) == (pytest.approx(t1, rel=1e-15), pytest.approx(2 * pi * zeta, rel=1e-15))


def test_changes_may_have_units():
    assert config.load("processor", ["model.unit=us", "model.T1=100us", "model.T2=0.1 ms"]).model.T2 == 100.0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("60 us", "60 uss", r'key `model.T1` must be a number or a time as in "3 us" .*, but it is "60 uss"'),
        ("60 us", "60 kHz", r"key `model.T1` must be a number or a time"),
        ("50 kHz", "50 us", r"key `model.crosstalk` must be a number \(radians per model.unit\), or a frequency"),
        ("90 deg", "90 us", r"key `model.gates\[0\].angle` must be a number in radians or an angle"),
        ("0.1 ms", "0.1 min", r"key `pulses.half.end` must be a number or a time"),
        ("60 us", "sixty", r"key `model.T1` must be a finite number > 0, or one for each site"),
        ('unit = "us", ', "", "^In `the problem`, key `model.T1` must be a number without model.unit[^\n]*$"),
        (
            'unit = "us"',
            'unit = "h"',
            '^In `the problem`, key `model.unit` must be "s", "ms", "us" or "ns", but[^\n]*$',
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(old, new, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        config.loads(PROBLEM.replace(old, new))


def test_models_without_a_unit_refuse_them():
    with pytest.raises(NeurhoError, match=r"key `task.t` must be a number without model.unit"):
        config.load("fig2", ["task.t=3 us"])


def test_keys_with_units_and_gates_are_those_of_the_tables():
    tables = {"model": [Processor], "model.drives": [Drive], "model.couplings": [Coupling], "model.gates": [Gate]}
    tables |= {"pulses": list(PULSES.values()), "task": [config.Evolve, config.Stationary]}
    for path, keys in DIMENSIONS.items():
        assert set(keys) <= {name for table in tables[path] for name in table.model_fields}
    assert get_args(Gate.model_fields["gate"].annotation) == tuple(GATES)
    for name, gate in GATES.items():
        assert (name in TURNS, name in FIXED, name in PAIRS) == (
            gate.angle is None,
            not gate.free,
            len(gate.generator) == 4,
        )
