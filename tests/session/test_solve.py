"""From Python: every method against closed forms, states by name, records, resuming, Ctrl-C, and what is refused."""

import re
from itertools import pairwise

import numpy as np
import pytest
import qutip
from numpy.testing import assert_allclose, assert_array_equal

import neurho
from neurho import NeurhoError, config, exact
from neurho.model.bloch import NAMED_STATES
from neurho.records import read_problem, read_series, read_summary
from walks import call

PAIR, THREE = neurho.chain(2), neurho.chain(3)
DECAY = neurho.heisenberg(PAIR, decay=0.7)
"""Two spins that decay by themselves: from "+x" sx(t) = exp(-0.35 t), sz(t) = exp(-0.7 t) - 1."""
MODEL = neurho.xyz(THREE)
TIMES = [0.0, 0.25, 0.5]
FEW = {"ansatz": {"hidden": 2, "mixing": 2}, "sampling": {"kind": "enumeration"}}
METHODS = {
    "exact": ({}, 1e-7),
    "correlators": ({}, 1e-6),
    "matrix-product": ({"bond": 16}, 1e-6),
    "trajectories": ({"trajectories": 200}, None),
    "flow": (FEW, 5e-3),
    "projected": (FEW, 5e-3),
}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_follows_decay(method):
    """False alarms of the trajectories: 5 standard errors of a mean, at a fixed seed."""
    options, tolerance = METHODS[method]
    times = np.array([0.0, 0.05, 0.1])
    result = neurho.solve(DECAY, "+x", times, method=method, **options)
    assert result.finished
    assert_array_equal(result.dataset.t, times)
    for name, truth in {"sx": np.exp(-0.35 * times), "sz": np.exp(-0.7 * times) - 1}.items():
        allowed = 5 * result.dataset[f"{name}_error"].values + 1e-12 if tolerance is None else tolerance
        assert np.all(np.abs(result.dataset[name].values - truth) <= allowed)
    assert float(result["sz"].mean) == float(result.dataset.sz[-1])


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("exact", {}),
        ("correlators", {}),
        ("matrix-product", {"bond": 16}),
        ("trajectories", {"trajectories": 64, "t_max": 60.0}),
        pytest.param("continuation", {"ansatz": {"hidden": 2, "mixing": 2}}, marks=pytest.mark.slow),
        ("flow", {"t_max": 0.02, "points": 2, **FEW}),
    ],
)
def test_every_method_finds_a_stationary_state(method, options):
    """False alarms of the trajectories: 5 standard errors of a mean, at a fixed seed."""
    model = neurho.xyz(PAIR)
    result = neurho.stationary(model, method=method, **options)
    truth = exact.expectations(exact.stationary_state(model).rho, model)["sz"]
    if method == "flow":  # has hardly begun, and says so
        assert not result.finished
        assert result.verdict == "do not use"
        return
    error = float(result["sz"].error)
    assert abs(float(result["sz"].mean) - truth) < max(5 * error, {"continuation": 1e-2}.get(method, 1e-4))


def test_auto_says_why():
    small = neurho.solve(DECAY, "up", 0.1, points=2)
    assert (small.method, "up to 256" in small.why) == ("exact", True)
    large = neurho.solve(neurho.heisenberg(neurho.chain(9), decay=0.7), "up", 0.1, points=2, strings=500)
    assert (large.method, "more than 256" in large.why) == ("correlators", True)
    asked = neurho.solve(DECAY, "up", 0.1, points=2, method="exact")
    assert asked.why == "asked for"
    for found in (small, large):
        assert f"Method: {found.method}, chosen because {found.why}." in repr(found)
    assert config.fingerprint(small.problem.config) == config.fingerprint(asked.problem.config)


def test_a_file_says_why_too(tmp_path):
    text = '[lattice]\nkind = "chain"\nshape = [2]\n[model]\nkind = "xyz"\n[task]\nkind = "stationary"\n'
    settings = config.loads(text)
    assert settings.task.method == "exact"
    assert "takes seconds" in settings.task.reason
    assert config.loads(config.dumps(settings)) == settings
    result = neurho.stationary(settings, out=tmp_path / "run")
    truth = exact.expectations(exact.stationary_state(result.problem.lindbladian).rho, result.problem.lindbladian)
    assert float(result["sz"].mean) == pytest.approx(truth["sz"], abs=1e-12)
    assert "reason = " in read_problem(tmp_path / "run")


def start(initial, model=MODEL, **options):
    """The density matrix with which a run begins."""
    return neurho.solve(model, initial, 1e-3, points=2, callback=stop_at(0), **options).density_matrix()


