"""The problem file: what is accepted, what is filled in, and the one sentence for everything else."""

import re

import pytest

from neurho import config
from neurho._types import NeurhoError
from neurho.config.files import identity

SMALL = """
[lattice]
kind = "chain"
shape = [4]
[model]
kind = "heisenberg"
[ansatz]
kind = "rbm"
hidden = 4
mixing = 4
[initial]
bloch = [0, 0, 1]
[sampling]
kind = "metropolis"
samples = 100
chains = 10
[task]
kind = "evolve"
t = 1.0
method = "heun"
dt = 0.1
"""


def small(*overrides, tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return config.load(file, overrides)


# --set text, what must stand in the sentence. One row per rule of the schema.
WRONG = [
    ("seed=-1", "key `seed` must be a whole number >= 0, but it is -1."),
    ("seed=1.5", "key `seed` must be a whole number >= 0, but it is 1.5."),
    ("lattise.shape=[2]", "table `lattise` is not known; did you mean `lattice`?"),
    ("lattice.shap=[2]", 'key `lattice.shap` is not known for kind "chain"; did you mean `lattice.shape`?'),
    (
        "lattice.kind=chian",
        'key `lattice.kind` must be "chain", "square", "triangular" or "edges", but it is "chian"; did',
    ),
    (
        "lattice.shape=[4,4]",
        "key `lattice.shape` must be one whole number >= 1 in brackets, as in [16], but it is [4, 4].",
    ),
    ("lattice.shape=[0]", "key `lattice.shape` must be one whole number >= 1 in brackets, as in [16], but it is [0]."),
    ("lattice.periodic=1", "key `lattice.periodic` must be true or false, but it is 1."),
    ("lattice=3", "`lattice` must be a table [lattice], but it is 3."),
    (
        "model.decay=-0.5",
        "key `model.decay` must be a finite number >= 0, or one for each site of the lattice, but it is -0.5.",
    ),
    ("model.decay=[1,1,-1,1]", "key `model.decay` must be a finite number >= 0, or one for each site of the lattice"),
    ("model.decay=[1,1]", "key `model.decay` must have one entry for each of the 4 sites, but it has 2."),
    ("model.pump=true", "key `model.pump` must be a finite number >= 0"),
    (
        "model.field=[1,2]",
        "key `model.field` must be three numbers (x, y, z), or three for each site, but it is [1, 2].",
    ),
    ("model.field=[[1,2,3]]", "key `model.field` must have one entry for each of the 4 sites, but it has 1."),
    ("model.coupling=[1,0,nan]", "key `model.coupling` must be three numbers"),
    (
        "model.gamma=1",
        '`model.gamma` is not known for kind "heisenberg"; known are field, coupling, decay, pump, dephasing, pulses.',
    ),
    ("ansatz.hidden=-1", "key `ansatz.hidden` must be a whole number >= 0, but it is -1."),
    ("ansatz.hidden='4'", 'key `ansatz.hidden` must be a whole number >= 0, but it is "4".'),
    (
        "initial.bloch=[1,1,0]",
        "key `initial.bloch` must lie in the unit ball, |r| <= 1, but one vector is [1.0, 1.0, 0.0].",
    ),
    ("initial.bloch=[[1,0,0]]", "key `initial.bloch` must have one entry for each of the 4 sites, but it has 1."),
    ("initial.noise=-1", "key `initial.noise` must be a finite number >= 0, but it is -1."),
    ("initial.tilt=1", "key `initial.tilt` must be a number > 0 and < 0.5, but it is 1."),
    ("sampling.samples=0", "key `sampling.samples` must be a whole number >= 1, but it is 0."),
    (
        "sampling.samples=105",
        "key `sampling.samples` must be a multiple of sampling.chains, but it is 105 with 10 chains.",
    ),
    (
        "sampling.diagonal_samples=5",
        "key `sampling.diagonal_samples` must be a multiple of sampling.chains, but it is 5 with 10",
    ),
    ("sampling.dt=5", 'key `sampling.dt` is not known for kind "metropolis"; did you mean `task.dt`?'),
    ("task.kind=evolution", 'key `task.kind` must be "evolve" or "stationary", but it is "evolution"'),
    ("task.t=0", "key `task.t` must be a finite number > 0, but it is 0."),
    ("task.t=inf", "key `task.t` must be a finite number > 0, but it is"),
    ("task.method=rk5", 'but it is "rk5"; did you mean `rk4`?'),
    ("task.tolerance=1e-3", 'key `task.tolerance` must be left out, but method "heun" does not use it.'),
    ("task.cutoff=1e-3", 'key `task.cutoff` must be left out, but solver "ridge" does not use it.'),
    ("sampling.exponent=3", 'key `sampling.exponent` must be a number > 0 and <= 2, or "auto", but it is 3.'),
    ("sampling.exponent=auto", 'key `sampling.exponent` must be a number for method "heun", but it is "auto".'),
    ("sampling.blur=auto", 'key `sampling.blur` must be a number for method "heun", but it is "auto".'),
    ("sampling.blur=automatic", 'key `sampling.blur` must be a number >= 0 and < 1, or "auto", but it is "automatic".'),
    ("task.cutoff=2", "key `task.cutoff` must be a number > 0 and < 1, but it is 2."),
    ("task.times=[0.2,0.1]", "key `task.times` must increase, but it is [0.2, 0.1]."),
    ("task.times=[0.2,2]", "key `task.times` must end at or before task.t = 1, but its last entry is 2."),
    ("task.times=[]", "key `task.times` must be a list of increasing numbers >= 0, not empty, but it is []."),
    ("task.points=1", "key `task.points` must be a whole number >= 2, but it is 1."),
    ("observables.bond=true", "key `observables.bond` is not known; did you mean `observables.bonds`?"),
    ("observables.pairs=[[0,9]]", "key `observables.pairs` must hold pairs of different sites from 0 to 3, but one is"),
    ("observables.pairs=[[1,1]]", "different sites from 0 to 3, but one is [1, 1]."),
    ("observables.pairs=[0]", "key `observables.pairs` must be pairs of different sites, as in [[0, 1], [3, 7]], but"),
    ("output.keep=0", "key `output.keep` must be a whole number >= 1, but it is 0."),
    ("output.checkpoint_seconds=-1", "key `output.checkpoint_seconds` must be a finite number >= 0, but it is -1."),
    ("task.t", "must be key=value without spaces, as in --set task.t=1.0, but it is `task.t`."),
    ("a..c=1", "must be key=value without spaces, as in --set task.t=1.0, but it is `a..c=1`."),
]


@pytest.mark.parametrize(("override", "sentence"), WRONG, ids=[row[0] for row in WRONG])
def test_one_sentence_for_each_wrong_value(tmp_path, override, sentence):
    with pytest.raises(NeurhoError) as caught:
        small(override, tmp_path=tmp_path)
    message = str(caught.value)
    assert sentence in message
    assert "\n" not in message
    assert message.endswith((".", "?"))


def test_evolutions_follow_the_flow_by_adaptive_steps_unless_told():
    left_out = config.loads(SMALL.replace('method = "heun"\n', "").replace("dt = 0.1\n", ""))
    asked = config.loads(SMALL.replace('method = "heun"', 'method = "bosh3"').replace("dt = 0.1", "tolerance = 1e-3"))
    assert left_out.task == asked.task
    assert left_out.task.dt == left_out.task.tolerance == 1e-3


def test_message_names_the_file(tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(SMALL.replace("t = 1.0", "t = -1.0"))
    with pytest.raises(
        NeurhoError, match=re.escape(f"In `{file}`, key `task.t` must be a finite number > 0, but it is -1.0.")
    ):
        config.load(file)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("samples = 100", "", "key `sampling.samples` is missing; it must be a whole number >= 1."),
        (
            "chains = 10",
            "chain = 10",
            'key `sampling.chain` is not known for kind "metropolis"; did you mean `sampling.chains`?',
        ),
        ("dt = 0.1", "", 'key `task.dt` must be given for method "heun", which has fixed steps, but it is missing.'),
        (
            'kind = "heisenberg"',
            "",
            '`model.kind` is missing; it must be "heisenberg", "xyz", "ising", "dephasing", "processor" or "custom".',
        ),
        ('[model]\nkind = "heisenberg"\n', "", "the table [model] is missing."),
        ("[initial]\nbloch = [0, 0, 1]\n", "", 'key `initial` must be a table of its own for task.kind = "evolve"'),
        (
            '[ansatz]\nkind = "rbm"\nhidden = 4\nmixing = 4\n',
            "",
            'key `ansatz` must be a table of its own unless task.method is "exact" or another method '
            'without a network, but it is missing for "heun".',
        ),
        ("shape = [4]", "shape = [4", "the TOML is not valid:"),
        (
            "t = 1.0",
            "t = 1.0\ntimes = [0.5]\npoints = 3",
            "key `task.points` must be left out where task.times is given",
        ),
    ],
)
def test_sentences_for_whole_files(old, new, sentence):
    assert old in SMALL
    with pytest.raises(NeurhoError) as caught:
        config.loads(SMALL.replace(old, new))
    assert sentence in str(caught.value)


