"""Problem files that name a network in a Python file: it runs where it is trusted, and a changed file is noticed."""

from itertools import islice

import equinox as eqx
import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import neurho
from neurho import NeurhoError, cli, config, records, sweep
from neurho.matrix_elements.networks import ModuleAnsatz
from neurho.records.code import _executed

CODE = """
import equinox as eqx
import jax
import jax.numpy as jnp
from neurho.matrix_elements.networks import Hermitian, from_module

print("the code has run")

class Deep(eqx.Module):
    net: eqx.nn.MLP

    def __init__(self, sites, local_dim, key, width=3):
        self.net = eqx.nn.MLP(2 * sites, 2, width, 1, jnp.tanh, key=key)

    def __call__(self, left, right):
        one, other = self.net(jnp.concatenate([left, right])), self.net(jnp.concatenate([right, left]))
        return one + other * jnp.array([1.0, -1.0])

def hermitian(sites, local_dim, key):
    return from_module(Deep(sites, local_dim, key), sites=sites, hermitian=True)

def pair(sites, local_dim, key):
    return (lambda p, l, r: p @ (l + r)), jnp.ones(sites)

def smaller(sites, local_dim, key):
    return from_module(Deep(sites - 1, local_dim, key), sites=sites - 1)

def nothing(sites, local_dim, key):
    return 3

def broken(sites, local_dim, key):
    raise KeyError("the weights")

number = 3
"""

