"""Whatever a user writes: the answer is a result or one clear sentence, never a traceback.

Set NEURHO_FUZZ to a number of examples to search longer than the tests do.
"""

import contextlib
import copy
import os
import tomllib
import warnings
from importlib import resources

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurho import config, exact, models
from neurho._types import NeurhoError
from neurho.matrix_elements.networks import level_amplitudes
from neurho.model import lattice, operators
from neurho.model.text import operators_on
from neurho.run.problem import build

EXAMPLES = int(os.environ.get("NEURHO_FUZZ", "0"))
QUICK = settings(
    max_examples=EXAMPLES or 150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=not EXAMPLES
)
SLOWER = settings(QUICK, max_examples=EXAMPLES or 60)

CUSTOM = """
seed = 1
[lattice]
kind = "square"
shape = [1, 3]
periodic = [false, true]
[model]
kind = "custom"
local_dim = 2
hamiltonian = [
  { on = "sites", operator = "h * sx(i)" },
  { on = "bonds", direction = 1, operator = "J * sz(i) * sz(j)" },
]
jumps = [{ on = "sites", at = [0, 2], operator = "sm(i)", rate = "g * (1 + cos(t))" }]
values = { h = [0.1, 0.2, 0.3], J = 1.0, g = 0.5 }
[initial]
kind = "levels"
populations = [0.5, 0.5]
phases = [0.0, 0.1]
[task]
kind = "evolve"
t = 1.0
points = 3
method = "exact"
[observables]
on_sites = { up = "proj(i, 0)" }
on_bonds = { both = "proj(i, 0) * proj(j, 0)" }
[output]
checkpoint_steps = 5
"""
CIRCUIT = """
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "processor"
unit = "us"
T1 = ["60 us", 50.0]
crosstalk = "50 kHz"
couplings = [{ coupling = "exchange", strength = ["5 MHz"], pulse = "swap", at = [[0, 1]] }]
gates = [{ gate = "h", at = [0], duration = "20 ns" }, { gate = "cz", at = [0, 1], angle = "90 deg", duration = 0.1 }]
pulses = { detuning = ["swap", ""] }
[pulses.swap]
kind = "sin2"
end = "50 ns"
[initial]
bloch = "down"
[task]
kind = "evolve"
t = "0.2 us"
points = 2
[observables]
fidelity = true
"""
SHIPPED = [file.read_text() for file in resources.files("neurho").joinpath("problems").iterdir()]
PROBLEMS = [tomllib.loads(text) for text in [CUSTOM, CIRCUIT, *SHIPPED]]

SCALARS = st.one_of(
    st.sampled_from(
        [0, 1, -1, 2, 3, 10**30, -0.0, 0.5, 1e-300, 1e300, float("nan"), float("inf"), True, False, "", "x"]
    ),
    st.sampled_from(["sx(i)", "sites", "bonds", "rbm", "exact", "t", "custom", "chain", "evolve", "stationary", "é\n"]),
    st.integers(-5, 20),
    st.floats(width=32),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["kind", "on", "operator", "J", "a b"]), inner, max_size=3),
    ),
    max_leaves=8,
)


KEYS = [
    "task.t",
    "model.field.2",
    "model.values.J",
    "seed",
    "model.jumps.0.rate",
    "lattice",
    "a.b.c.d",
    "task.method",
    "",
]


def places(value, path=()):
    """All paths into a parsed problem."""
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        found += places(entry, (*path, key))
    return found


@st.composite
def mutated(draw, problems=tuple(PROBLEMS)):
    """A problem with one to three entries replaced, removed, renamed or put somewhere else."""
    problem = copy.deepcopy(draw(st.sampled_from(problems)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(problem)))
        *way, last = path
        home = problem
        for step in way:
            home = home[step]
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "add"]))
        if kind == "replace" or isinstance(home, list):
            home[last] = draw(VALUES)
        elif kind == "remove":
            del home[last]
        elif kind == "rename":
            home[f"{last}{draw(st.sampled_from(['', 's', 'x']))}"] = home.pop(last)
        else:
            home[draw(st.sampled_from(["kind", "sites", "dt", "bloch", "new", ""]))] = draw(VALUES)
        if not places(problem):
            break
    return problem