def test_toml_syntax_error_names_the_line():
    with pytest.raises(NeurhoError, match="line 2"):
        config.loads("seed = 1\nlattice = [\x00")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["lattice.shape=[12]", "sampling.kind=enumeration"], 'have at most 7 sites for sampling.kind = "enumeration"'),
        (["lattice.shape=[7]", "ansatz.kind=table"], 'have at most 6 sites for ansatz.kind = "table"'),
        (
            ["lattice.shape=[8]", "observables.reference=exact"],
            'have at most 7 sites for observables.reference = "exact"',
        ),
        (["lattice.shape=[8]", "sampling.kind=enumeration", "observables.reference=exact"], "have at most 7 sites"),
        (["lattice.shape=[13]", "task.method=exact"], 'have at most 12 sites for task.method = "exact"'),
    ],
)
def test_too_many_sites(tmp_path, overrides, sentence):
    with pytest.raises(NeurhoError, match=re.escape(sentence)) as caught:
        small(*overrides, tmp_path=tmp_path)
    assert re.search(r"but it has N = \d+; .* for (more|up to 9)\.$", str(caught.value))


def test_edges_and_their_sites():
    lattice = 'kind = "edges"\nedges = [[0, 1], [1, 5]]'
    text = SMALL.replace('kind = "chain"\nshape = [4]', lattice)
    with pytest.raises(NeurhoError, match=r"`lattice\.edges` must reach all .*, but sites 2, 3, 4 have no bond"):
        config.loads(text)
    assert config.loads(text.replace("[1, 5]]", "[1, 2]]")).sites == 3
    assert config.loads(text.replace("[1, 5]]", "[1, 5]]\nsites = 8")).sites == 8
    with pytest.raises(NeurhoError, match="must be at least 6, which the edges need, but it is 3"):
        config.loads(text.replace("[1, 5]]", "[1, 5]]\nsites = 3"))