def stop_at(t):
    def callback(snapshot):
        if snapshot.t >= t:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("name", NAMED_STATES)
def test_states_by_name(name):
    up, plus, right = np.diag([1.0, 0.0]), np.full((2, 2), 0.5), np.array([[0.5, -0.5j], [0.5j, 0.5]])
    down, minus, left = np.eye(2) - up, np.eye(2) - plus, np.eye(2) - right
    one = {"up": up, "down": down, "+x": plus, "-x": minus, "+y": right, "-y": left, "+z": up, "-z": down}
    one |= {"mixed": np.eye(2) / 2}
    sites = [up, down, up] if name == "neel" else [one[name]] * 3
    truth = np.kron(np.kron(*sites[:2]), sites[2])
    assert_allclose(start(name), truth, atol=1e-14)
    if name != "neel":
        assert_allclose(start([name, "up", (0, 0, -1)]), np.kron(np.kron(sites[0], up), down), atol=1e-14)


def test_states_in_numbers():
    bloch = np.array([[0.6, 0.0, 0.8], [0.1, 0.2, 0.3], [0.0, -1.0, 0.0]])
    product = exact.product_state(bloch, 3)
    assert_allclose(start(bloch), product, atol=1e-14)
    assert_allclose(start(bloch[0]), exact.product_state(bloch[0], 3), atol=1e-14)
    assert_allclose(start(product), product, atol=1e-14)
    ghz = np.zeros(8, dtype=complex)
    ghz[[0, 7]] = np.sqrt(0.5), 1j * np.sqrt(0.5)
    assert_allclose(start(ghz), np.outer(ghz, ghz.conj()), atol=1e-14)
    thing = qutip.ket2dm(qutip.Qobj(ghz, dims=[[2] * 3, [1] * 3]))
    assert_allclose(start(thing), thing.full(), atol=1e-14)
    spin1 = neurho.Lindbladian(PAIR, neurho.spin(0, 2, 3), [(1.0, neurho.destroy(1, 3))])
    expected = np.zeros((9, 9))
    expected[5, 5] = 1.0
    assert_allclose(start([1, 2], spin1), expected, atol=1e-14)
    assert_allclose(start("mixed", spin1), np.eye(9) / 9, atol=1e-14)
    assert_allclose(start("down", spin1), np.diag([0.0] * 8 + [1.0]), atol=1e-14)


def test_an_entangled_start_follows_qutip():
    bell = np.array([1, 0, 0, 1j]) / np.sqrt(2)
    model = neurho.xyz(PAIR)
    result = neurho.solve(model, bell, TIMES, observables={"zz": neurho.sz(0) @ neurho.sz(1)})
    assert "density matrix" in result.why
    hamiltonian, jumps = neurho.interchange.to_qutip(model)
    watched = neurho.interchange.operator_to_qutip(neurho.sz(0) @ neurho.sz(1), 2)
    ket = qutip.Qobj(bell, dims=[[2, 2], [1, 1]])
    options = {"atol": 1e-12, "rtol": 1e-10}
    truth = qutip.mesolve(hamiltonian, ket, TIMES, c_ops=jumps, e_ops=[watched], options=options).expect[0]
    assert_allclose(result.dataset.zz, truth, atol=1e-7)


def test_a_result_goes_on_as_one_run():
    whole = neurho.solve(MODEL, "+x", [0.0, 0.3, 0.6])
    first = neurho.solve(MODEL, "+x", [0.0, 0.3])
    second = neurho.solve(MODEL, first, [0.0, 0.3])
    assert_allclose(second.density_matrix(), whole.density_matrix(), atol=1e-7)
    del first
    assert_allclose(float(second["sz"].mean), float(whole["sz"].mean), atol=1e-8)


def test_a_network_gives_its_state_to_exact_and_to_a_network():
    network = neurho.solve(DECAY, "+x", 0.01, points=2, method="flow", **FEW)
    rho = network.density_matrix()
    assert_allclose(start(network, DECAY, method="exact"), rho, atol=1e-12)
    again = neurho.solve(DECAY, network, 0.01, points=2, method="flow", **FEW)
    assert_allclose(again.dataset.sx[0], network.dataset.sx[-1], atol=1e-9)
    by = neurho.solve(DECAY, network, [0.0, 0.01], method="correlators")
    assert_allclose(by.dataset.sx[0], network.dataset.sx[-1], atol=1e-9)
    with pytest.raises(NeurhoError, match='must be "product" or "levels"'):
        neurho.solve(DECAY, network, 0.01, method="matrix-product")