PROBLEM = """
[lattice]
kind = "chain"
shape = [3]
[model]
kind = "heisenberg"
field = [0.6, 0.1, 0.3]
coupling = [0.5, 0.2, 0.4]
[ansatz]
kind = "python"
module = "nets/own.py:hermitian"
[initial]
bloch = [1.0, 0.0, 0.0]
fit = 20
[sampling]
kind = "enumeration"
[task]
kind = "evolve"
t = 0.02
points = 3
tolerance = 1e-3
solver = "ridge"
ridge = 1e-6
[observables]
reference = "exact"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A problem beside a folder with the code, and another folder to work in."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "own.py").write_text(CODE)
    (tmp_path / "own.toml").write_text(PROBLEM)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def said(*words):
    found = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert isinstance(found.exception, NeurhoError), found.output
    return str(found.exception)


def test_nothing_runs_without_trust(place, capsys):
    for words in (["run", place / "own.toml"], ["run", place / "own.toml", "--check"]):
        assert "own.py`: give `--trust`" in said(*words)
    grid = said("sweep", place / "own.toml", "task.t=0.01,0.02", "--out", "grid")
    assert "own.py`: give `--trust`" in grid
    with pytest.raises(NeurhoError, match="give `--trust`"):
        sweep.run_point("point", config.dumps(config.load(place / "own.toml")))
    built = neurho.build(config.load(place / "own.toml"))  # to look at
    for action in (lambda: built.driver.initial, lambda: next(built.snapshots()), built.describe):
        with pytest.raises(NeurhoError, match=r"own.py`: give `--trust` \(from Python, trust=True\)"):
            action()
    assert list((place / "work").iterdir()) == []
    assert "the code has run" not in capsys.readouterr().out


def test_check_with_trust(place):
    found = CliRunner().invoke(cli.app, ["run", str(place / "own.toml"), "--check", "--trust"])
    assert found.exit_code == 0, found.output
    assert "29" in found.output  # parameters: 7 * 3 + 4 * 2


@pytest.mark.slow
def test_a_run_is_close_to_exact_and_goes_on_bit_for_bit(place):
    settings = config.load(place / "own.toml")
    built = neurho.build(settings, trust=True)
    assert isinstance(built.driver.initial.ansatz, ModuleAnsatz)
    assert np.sum(np.asarray(built.driver.samplers[0].multiplicity)) == 64
    assert len(built.driver.samplers[0].configurations) == 36  # half, since it is Hermitian
    every = list(built.snapshots())
    assert every[0].diagnostics["preparation"] < 0.01
    assert every[-1].diagnostics["delta_rho"] < 0.05
    facts = {"fingerprint": config.fingerprint(settings)}
    run = records.create("run", config.dumps(settings), seed=0, **facts)
    for snapshot in islice(built.snapshots(), 2):
        run.record(snapshot)
    run.save()
    again = neurho.build(config.loads(records.read_problem("run")), trust=True)
    state = records.reopen("run", fingerprint=config.fingerprint(again.config)).restore(again.template())
    (last,) = again.snapshots(state)
    for one, other in zip(jax.tree.leaves(last.state), jax.tree.leaves(every[-1].state), strict=True):
        np.testing.assert_array_equal(one, other)

    summary = sweep.run_point("point", config.dumps(settings), trust=True)
    assert summary["observables"]["sx"]["mean"] == every[-1].observables["sx"].mean

    # what else reads a run directory
    assert "give `--trust`" in said("export", "run")
    CliRunner().invoke(cli.app, ["export", "run", "--trust"], catch_exceptions=False)
    network = neurho.networks.last_network("run", trust=True)
    assert eqx.tree_equal(records.load_parameters("run/parameters.npz", like=network), network)
    more = config.load(place / "own.toml", {"initial": {"kind": "state", "run": "run"}})
    assert eqx.tree_equal(neurho.build(more, trust=True).driver.initial.ansatz, network)
    wider = {"initial": {"kind": "state", "run": "run"}, "ansatz.arguments": {"width": 4}}
    wider |= {"ansatz.module": f"{place}/nets/own.py:Deep"}
    with pytest.raises(NeurhoError, match="its network has other arrays"):
        neurho.build(config.load(place / "own.toml", wider), trust=True)

    # a changed file
    (place / "nets" / "own.py").write_text(CODE + "\n# another\n")
    other = config.load(place / "own.toml")
    assert config.fingerprint(other) != config.fingerprint(settings)
    _executed.cache_clear()  # as in another process
    assert "give `--trust`" in said("resume", "run")
    assert "own.py` has changed since this problem was first read" in said("resume", "run", "--trust")
    shown = CliRunner().invoke(cli.app, ["show", "run"])
    assert shown.exit_code == 0  # what was found is there without the code
    assert float(neurho.build(settings).reference().sx[0]) == pytest.approx(1)


def test_what_a_name_may_make(place):
    """A class with arguments, a function with its parameters: what is no network goes through from_module."""
    changes = {"ansatz.module": "../nets/own.py:Deep", "ansatz.arguments": {"width": 5}}
    (place / "work" / "own.toml").write_text(PROBLEM)
    wide = neurho.build(config.load("own.toml", changes), trust=True)
    assert neurho.networks.parameter_count(wide.driver.initial.ansatz) == 7 * 5 + 6 * 2
    changes = {"ansatz.module": "../nets/own.py:pair", "initial": {"kind": "random"}}
    pair = neurho.build(config.load("own.toml", changes), trust=True)
    assert neurho.networks.parameter_count(pair.driver.initial.ansatz) == 3


def test_a_sha256_can_be_given(place):
    """Then the path is still that from the problem file, and another file is refused."""
    found = config.load(place / "own.toml").ansatz
    pinned = config.load(place / "own.toml", {"ansatz.sha256": found.sha256}).ansatz
    assert (pinned, pinned.path) == (found, place / "nets" / "own.py")
    with pytest.raises(NeurhoError, match=r"own.py` has changed since"):
        neurho.build(config.load(place / "own.toml", {"ansatz.sha256": "0" * 64}), trust=True)
    exact = {"task": {"kind": "evolve", "t": 0.1, "method": "exact"}, "sampling.kind": "enumeration"}
    config.require_trust(config.load(place / "own.toml", exact), trust=False)  # needs no network


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ansatz.module": "nets/own.py:none"}, "must have a class or function `none`, but it has none"),
        ({"ansatz.module": "nets/own.py:number"}, "must have a class or function `number`, but it is none"),
        ({"ansatz.module": "nets/own.py:smaller"}, "make a network of 3 sites with 2 levels, but it has 2 with 2"),
        ({"ansatz.module": "nets/own.py:nothing"}, "be a function, or a module that can be called, but it is 3"),
        ({"ansatz.module": "nets/own.py:broken"}, "run without an error, but it raises KeyError: 'the weights'"),
        ({"ansatz.arguments": {"colour": 1}}, "`hermitian` in .* raises TypeError: hermitian.* 'colour'"),
        ({"ansatz.arguments": {"key": 1}}, "`ansatz.arguments.key` must be left out: the problem says it"),
        ({"ansatz.module": "nets/none.py:hermitian"}, "`ansatz.module` must name a file that .* No such file"),
        ({"ansatz.module": "nets/own.py"}, "`ansatz.module` must be a file and a name within it"),
        ({"ansatz.module": 3}, "`ansatz.module` must be a file and a name within it"),
        ({"ansatz.width": 3}, 'key `ansatz.width` is not known for kind "python"'),
        ({"initial.fit": 0}, r"`initial.fit` must be at least 1 for ansatz.kind = .python., .* but it is 0"),
        ({"initial": {"kind": "mean-field"}}, "`initial.kind` must be another one unless ansatz.kind"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_sentence(place, changes, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        neurho.build(config.load(place / "own.toml", changes), trust=True)


def test_code_that_does_not_run(place):
    (place / "nets" / "own.py").write_text("import no_such_package\n")
    with pytest.raises(NeurhoError, match=r"own.py` must run without an error, but it raises ModuleNotFoundError"):
        neurho.build(config.load(place / "own.toml"), trust=True)