def test_unreadable_sources(tmp_path):
    with pytest.raises(NeurhoError, match="is a directory"):
        config.load(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NeurhoError, match="is not text"):
        config.load(tmp_path / "binary.toml")
    with pytest.raises(NeurhoError, match="no shipped problem `fig22`; did you mean `fig2`"):
        config.load("fig22")
    with pytest.raises(NeurhoError, match="shipped are fig2"):
        config.load("zzz")


def test_defaults_are_resolved_and_survive_a_round_trip(tmp_path):
    problem = small(tmp_path=tmp_path)
    assert problem.sampling.diagonal_samples == 100
    assert problem.initial == config.Product(kind="product", bloch=(0.0, 0.0, 1.0), noise=0.01, tilt=1e-3)
    assert (problem.task.ridge, problem.task.cutoff, problem.task.points) == (1e-3, None, 101)
    again = config.loads(config.dumps(problem))
    assert again == problem
    assert "diagonal_samples = 100" in config.dumps(problem)
    assert "bloch = [0.0, 0.0, 1.0]" in config.dumps(problem)


@pytest.mark.parametrize("name", ["fig2", "fig2-paper", "fig3", "fig3-paper"])
def test_shipped_problems_load_and_round_trip(name):
    problem = config.load(name)
    assert config.shipped()[name].startswith(("Dynamics", "Stationary"))
    assert config.loads(config.dumps(problem)) == problem