def test_observables():
    n = [neurho.sp(j) @ neurho.sm(j) for j in range(3)]
    flow = [neurho.sx(i) @ neurho.sy(j) - neurho.sy(i) @ neurho.sx(j) for i, j in pairwise(range(3))]
    asked = {"n": n, "one": n[1], "flow": flow, "some": [n[2], n[0]], "text": "proj(i, 0)", "structure": True}
    found = {}
    for method in ("exact", "correlators"):
        data = found[method] = neurho.solve(MODEL, "+x", TIMES, observables=asked, method=method).dataset
        assert data.n_site.dims == ("t", "site")
        assert data.flow_bond.dims == ("t", "bond")
        assert data.some_each.shape == (3, 2)
        assert_allclose(data.n_site, data.text_site, atol=1e-12)
        assert_allclose(data.one, data.n_site[:, 1], atol=1e-12)
        assert_allclose(data.some_each, data.n_site[:, [2, 0]], atol=1e-12)
        assert_allclose(data.some, data.some_each.mean(axis=1), atol=1e-12)
        assert "structure_xx" in data
    assert_allclose(found["exact"].flow_bond, found["correlators"].flow_bond, atol=1e-6)


def same_record(a, b):
    """All numbers but wall times."""
    assert list(a.data_vars) == list(b.data_vars)
    for name in a.data_vars:
        if name != "wall_seconds":
            assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("method", ["exact", "correlators", "flow"])
def test_resumed_is_uninterrupted(tmp_path, method):
    options = {"method": method, **(FEW if method == "flow" else {})}
    times = [0.0, 0.01, 0.02, 0.03]
    whole = neurho.solve(DECAY, "+x", times, out=tmp_path / "whole", **options)
    part = neurho.solve(DECAY, "+x", times, out=tmp_path / "part", callback=stop_at(0.01), **options)
    assert (whole.finished, part.finished) == (True, False)
    assert_array_equal(part.dataset.t, times[:2])
    assert "Stopped by Ctrl-C at t = 0.01" in repr(part)
    seen = []
    rest = neurho.solve(DECAY, "+x", times, out=tmp_path / "part", callback=lambda s: seen.append(s.t), **options)
    assert seen == times[2:]
    same_record(rest.dataset, whole.dataset)
    same_record(read_series(tmp_path / "part"), rest.dataset)
    seen.clear()
    done = neurho.solve(DECAY, "+x", times, out=tmp_path / "part", callback=seen.append, **options)
    assert (seen, done.finished) == ([], True)
    same_record(done.dataset, rest.dataset)
    assert done.summary == read_summary(tmp_path / "part")


@pytest.mark.slow
def test_the_command_goes_on_with_what_python_began(tmp_path):
    whole = neurho.solve(MODEL, "+x", TIMES)
    neurho.solve(MODEL, "+x", TIMES, out=tmp_path / "run", callback=stop_at(0.25))
    call("resume", str(tmp_path / "run"), "--quiet")
    same_record(read_series(tmp_path / "run"), whole.dataset)
    for words in (["show"], ["plot", "--format", "png"], ["compare"], ["report"], ["watch", "--once"], ["cite"]):
        call(words[0], str(tmp_path / "run"), *words[1:])
    assert (tmp_path / "run" / "report.html").exists()


def test_functions_of_time(tmp_path):
    def kick(t):
        return np.sin(3 * t)

    def driven(function):
        return neurho.Lindbladian(PAIR, function * neurho.sx(0), [(0.5, neurho.sm(1))])

    result = neurho.solve(driven(kick), "down", TIMES, out=tmp_path / "run")
    angle = 2 / 3 * (1 - np.cos(3 * np.array(TIMES)))  # the area of 2 sin(3 t)
    assert_allclose(result.dataset.sz_site[:, 0], -np.cos(angle), atol=1e-6)
    assert result.compare("correlators").deviations[0].max < 1e-5
    with pytest.raises(NeurhoError, match="differs in model"):
        neurho.solve(driven(np.cos), "down", TIMES, out=tmp_path / "run")
    assert "sz" in call("show", str(tmp_path / "run")).stdout


def test_lattices_come_back(tmp_path):
    graph = neurho.from_edges([(0, 2), (2, 1)], sites=3, directed=False)
    for number, lattice in enumerate([neurho.square(2, 2, periodic=True, multi_edges=True), graph, neurho.chain(1)]):
        given = neurho.xyz(lattice)
        neurho.stationary(given, out=tmp_path / str(number))
        kept = neurho.build(config.loads(read_problem(tmp_path / str(number))))
        assert_array_equal(kept.lattice.bonds, lattice.bonds)
        assert_array_equal(kept.lattice.directed, lattice.directed)
        truth = given.hamiltonian.to_sparse(lattice.sites).toarray()
        assert_array_equal(kept.lindbladian.hamiltonian.to_sparse(lattice.sites).toarray(), truth)