def sentence_of(action):
    """What an action refuses with, or "" where it does not; warnings count as failures."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            action()
        except NeurhoError as error:
            return str(error)
    return ""


def assert_sentence(text):
    """One line of reasonable length, ending as a sentence does, without the words of a traceback; or one for each thing
    that is wrong with a problem, behind a line that says how many there are.
    """
    if not text:
        return
    first, *others = text.split("\n  ")
    if others:
        assert first.endswith(f", {len(others)} things are wrong:"), text
        for other in others:
            assert_sentence(other)
        return
    assert "\n" not in text, text
    assert text.endswith((".", "?")), text
    assert len(text) < 900, text
    assert not any(word in text for word in ("Traceback", "pydantic", "<class", "object at 0x", "Input should")), text


@QUICK
@given(mutated())
def test_any_problem_is_accepted_or_refused_in_a_sentence(problem):
    text = sentence_of(lambda: config.validate(problem, "p.toml"))
    assert_sentence(text)
    if not text:
        again = config.validate(problem)
        assert config.loads(config.dumps(again)) == again


@SLOWER
@given(mutated(problems=(PROBLEMS[0],)))
def test_any_custom_model_is_built_or_refused_in_a_sentence(problem):
    def make():
        settings_ = config.validate(problem, "p.toml")
        if settings_.sites <= 6 and settings_.local_dim**settings_.sites <= 100:
            build(settings_)

    assert_sentence(sentence_of(make))


@QUICK
@given(st.text(max_size=200), st.sampled_from([CUSTOM, *SHIPPED]), st.data())
def test_any_text_is_a_problem_or_a_sentence(noise, text, data):
    place = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 20))
    assert_sentence(sentence_of(lambda: config.loads(text[:place] + noise + text[place + cut :])))


@QUICK
@given(st.one_of(st.text(max_size=30), st.tuples(st.sampled_from(KEYS), VALUES).map(lambda x: f"{x[0]}={x[1]}")))
def test_any_change_is_made_or_refused_in_a_sentence(change):
    assert_sentence(sentence_of(lambda: config.load("spin1", [change])))
    assert_sentence(sentence_of(lambda: config.load("fig2", [change])))


ARGUMENTS = st.one_of(VALUES, st.none(), st.just(np.array([1.0, 2.0])), st.just(1j), st.just([[0, 1], [1, 0]]))
RING = lattice.chain(3, periodic=True)
CALLS = {
    "chain": lambda a, b: lattice.chain(a, periodic=b),
    "square": lambda a, b: lattice.square(a, b),
    "edges": lambda a, b: lattice.from_edges(a, sites=b),
    "heisenberg": lambda a, b: models.heisenberg(RING, field=a, decay=b),
    "coupling": lambda a, b: models.heisenberg(RING, coupling=a, pump=b),
    "ising": lambda a, b: models.ising(RING, interaction=a, transverse=b),
    "custom": lambda a, b: models.custom(RING, hamiltonian=[{"on": "sites", "operator": a}], values={"J": b}),
    "places": lambda a, b: operators_on(RING, "sx(i)", on=a, at=b),
    "local": lambda a, b: operators.local(a, b),
    "levels": lambda a, b: level_amplitudes(a, 3, b),
    "product": lambda a, b: exact.product_state(a, 2 if b is None else 3),
}


@pytest.mark.parametrize("name", CALLS)
@settings(SLOWER, max_examples=EXAMPLES or 40)
@given(first=ARGUMENTS, second=ARGUMENTS)
def test_any_argument_is_taken_or_refused_in_a_sentence(name, first, second):
    if (
        isinstance(first, int)
        and name in ("chain", "square")
        and (first > 50 or (isinstance(second, int) and second > 50))
    ):
        return  # a lattice as large as that is no mistake
    assert_sentence(sentence_of(lambda: CALLS[name](first, second)))


def test_all_messages_read_well(capsys):
    """Shows the messages that the fuzz finds: `pytest -s -k read_well`."""
    found = set()

    @settings(QUICK, max_examples=300, derandomize=True)
    @given(mutated())
    def search(problem):
        with contextlib.suppress(NeurhoError):
            text = sentence_of(lambda: config.validate(problem, "p.toml"))
            if text:
                found.add(text)

    search()
    with capsys.disabled():
        if os.environ.get("NEURHO_FUZZ"):
            print(*sorted(found), sep="\n")
    assert len(found) > 60, "the mutations must reach many different refusals"
    for text in found:
        assert_sentence(text)
        assert text.startswith("In `p.toml`, "), text