def test_shipped_problems_are_the_papers():
    ring, chain = config.load("fig2-paper"), config.load("fig3-paper")
    assert (ring.sites, ring.lattice.periodic, ring.model.field, ring.model.coupling) == (
        5,
        True,
        (0, 0, 10),
        (20, 0, 10),
    )
    assert (chain.sites, chain.lattice.periodic, chain.model.field, chain.model.coupling) == (
        16,
        False,
        (0, 0, 10),
        (1, 0, 0),
    )
    assert (ring.ansatz.hidden, ring.ansatz.mixing, chain.ansatz.hidden, chain.ansatz.mixing) == (20, 20, 12, 12)


def test_overrides_replace_and_drop_what_no_longer_applies(tmp_path):
    problem = small("sampling.kind=enumeration", "task.t=2", tmp_path=tmp_path)
    assert isinstance(problem.sampling, config.Enumeration)
    assert problem.task.t == 2.0
    exact = small("task.method=exact", tmp_path=tmp_path)
    assert exact.task.dt is None
    adaptive = small("task.method=bosh3", "task.tolerance=1e-2", "task.solver=snr", tmp_path=tmp_path)
    assert (adaptive.task.dt, adaptive.task.snr, adaptive.task.ridge) == (0.1, 2.0, None)
    assert adaptive.task.adaptive
    # What the user sets himself is never dropped in silence.
    with pytest.raises(NeurhoError, match="does not use it"):
        small("task.method=exact", "task.dt=0.1", tmp_path=tmp_path)


def test_another_kind_of_method_does_not_inherit_what_means_something_else_there():
    assert config.load("fig2", ["task.method=bosh3"]).task.tolerance == 1e-3
    assert config.load("fig2", ["task.method=projected"]).task.tolerance == 1e-3
    assert config.load("fig2", ["task.method=correlators"]).task.tolerance == 1e-7
    assert config.load("fig2", ["task.method=matrix-product"]).task.dt is None
    assert config.load("fig2", ["task.method=correlators", "task.tolerance=1e-5"]).task.tolerance == 1e-5


def test_fingerprint_depends_on_the_physics_and_not_on_the_output(tmp_path):
    one = config.fingerprint(small(tmp_path=tmp_path))
    assert one == config.fingerprint(small("output.keep=7", tmp_path=tmp_path))
    assert one != config.fingerprint(small("seed=2", tmp_path=tmp_path))
    assert one != config.fingerprint(small("model.decay=1.0000000001", tmp_path=tmp_path))
    assert one == config.fingerprint(config.loads(config.dumps(small(tmp_path=tmp_path)))), "defaults written out"


def test_a_problem_is_told_apart_by_what_differs_from_defaults(tmp_path):
    """So that a version with more keys resumes the runs of one with fewer."""
    plain, changed = (identity(small(*extra, tmp_path=tmp_path))["initial"] for extra in ((), ("initial.fit=3",)))
    assert "fit" not in plain
    assert changed == plain | {"fit": 3}