def test_print_draw_and_compare(tmp_path):
    result = neurho.stationary(MODEL, method="correlators")
    text, html = repr(result), result._repr_html_()
    for shown in (text, html):
        assert f"Verdict: {result.verdict}" in shown
        assert "asked for" in shown
    value = float(result["sz"].mean)
    (line,) = [line for line in text.splitlines() if line.startswith("sz ")]
    assert float(re.split(r"\s+", line)[1]) == pytest.approx(value, abs=1e-5)
    assert "<td>sz</td>" in html
    assert result.plot().axes
    assert result.compare().plot().axes
    found = {d.name: d.max for d in result.compare("exact").deviations}
    assert found["sz"] < 1e-4
    other = neurho.stationary(MODEL, out=tmp_path / "exact")
    for given in (other, other.dataset, tmp_path / "exact"):
        assert {d.name: d.max for d in result.compare(given).deviations}["sz"] == pytest.approx(found["sz"], abs=1e-9)
    assert "largest/sigma" in repr(result.compare("exact"))
    with pytest.raises(NeurhoError, match="There is no observable `sa`; known are"):
        _ = result["sa"]
    with pytest.raises(NeurhoError, match="Argument `name` must be one of curves"):
        result.plot("spectra")
    with pytest.raises(NeurhoError, match="Argument `other` must be"):
        result.compare("nowhere")


def test_stopped_at_the_first_output():
    def at_once(snapshot):
        raise KeyboardInterrupt

    result = neurho.stationary(MODEL, method="correlators", callback=at_once)
    assert not result.finished
    assert result.dataset.sizes["t"] == 1


def test_another_error_of_a_callback_is_raised_with_all_saved(tmp_path):
    def broken(snapshot):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        neurho.solve(MODEL, "up", TIMES, out=tmp_path / "run", callback=broken)
    assert neurho.solve(MODEL, "up", TIMES, out=tmp_path / "run").finished


def test_a_limit_of_time_and_a_bar(capsys):
    result = neurho.solve(MODEL, "up", TIMES, output={"wall_seconds": 1e-9}, progress=True)
    assert not result.finished
    assert "after output.wall_seconds" in repr(result)
    assert "exact" in capsys.readouterr().err


