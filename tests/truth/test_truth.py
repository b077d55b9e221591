"""What a run is compared with: which method is chosen, what it finds, what is kept, and how errors add up."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from neurho import config, reference, report, truth
from neurho._types import NeurhoError
from neurho.report.panels import draw_reference, new_figure
from neurho.run.problem import build
from neurho.truth import solution
from walks import call

PHYSICS = """
seed = {seed}
[lattice]
kind = "{lattice}"
shape = {shape}
periodic = {periodic}
[model]
kind = "heisenberg"
field = [0.0, 0.0, 1.0]
coupling = [0.9, 1.2, 1.0]
"""
START = """
[initial]
bloch = [1.0, 0.0, 0.0]
noise = {noise}
"""
NETWORK = """
[ansatz]
kind = "rbm"
hidden = {hidden}
mixing = 2
[sampling]
kind = "metropolis"
samples = 100
"""
TASKS = {
    "evolve": '[task]\nkind = "evolve"\nt = 0.5\ntimes = [0.0, 0.25, 0.5]\n',
    "stationary": '[task]\nkind = "stationary"\n',
}


def problem(shape, *, periodic=False, kind="evolve", method="", noise=0.1, hidden=2, seed=1):
    lattice = "chain" if len(shape) == 1 else "square"
    text = PHYSICS.format(seed=seed, lattice=lattice, shape=shape, periodic=str(periodic).lower())
    text += START.format(noise=noise) if kind == "evolve" else ""
    text += TASKS[kind] + (f'method = "{method}"\n' if method else "")
    text += "t_max = 100.0\n" if method == "trajectories" and kind == "stationary" else ""
    return build(config.loads(text if method else text + NETWORK.format(hidden=hidden)))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A user's cache directory for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "neurho" / "references"


def obtain(owner, choice):
    said = []
    return truth.obtain(owner, choice, watch=lambda state: None, say=said.append), said


@pytest.mark.parametrize(
    ("kind", "shape", "options", "expected"),
    [
        ("evolve", [4], {}, "exact"),
        ("stationary", [4], {}, "exact"),
        ("evolve", [4], {"method": "trajectories"}, "exact"),
        ("stationary", [4], {"method": "trajectories"}, "exact"),
        ("stationary", [4], {"method": "matrix-product"}, "exact"),
        ("evolve", [4], {"method": "correlators"}, "exact"),
        ("evolve", [4], {"method": "exact"}, "matrix-product"),
        ("stationary", [4], {"method": "exact"}, "matrix-product"),
        ("evolve", [4], {"method": "exact", "periodic": True}, "trajectories"),
        ("stationary", [4], {"method": "exact", "periodic": True}, "trajectories"),
        ("stationary", [10], {}, "matrix-product"),
        ("evolve", [10], {"method": "matrix-product"}, "trajectories"),
        ("evolve", [2, 5], {}, "matrix-product"),
        ("evolve", [3, 3], {"periodic": True}, "trajectories"),
    ],
)
def test_the_first_method_that_fits_and_is_another(kind, shape, options, expected):
    found = truth.choose(problem(shape, kind=kind, **options))
    assert found.method == expected
    assert found.problem is not None
    assert found.problem.config.task.method == expected
    cost = truth.cost_of(found.problem)
    assert 0 < cost.seconds < 2000
    assert cost.bytes > 1e5


def test_shipped_values_come_first():
    assert truth.choose(build(config.load("fig3"))).method == "shipped"


def test_what_no_method_reaches_is_said_with_what_would_do():
    with pytest.raises(NeurhoError) as caught:
        truth.choose(problem([21], periodic=True))
    for word in ('"exact"', "open chain", "at most 20 sites", "--reference correlators"):
        assert word in str(caught.value)
    assert truth.choose(problem([21], periodic=True), "correlators").method == "correlators"


@pytest.mark.parametrize("method", ["exact", "trajectories", "matrix-product", "correlators"])
def test_no_method_is_compared_with_itself(method):
    with pytest.raises(NeurhoError, match="another method"):
        truth.choose(problem([3], method=method), method)


@pytest.mark.parametrize("method", ["matrix-product", "trajectories", "correlators"])
def test_references_agree_with_the_exact_solution_within_their_errors(method):
    """4 standard errors of 400 trajectories, three values at two times: a false alarm in one of 2600 seeds."""
    owner = problem([2])
    exact = truth.solve(truth.choose(owner, "exact").problem, watch=lambda state: None)
    found = truth.solve(truth.choose(owner, method).problem, watch=lambda state: None)
    assert_allclose(found.t, [0.0, 0.25, 0.5])
    assert found.attrs["source"] == method
    assert_allclose(exact.sx[0], 1.0, atol=1e-12)  # the start that was asked for, without noise
    for name in ("sx", "sy", "sz"):
        error = np.maximum(found[f"{name}_error"].values, 1e-7)
        assert np.all(np.abs(found[name].values - exact[name].values) <= 4 * error)
        assert np.all(error < 0.06)
    assert (float(found.sz_error[-1]) > 1e-3) == (method == "trajectories")
    row = {row.name: row for row in report.deviations(exact, found)}["sz"]
    if method == "trajectories":  # the run has no error: that of the reference is the whole sigma
        sigmas = np.abs(found.sz - exact.sz)[1:] / found.sz_error[1:]
        assert_allclose(row.max_sigma, sigmas.max())


def test_a_stationary_state_has_no_times():
    owner = problem([2], kind="stationary")
    exact, products = (
        truth.solve(truth.choose(owner, method).problem, watch=lambda state: None)
        for method in ("exact", "matrix-product")
    )
    assert "t" not in products.dims
    assert abs(float(exact.sz - products.sz)) <= max(float(products.sz_error), 1e-6)
    assert abs(float(exact.sz) + 0.5) > 1e-3  # not what a lone spin, or nothing, would give


def test_a_reference_is_computed_once_for_all_networks(folder, monkeypatch):
    first = problem([2])
    choice = truth.choose(first, "exact")
    found, _ = obtain(first, choice)
    assert [file.name for file in folder.iterdir()] == [truth.place_of(choice.problem.config).name]
    monkeypatch.setattr(solution, "solve", None)  # what calls it now fails
    other = problem([2], hidden=6, noise=0.02, seed=5)
    again, _ = obtain(other, truth.choose(other, "exact"))
    xr.testing.assert_identical(found, again)
    with pytest.raises(TypeError):
        obtain(first, truth.choose(problem([2], periodic=True), "exact"))
    truth.place_of(choice.problem.config).write_bytes(b"half a fi")
    with pytest.raises(TypeError):
        obtain(first, choice)


def test_the_key_knows_model_lattice_start_times_method_and_version(monkeypatch):
    base = problem([2]).config
    changes = [
        {},
        {"model": {"coupling": (0.9, 1.2, 1.1)}},
        {"initial": {"bloch": (0.0, 1.0, 0.0)}},
        {"task": {"times": (0.0, 0.3, 0.5)}},
        {"lattice": {"shape": (3,)}},
        {"observables": {"correlations": True}},
    ]
    places = set()
    for change in changes:
        tables = {key: getattr(base, key).model_copy(update=value) for key, value in change.items()}
        places |= {
            truth.place_of(truth.choose(build(base.model_copy(update=tables)), method).problem.config)
            for method in ("exact", "matrix-product", "trajectories")
        }
    assert len(places) == 3 * len(changes)
    monkeypatch.setattr("neurho.truth.cache.metadata.version", lambda name: "0.0")
    assert truth.place_of(truth.choose(build(base), "exact").problem.config) not in places


def test_a_folder_that_cannot_be_written_costs_no_result(folder):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in the way")
    owner = problem([2])
    found, said = obtain(owner, truth.choose(owner, "exact"))
    assert float(found.sx[0]) == pytest.approx(1.0)
    assert "not kept" in said[0]


def test_errors_between_given_times_are_never_negative():
    reference = xr.Dataset(
        {"sz": ("t", np.zeros(5)), "sz_error": ("t", np.array([1.0, 0.0, 0.0, 0.0, 1.0]))}, coords={"t": np.arange(5.0)}
    )
    series = xr.Dataset({"sz": ("t", np.ones(41))}, coords={"t": np.linspace(0, 4, 41)})
    _, aligned = report.align(series, reference)
    assert float(aligned.sz_error.min()) == 0.0
    assert float(aligned.sz_error.sel(t=0.5)) == pytest.approx(0.5)


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_errors_of_a_reference_are_drawn(error):
    _, axes = new_figure(1, 2, width=4, height=2)
    curve = xr.Dataset({"sz": ("t", np.zeros(3)), "sz_error": ("t", np.full(3, error))}, coords={"t": np.arange(3.0)})
    draw_reference(axes[0, 0], curve, "sz", "grey", None)
    draw_reference(axes[0, 1], curve.isel(t=-1, drop=True), "sz", "grey", None)
    for axis in axes[0]:
        drawn = [*axis.collections, *axis.patches]
        assert len(drawn) == (1 if error else 0)
        for band in drawn:
            path = band.get_paths()[0] if axis.collections else band.get_path()
            corners = band.get_patch_transform().transform(path.vertices) if axis.patches else path.vertices
            assert_allclose([corners[:, 1].min(), corners[:, 1].max()], [-error, error])


RUN = PHYSICS.format(seed=1, lattice="chain", shape=[2], periodic="false") + START.format(noise=0.01) + TASKS["evolve"]


def test_compare_says_what_it_takes_and_keeps_it(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pair.toml").write_text(RUN + 'method = "exact"\n[observables]\nreference = "exact"\n')
    call("run", "pair.toml", "--quiet", "--out", "run")
    first = call("compare", "run", "--format", "png").output
    assert "another one is chosen" in first
    assert first.index("Reference: matrix-product (") < first.index("compared with matrix-product")
    assert " s and " in first
    assert len(list(folder.iterdir())) == 1
    assert "kept in" in call("compare", "run", "--format", "png").output
    assert "kept in" in call("plot", "run", "--format", "png").output
    assert "correlators (asked for)" in call("compare", "run", "--reference", "correlators", "--format", "png").output
    (tmp_path / "curves.csv").write_text("t, sz\n0,0.5\n0.5,0.5\n")
    assert "compared with" in call("compare", "run", "--reference", "curves.csv", "--format", "png").output
    for word in ("exact", "exat"):
        refused = call("compare", "run", "--reference", word, code=1)
        assert isinstance(refused.exception, NeurhoError)


def test_the_key_of_the_problem_file():
    text = RUN + 'method = "exact"\n[observables]\n'
    assert config.loads(text).observables.reference == "none"
    assert config.loads(text + "exact = true").observables.reference == "exact"
    assert config.loads(text + "exact = false").observables.reference == "none"
    assert config.loads(text + 'reference = "./curves.csv"').observables.reference == "./curves.csv"
    with pytest.raises(NeurhoError, match=r'`observables.reference` must be "none", "auto", .*"exat"'):
        config.loads(text + 'reference = "exat"')
    with pytest.raises(NeurhoError, match=r"be left out where observables\.reference is given"):
        config.loads(text + 'reference = "auto"\nexact = true')


TORUS = """
[lattice]
kind = "square"
shape = [4, 4]
periodic = true
[model]
kind = "xyz"
coupling = [0.9, {jy}, 1.0]
[initial]
bloch = "up"
[task]
"""


@pytest.mark.parametrize(
    ("jy", "truth", "error"),
    [
        (1.0, -0.95890, 0.00029),  # by correlators of five sites
        (1.2, -0.4909, 0.0021),  # by trajectories in the basis of sites
    ],
)
def test_the_torus_agrees_with_what_other_methods_find(jy, truth, error):
    """Within 3.5 sigma of both together: false alarm 5e-4 each, but the numbers are fixed."""
    found = reference.shipped(config.loads(TORUS.format(jy=jy) + 'kind = "stationary"\nmethod = "correlators"\n'))
    assert abs(float(found.sz) - truth) < 3.5 * np.hypot(float(found.sz_error), error)
    assert float(found.structure_zz) == pytest.approx(float(found.szsz), abs=0.05)
    assert found.attrs["source"].startswith("quantum trajectories, ")


def test_the_quench_of_the_torus_begins_as_correlators_say():
    """Strings of four sites are good to 1e-3 at t = 0.2; 3.5 sigma of seven values: 0.3 % a seed."""
    text = TORUS.format(jy=1.2) + 'kind = "evolve"\nt = 0.2\npoints = 2\nmethod = "correlators"\nweight = 4\n'
    settings = config.loads(text + "[observables]\nstructure = true\n")
    shipped = reference.shipped(settings)
    assert float(shipped.sz[0]) == 1
    assert np.all(shipped.sz_error[1:] > 0)
    *_, last = build(settings).snapshots()
    for name in map(str, shipped.data_vars):
        if not name.endswith("_error"):
            mean, error = (float(shipped[key].sel(t=0.2)) for key in (name, f"{name}_error"))
            assert abs(float(last.observables[name].mean) - mean) < 3.5 * error + 1e-3, name


@pytest.mark.parametrize(
    ("old", "new"), [("0.9", "0.8"), ('"up"', '"down"'), ("t = 2", "t = 5"), ("true", "false"), ("1.2", "1.3")]
)
def test_other_quenches_have_no_shipped_values(old, new):
    text = TORUS.format(jy=1.2) + 'kind = "evolve"\nt = 2\nmethod = "correlators"\n'
    assert reference.shipped(config.loads(text)) is not None
    assert reference.shipped(config.loads(text.replace(old, new))) is None