def test_configs_are_frozen(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        small(tmp_path=tmp_path).task.t = 3.0


def test_all_that_is_wrong_is_said_at_once():
    text = SMALL.replace('kind = "heisenberg"', 'kind = "heisenberg"\nfild = [1.0, 0.0, 0.0]\ndecay = -1.0')
    text = text.replace("hidden = 4", "hiden = 4").replace("t = 1.0", "t = -1.0").replace("[lattice]", "[latice]")
    with pytest.raises(NeurhoError) as caught:
        config.loads("seed = -1\n" + text, "here")
    first, *rest = str(caught.value).split("\n  ")
    assert first == "In `here`, 6 things are wrong:"
    assert [line.split("`")[1] for line in rest] == [
        "latice",
        "model.fild",
        "model.decay",
        "ansatz.hiden",
        "task.t",
        "seed",
    ]


def test_all_that_does_not_fit_together_is_said_at_once(tmp_path):
    wrong = ("lattice.shape=[8]", "sampling.kind=enumeration", "model.decay=[1,2]", "initial.bloch=[0,0,2]")
    with pytest.raises(NeurhoError) as caught:
        small(*wrong, tmp_path=tmp_path)
    assert [line.split("`")[1] for line in str(caught.value).split("\n  ")[1:]] == [
        "lattice",
        "model.decay",
        "initial.bloch",
    ]
    assert 'set sampling.kind = "metropolis" and sampling.samples for more' in str(caught.value)
    with pytest.raises(NeurhoError, match=r"task\.u(.|\n)*task\.v"):
        small("task.u.v=1", "task.v.w=1", tmp_path=tmp_path)


def test_samples_bring_their_chains():
    text = SMALL.replace("chains = 10\n", "").replace("samples = 100", "samples = 1024")
    assert config.loads(text).sampling.chains == 64
    # What divides both: 1024 and 96 share 32, of which each chain keeps 4 and more at 16 chains.
    assert config.loads(text.replace("samples = 1024", "samples = 1024\ndiagonal_samples = 96")).sampling.chains == 16
    with pytest.raises(NeurhoError, match=r"key `sampling\.samples` is missing") as caught:
        config.loads(text.replace("samples = 1024", ""))
    assert "chains" not in str(caught.value)


def test_values_of_changes_may_be_written_as_on_paper(tmp_path):
    changed = small("task.t=2.", "model.field=[1.,.5,-.25]", tmp_path=tmp_path)
    assert (changed.task.t, changed.model.field) == (2.0, (1.0, 0.5, -0.25))


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("model.field=0.2:0.8:4", "; first:last:number is for `neurho sweep`."),
        ("task.t=2,5", "; numbers are written with a point, as in 2.5."),
        ("task.times=0:1:5", "; equally spaced times are `task.points`, as in task.points=11."),
        ("model.field=0.2", "; one of the three is `model.field.0`, `model.field.1` or `model.field.2`."),
    ],
)
def test_a_scalar_or_a_range_in_the_place_of_a_vector(tmp_path, change, hint):
    with pytest.raises(NeurhoError, match=re.escape(hint)):
        small(change, tmp_path=tmp_path)


@pytest.mark.parametrize(
    ("shape", "kind", "method"),
    [
        ((8,), "evolve", "exact"),
        ((9,), "evolve", "correlators"),
        ((7,), "stationary", "exact"),
        ((4, 4), "stationary", "correlators"),
    ],
)
@pytest.mark.parametrize("asked", ["", 'method = "auto"\n'])
def test_a_problem_without_a_network_finds_its_method(shape, kind, method, asked):
    lattice = "chain" if len(shape) == 1 else "square"
    text = f'[lattice]\nkind = "{lattice}"\nshape = {list(shape)}\n[model]\nkind = "xyz"\ncoupling = [0.9, 1.2, 1.0]\n'
    text += f'[initial]\nkind = "product"\nbloch = "up"\n[task]\nkind = "{kind}"\n{asked}'
    found = config.loads(text + ("t = 1.0\n" if kind == "evolve" else ""))
    assert found.task.method == method
    assert config.loads(config.dumps(found)) == found