REFUSED = {
    "model": (lambda: neurho.solve(neurho.sz(0), "up", 1.0), "Argument `model` must be a Lindbladian"),
    "no times": (lambda: neurho.solve(MODEL, "up"), "Argument `times` must be given"),
    "unsorted": (lambda: neurho.solve(MODEL, "up", [0.0, 1.0, 0.5]), "Argument `times` must increase"),
    "negative": (lambda: neurho.solve(MODEL, "up", [-1.0, 1.0]), "Argument `times` must begin at 0"),
    "only zero": (lambda: neurho.solve(MODEL, "up", [0.0]), "Argument `times` must end after 0"),
    "no initial": (lambda: neurho.solve(MODEL, times=1.0), r"the table \[initial\] is missing|`initial` must be"),
    "name": (lambda: neurho.solve(MODEL, "left", 1.0), "Argument `initial` must be one of up, down, neel"),
    "shape": (lambda: neurho.solve(MODEL, np.eye(4) / 4, 1.0), r"`initial` must have the shape .* is \(4, 4\)"),
    "trace": (lambda: neurho.solve(MODEL, np.eye(8), 1.0), "`initial` must be a density matrix, Hermitian"),
    "norm": (lambda: neurho.solve(MODEL, np.ones(8), 1.0), "`initial` must be a state vector of norm 1, but its norm"),
    "matrix": (lambda: neurho.Lindbladian(neurho.chain(1), np.eye(2)), "`hamiltonian` must be an Operator, such as"),
    "list": (lambda: neurho.Lindbladian(neurho.chain(1), [neurho.sz(0)]), r"must be an Operator, .*it is \[sz\(0\)\]"),
    "sites": (lambda: neurho.ising((3, 3)), r"`lattice` must be a lattice, such as .*, but it is \(3, 3\)"),
    "number": (lambda: neurho.Lindbladian(3, neurho.sz(0)), "`lattice` must be a lattice"),
    "factors": (lambda: neurho.exact.product_of([1, 0]), r"`amplitudes` must have shape \(sites, levels\)"),
    "length": (lambda: neurho.solve(MODEL, ["up"] * 2, 1.0), "`initial` must have 3 entries, one per site"),
    "ball": (lambda: neurho.solve(MODEL, (1.0, 1.0, 0.0), 1.0), r"`initial.bloch` must lie in the unit ball"),
    "thing": (lambda: neurho.solve(MODEL, object(), 1.0), "Argument `initial` must be one of"),
    "method": (lambda: neurho.solve(MODEL, "up", 1.0, method="exakt"), 'argument `method` must be "euler".*"exakt"'),
    "kind": (lambda: neurho.stationary(MODEL, method="projected"), "argument `method` must be another one"),
    "option": (lambda: neurho.solve(MODEL, "up", 1.0, tolerence=1e-3), "`tolerence` is not known.*`tolerance`"),
    "unused": (lambda: neurho.solve(MODEL, "up", 1.0, strings=5), "argument `strings` must be left out"),
    "value": (lambda: neurho.solve(MODEL, "up", 1.0, method="correlators", strings=-5), "`strings` must be a whole"),
    "network": (lambda: neurho.solve(MODEL, "up", 1.0, ansatz=4), "Argument `ansatz` must be a table such as"),
    "unit": (lambda: neurho.solve(MODEL, "up", 1.0, ansatz={"hiden": 4, "mixing": 1}), "did you mean `ansatz.hidden`"),
    "observable": (lambda: neurho.solve(MODEL, "up", 1.0, observables=["strukture"]), "`observables.structure`"),
    "operator": (lambda: neurho.solve(MODEL, "up", 1.0, observables={"n": 3}), r"`observables\['n'\]` must be an Op"),
    "unnamed": (lambda: neurho.solve(MODEL, "up", 1.0, observables=[neurho.sz(0)]), "where operators have names"),
    "Hermitian": (lambda: neurho.solve(MODEL, "up", 1.0, observables={"a": neurho.sm(0)}), "`a` must be Hermitian"),
    "off": (lambda: neurho.solve(MODEL, "up", 1.0, observables={"a": neurho.sz(5)}), "sites of `a`"),
    "taken": (lambda: neurho.solve(MODEL, "up", 1.0, observables={"sz": neurho.sz(0)}), "`sz` has a meaning already"),
    "text": (lambda: neurho.solve(MODEL, "up", 1.0, observables={"a": "sq(i)"}), "In observables.on_sites.a"),
    "callback": (lambda: neurho.solve(MODEL, "up", 1.0, callback=3), "Argument `callback` must be a function"),
    "out": (lambda: neurho.solve(MODEL, "up", 1.0, out=3), "Argument `out` must be a path"),
    "seed": (lambda: neurho.solve(MODEL, "up", 1.0, seed=-1), "`seed` must be a whole number >= 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    ask, sentence = REFUSED[case]
    with pytest.raises(NeurhoError, match=sentence) as raised:
        ask()
    assert "task." not in str(raised.value)


def test_a_directory_that_holds_something_else(tmp_path):
    neurho.solve(MODEL, "up", TIMES, out=tmp_path / "run")
    with pytest.raises(NeurhoError, match=r"`out` must be .* differs in task.times"):
        neurho.solve(MODEL, "up", [0.0, 0.5], out=tmp_path / "run")
    with pytest.raises(NeurhoError, match="differs in model"):
        neurho.solve(neurho.xyz(THREE, decay=2.0), "up", TIMES, out=tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(NeurhoError, match="must be new or empty"):
        neurho.solve(MODEL, "up", TIMES, out=tmp_path / "full")
    with pytest.raises(NeurhoError, match="must be a result that is kept"):
        neurho.solve(MODEL, neurho.solve(MODEL, "up", TIMES), TIMES, out=tmp_path / "next")


def test_a_problem_of_a_file():
    settings = neurho.load("fig2", ["task.method=exact", "task.t=0.01", "task.points=3"])
    result = neurho.solve(settings)
    assert result.dataset.sizes["t"] == 3
    with pytest.raises(NeurhoError, match="`method` is given"):
        neurho.solve(settings, method="exact")
    with pytest.raises(NeurhoError, match=re.escape("call neurho.solve")):
        neurho.stationary(settings)


@pytest.mark.parametrize("method", ["exact", "correlators"])
def test_a_search_says_that_it_does_not_use_the_start(method):
    model = neurho.xyz(neurho.chain(2))
    given, plain = (str(neurho.stationary(model, *start, method=method)) for start in (["up"], []))
    assert "start (`initial`) is not used" in given
    assert "not used" not in plain
