"""Figures from made-up runs: that they say what they should, and that comparisons measure what they claim."""

import shutil
import subprocess
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from neurho import config, report
from neurho._types import NeurhoError
from neurho.certificate import certify
from neurho.observables.meanings import MEANINGS
from neurho.report.captions import captions


def oscillation(times, shift=0.0, error=0.1):
    columns = {}
    for k, name in enumerate(("sx", "sy", "sz", "sxsx", "sysy", "szsz")):
        columns[name] = ("t", np.cos(8 * times + k) + shift)
        columns[f"{name}_error"] = ("t", np.full(len(times), error))
    columns["sz_site"] = (("t", "site"), np.cos(8 * times)[:, None] + np.arange(3) / 10 + shift)
    columns["sz_site_error"] = (("t", "site"), np.full((len(times), 3), error))
    columns |= {
        "delta_L": ("t", 10 * np.exp(-times)),
        "delta_L_error": ("t", 0 * times),
        "r_hat": ("t", 1 + times / 100),
    }
    return xr.Dataset(columns, coords={"t": times, "site": np.arange(3)})


def stationary(times):
    """Relaxation towards a state near all-down, sz = -0.99 on every site."""
    data = oscillation(times)
    data["sz_site"] = (("t", "site"), -0.99 + np.exp(-5 * times)[:, None] * np.ones(3))
    data["sz"] = data.sz_site.mean("site")
    return data


TIMES = np.linspace(0, 2, 41)


def labels(figure):
    return [axis.get_ylabel() for axis in figure.axes if axis.get_visible()]


def test_structure_factors_are_drawn_around_momentum_zero():
    """A chain as a curve with errors, a torus as a map; k runs over (-pi, pi] in units of pi."""
    k = 2 * np.pi * np.arange(4) / 4
    chain = xr.Dataset({"structure_xx_k": ("k", np.array([0.0, 1, 2, 3]))}, coords={"k": k})
    chain["structure_xx_k_error"] = ("k", np.full(4, 0.1))
    (axis,) = report.structure_map(chain, ["structure_xx_k"]).axes
    assert_allclose(axis.lines[0].get_xdata(), [-0.5, 0, 0.5, 1])
    assert_allclose(axis.lines[0].get_ydata(), [3, 0, 1, 2])
    torus = xr.Dataset(
        {"structure_zz_k": (("k_1", "k_2"), np.arange(8.0).reshape(4, 2))}, coords={"k_1": k, "k_2": [0.0, np.pi]}
    )
    axis = report.structure_map(torus, ["structure_zz_k"]).axes[0]
    assert_allclose(np.asarray(axis.collections[0].get_array()).reshape(4, 2), [[6, 7], [0, 1], [2, 3], [4, 5]])
    assert axis.get_title() == "$S^{zz}(k)$"


def test_time_curves_show_the_run_and_the_reference():
    run, exact = oscillation(TIMES, shift=0.05), oscillation(np.linspace(0, 2, 201))
    figure = report.time_curves(run, exact)
    one_site, two_site, quality = figure.axes
    assert len(one_site.lines) == 3 + 3 + 1  # run, reference, and its legend entry
    assert_allclose(one_site.lines[0].get_ydata(), run.sx)
    assert_allclose(one_site.lines[1].get_ydata(), exact.sx)
    assert len(one_site.collections) == 3 + 3  # error bands of the run and of the reference
    assert_allclose(two_site.lines[0].get_ydata(), run.sxsx)
    assert quality.get_ylabel() == MEANINGS["delta_L"].symbol
    assert all(axis.get_xlabel() == report.TIME for axis in figure.axes)
    with_truth = run.assign(delta_rho=("t", TIMES / 10), trace_distance=("t", TIMES / 20))
    assert labels(report.time_curves(with_truth))[2] == "distance from the exact state"


def test_figures_have_the_unit_of_the_series():
    run = oscillation(TIMES)
    run.t.attrs["units"] = "us"
    figures = (report.time_curves(run), report.profile(run), report.space_time(run, ["sz"]), report.diagnostics(run))
    found = {axis.get_xlabel() for figure in figures for axis in figure.axes}
    assert "time $t$ (\u03bcs)" in found
    assert not [label for label in found if "gamma" in label]
    assert labels(figures[0])[2].endswith("(1/\u03bcs)")


def test_runs_of_one_problem_stand_in_one_figure():
    """Each curve has its colour, its error band and a line of the legend with method and verdict; a network's curve is
    faint from where its own estimate says that it should not be believed.
    """
    one, two = oscillation(TIMES), oscillation(TIMES, shift=0.2)
    estimate = 0.4 * TIMES  # above 0.5, the limit of a usable evolution, from t = 1.25 on
    runs = [
        report.Shown(one, "correlators", "good", own=True),
        report.Shown(two.assign(error_estimate=("t", estimate)), 'network "rbm" by "bosh3"', "do not use"),
    ]
    figure = report.overlay(runs, oscillation(TIMES), label="exact")
    assert len(figure.axes) == 6
    axis = figure.axes[0]
    first, second, rest, reference = axis.lines
    assert_allclose(first.get_ydata(), one.sx)
    assert_allclose(reference.get_ydata(), one.sx)
    known = np.isfinite(second.get_ydata())
    assert_allclose(TIMES[known].max(), 1.25)
    assert_allclose(rest.get_xdata()[0], 1.25)
    assert rest.get_alpha() < 1
    assert first.get_color() != second.get_color() == rest.get_color()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[0] == "exact (the truth)"
    assert texts[1] == "correlators; its own verdict: good"
    assert texts[2] == 'network "rbm" by "bosh3"; its own verdict: do not use'
    with pytest.raises(NeurhoError, match="must have a mean in common"):
        report.overlay([runs[0], report.Shown(one[["delta_L"]], "exact", "good")])


def test_stationary_runs_of_one_problem_are_points_with_bars():
    runs = [report.Shown(stationary(TIMES), "one", "good"), report.Shown(stationary(TIMES), "two", "usable")]
    figure = report.overlay(runs, average=0.5)
    place = next(k for k, axis in enumerate(figure.axes) if axis.get_title() == r"$\langle\sigma^z\rangle$")
    means = [container.lines[0].get_ydata()[0] for container in figure.axes[place].containers]
    assert_allclose(means, float(stationary(TIMES).sz[-20:].mean()))


def test_profile_shows_the_deviation_from_all_down():
    run = stationary(TIMES)
    reference = xr.Dataset({"sz": ((), -0.99), "sz_site": ("site", np.full(3, -0.99)), "sxsx": ((), -0.05)})
    figure = report.profile(run, reference, average=0.1)
    total, _, correlations, sites = figure.axes
    assert_allclose(total.lines[0].get_ydata(), 3 * (1 + run.sz))
    assert_allclose(total.lines[1].get_ydata(), 0.03)  # reference
    assert total.get_yscale() == "log"
    assert_allclose(sites.lines[0].get_ydata(), 0.01)
    assert len([line for line in correlations.lines if len(line.get_xdata()) == len(TIMES)]) == 2
    assert report.profile(oscillation(TIMES)).axes[0].get_yscale() == "linear"


def test_profile_shows_corrected_values_beside_those_of_the_network():
    run = stationary(TIMES)
    better = {"sz_corrected": run.sz - 0.001, "sz_corrected_site": run.sz_site - 0.001, "sxsx_corrected": run.sxsx / 2}
    better |= {f"{name}_error": 0 * values for name, values in better.items()}
    total, _, correlations, sites = report.profile(run.assign(better), average=0.1).axes
    assert_allclose(total.lines[1].get_ydata(), 3 * (1 + run.sz - 0.001))
    assert [text.get_text() for text in total.get_legend().get_texts()] == ["network", "corrected"]
    assert [text.get_text() for text in sites.get_legend().get_texts()] == ["network", "corrected"]
    dotted = [line for line in correlations.lines if line.get_linestyle() == ":" and len(line.get_xdata())]
    (line,) = dotted
    assert_allclose(line.get_ydata(), run.sxsx / 2)
    assert "named" not in report.all_figures(run.assign(better), average=0.1)


def test_diagnostics_show_what_there_is():
    run = oscillation(TIMES)
    assert labels(report.diagnostics(run)) == [MEANINGS[n].symbol for n in ("delta_L", "r_hat")]
    reached = run.assign(fidelity=("t", np.exp(-TIMES)), fidelity_error=("t", 0 * TIMES))
    assert MEANINGS["fidelity"].symbol in labels(report.diagnostics(reached))
    with pytest.raises(NeurhoError, match="no diagnostics"):
        report.diagnostics(xr.Dataset({"sx": ("t", TIMES)}, coords={"t": TIMES}))


@pytest.mark.parametrize("ending", ["pdf", "svg"])
def test_images_are_reproducible(ending):
    first, second = (report.image(report.diagnostics(oscillation(TIMES)), ending) for _ in range(2))
    assert first == second
    assert first[:5] in (b"%PDF-", b"<?xml")


def test_runs_with_little_in_them_can_be_drawn():
    one = oscillation(TIMES[:1]).drop_vars(["sxsx", "sysy", "szsz", "sz_site", "delta_L"])
    for figure in (report.time_curves(one), report.profile(one)):
        assert report.image(figure, "png", dpi=40).startswith(b"\x89PNG")
    empty = xr.Dataset({"sx": ("t", TIMES)}, coords={"t": TIMES})
    with pytest.raises(NeurhoError, match="no observable in common"):
        report.comparison(empty, xr.Dataset({"sz": ("t", TIMES)}, coords={"t": TIMES}))


def test_deviations_measure_a_known_shift():
    found = {
        row.name: row
        for row in report.deviations(oscillation(TIMES, shift=0.25), oscillation(np.linspace(0, 2, 401), error=0.0))
    }
    assert set(found) == {"sx", "sy", "sz", "sxsx", "sysy", "szsz", "sz_site"}  # delta_L is no observable
    for row in found.values():
        assert_allclose([row.max, row.rms, row.max_sigma, row.rms_sigma], [0.25, 0.25, 2.5, 2.5], atol=1e-5)
        assert row.value - row.reference == pytest.approx(0.25, abs=1e-5)


def test_curves_from_files(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text("sz,t,sz_error\n1.0,0.0,0.1\n0.5,1.0,0.2\n")
    found = report.read_curves(path)
    assert_allclose(found.t, [0.0, 1.0])
    assert_allclose(found.sz, [1.0, 0.5])
    found.to_netcdf(tmp_path / "curves.nc", engine="h5netcdf")
    assert report.read_curves(tmp_path / "curves.nc").identical(found)
    for text, sentence in (
        ("sz,x\n1,2\n", "must begin with names of columns, one of them t"),
        ("t,sz\n0,1\n1\n", "must have 2 numbers in each line, but line 3 has not"),
        ("t,sz\n1,1\n0,2\n", "must have times t that increase"),
        ("t,sz\n", "must have a line of numbers below the names"),
    ):
        path.write_text(text)
        with pytest.raises(NeurhoError, match=sentence):
            report.read_curves(path)
    (tmp_path / "bad.nc").write_text("no")
    with pytest.raises(NeurhoError, match="must be a netCDF file"):
        report.read_curves(tmp_path / "bad.nc")


def test_the_error_estimate_is_a_band_within_what_is_possible():
    """Around each mean of a Pauli matrix, cut at -1 and 1, and only where there is an estimate worth the name."""
    run = oscillation(TIMES, error=0.0).assign(error_estimate=("t", TIMES / 3.2))
    axis = report.time_curves(run).axes[0]
    bands = axis.collections
    assert len(bands) == 3
    (end,) = (line for line in axis.lines if line.get_linestyle() == ":")
    assert end.get_xdata()[0] == pytest.approx(1.65)  # the first time with an estimate above 0.5
    assert max(path.vertices[:, 0].max() for path in bands[0].get_paths()) == pytest.approx(1.6)
    corners = bands[0].get_paths()[0].vertices
    expected = np.clip(run.sx.values + TIMES / 3.2, -1, 1)
    for t, high in zip(TIMES[[10, 30]], expected[[10, 30]], strict=True):
        assert corners[np.isclose(corners[:, 0], t), 1].max() == pytest.approx(high)
    assert abs(corners[:, 1]).max() <= 1
    assert len(report.time_curves(oscillation(TIMES, error=0.0)).axes[0].collections) == 0


def test_errors_of_both_runs_are_combined():
    [row, *_] = report.deviations(oscillation(TIMES, shift=0.5, error=0.3), oscillation(TIMES, error=0.4))
    assert row.rms_sigma == pytest.approx(1.0)


def test_deviation_says_where():
    run = oscillation(TIMES)
    run["sz"][7] += 1.0
    row = next(row for row in report.deviations(run, oscillation(TIMES)) if row.name == "sz")
    assert (row.max, row.at) == (pytest.approx(1.0), TIMES[7])
    assert row.rms == pytest.approx(1 / np.sqrt(len(TIMES)))


def test_interpolation_is_fourth_order_and_exact_on_common_times():
    """The cubic spline of cos(8 t) must converge as h^4: a finer reference by 2 is better by about 16."""
    fine = oscillation(np.linspace(0, 2, 333))
    errors = []
    for points in (81, 161):
        _, aligned = report.align(fine, oscillation(np.linspace(0, 2, points)))
        errors.append(float(np.abs(aligned.sz - fine.sz).max()))
    assert 10 < errors[0] / errors[1] < 24
    _, same = report.align(fine, fine)
    assert_allclose(same.sz_site, fine.sz_site, atol=1e-14)


def test_only_common_times_are_compared():
    inside, other = report.align(oscillation(TIMES), oscillation(np.linspace(0.5, 1.0, 51)))
    assert (float(inside.t[0]), float(inside.t[-1])) == (0.5, 1.0)
    assert other.sizes["t"] == inside.sizes["t"] == 11
    with pytest.raises(NeurhoError, match=r"no time of the run lies in 5\.\.6"):
        report.align(oscillation(TIMES), oscillation(np.linspace(5, 6, 11)))


def test_stationary_values_are_averages_of_the_last_part():
    run = oscillation(TIMES)
    last = report.averaged(run, 0.5)
    assert "t" not in last.dims
    assert float(last.sx) == pytest.approx(float(run.sx[-20:].mean()))
    assert last.sz_site.dims == ("site",)
    reference = last.map(lambda values: values - 0.1)
    assert_allclose([row.max for row in report.deviations(last, reference)], 0.1)
    assert report.deviations(last, reference)[0].at is None


def grid(times, rows=2, columns=3):
    """A run on a two-dimensional lattice with all pairs."""
    data, sites = oscillation(times), rows * columns
    rng = np.random.default_rng(0)
    data = data.drop_vars(["sz_site", "sz_site_error", "site"])
    site = rng.uniform(-1, 1, size=(len(times), sites))
    pair = site[:, :, None] * site[:, None, :] + 0.1 * np.arange(sites)[None, :, None]
    data["sz_site"] = (("t", "site"), site)
    data["sz_site_error"] = (("t", "site"), np.full_like(site, 0.02))
    data["szsz_pair"] = (("t", "site", "site_2"), pair)
    data["density"] = ("t", site.mean(axis=1))
    data["density_site"] = (("t", "site"), site)
    return data


def test_maps_show_what_was_measured():
    run = grid(TIMES)
    last = run.isel(t=-1)
    mesh = report.space_time(run, ["sz"]).axes[0].collections[0]
    assert_allclose(mesh.get_array(), run.sz_site.values.T)
    figure = report.lattice_map(last, ["sz"], (2, 3))
    assert_allclose(figure.axes[0].images[0].get_array(), last.sz_site.values.reshape(2, 3))
    assert f"{float(last.sz_site[4]):.2f}\n±2e-02" in [text.get_text() for text in figure.axes[0].texts]
    picture = np.ma.filled(report.correlation_map(last, ["szsz"]).axes[0].images[0].get_array(), np.nan)
    expected = np.broadcast_to(0.1 * np.arange(6)[:, None], (6, 6)).copy()
    np.fill_diagonal(expected, np.nan)
    assert_allclose(picture, expected, atol=1e-12)
    with pytest.raises(NeurhoError, match="nothing to draw"):
        report.space_time(run, [])


def test_named_operators_have_panels_where_they_are_measured():
    assert len(report.named_curves(grid(TIMES)).axes) == 1
    with pytest.raises(NeurhoError, match="no operators named"):
        report.named_curves(oscillation(TIMES))


def test_an_operator_that_stands_once_is_drawn():
    run = oscillation(TIMES)
    run["corner"] = run["corner_error"] = ("t", np.linspace(0, 1, len(TIMES)))
    found = report.all_figures(run)["named"].axes
    assert [axis.get_ylabel() for axis in found] == ["mean"]
    assert_allclose(found[0].lines[0].get_ydata(), run.corner)


def test_every_figure_that_makes_sense():
    dynamics = report.all_figures(grid(TIMES), shape=(2, 3))
    assert list(dynamics) == ["curves", "named", "sites", "lattice", "correlations", "diagnostics"]
    assert list(report.all_figures(oscillation(TIMES), shape=(3,))) == ["curves", "sites", "diagnostics"]
    assert next(iter(report.all_figures(stationary(TIMES), average=0.2))) == "profile"


def test_runs_without_pauli_matrices_are_drawn_by_their_own_names():
    run = grid(TIMES).drop_vars(["sx", "sy", "sz", "sxsx", "sysy", "szsz", "sz_site", "sz_site_error", "szsz_pair"])
    figure = report.time_curves(run)
    assert_allclose(figure.axes[0].lines[0].get_ydata(), run.density)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["density"]
    assert report.image(report.profile(run), "svg").startswith(b"<?xml")


SUMMARY = {
    "observables": {"sz": {"mean": -0.5, "error": 0.01}, "bad <b>": {"mean": None, "error": None}},
    "delta_L": 0.02,
    "r_hat": 1.3,
    "ess": 500.0,
    "lindblad_norm2": 0.1,
    "t": 2.0,
    "step": 40,
    "snapshots": 41,
    "averaged": 1,
    "converged": True,
    "messages": ["t = 1: the chains <disagree>"],
    "fingerprint": "0123456789abcdef",
}
SESSION = {"started": "2026-01-01", "python": "3.11", "platform": "Linux", "devices": ["cpu"], "versions": {"jax": "1"}}


class Outline(HTMLParser):
    """Tags that were opened and not closed, resources from outside, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.text, self.images = [], [], "", 0

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key in ("src", "href") and not value.startswith(("data:", "#")):
                self.outside.append(value)
        self.images += tag == "img"
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@cache
def drawn():
    return report.all_figures(oscillation(TIMES))


def make_page(**changes):
    settings = config.load("fig2", ["task.solver=snr"])
    figures = drawn() if not changes else {}
    problem = config.dumps(settings)
    return report.page("my run", settings, SUMMARY | changes, {"seed": 1, "sessions": [SESSION]}, problem, figures)


def test_the_page_is_whole_and_needs_nothing_from_outside():
    outline = Outline()
    outline.feed(make_page())
    assert outline.open == []
    assert outline.outside == []
    assert outline.images == 3
    for part in ("my run", "-0.5", "bad <b>", "the chains <disagree>", "[lattice]", "jax 1", "PhysRevLett.125.100503"):
        assert part in outline.text, part
    assert "The evolution is complete." in " ".join(outline.text.split())


def test_the_page_says_when_a_run_is_not_good():
    words = lambda **changes: " ".join(make_page(**changes).split())  # noqa: E731
    good = words(verdict="good", reasons=[], verdicts={})
    assert '<p class="verdict good"> The evolution is complete. Verdict: good.</p>' in good
    assert "The evolution is not complete." in words(converged=False)
    useless = words(verdict="do not use", reasons=["residual = 1 is above 0.9"], verdicts={"sz": "do not use"})
    assert '<p class="verdict bad"> The evolution is complete. Verdict: do not use, because residual = 1' in useless


def test_the_certificate_is_that_of_the_summary():
    found = certify({"ess": 500.0, "r_hat": 1.4}, "evolve", reached=True)
    merits = [merit._asdict() for merit in found.figures]
    assert report.certificate(SUMMARY | {"certificate": merits}) == list(found.figures)
    page = " ".join(make_page(certificate=merits).split())
    assert '<td>r_hat</td> <td class="number bad">1.4</td> <td>&lt;= 1.1</td>' in page
    assert '<td>ess</td> <td class="number good">500</td> <td>&gt;= 100</td>' in page


def test_citations_are_those_of_what_was_used():
    keys = lambda *changes: {r.key for r in report.citations(config.load("fig2", changes))}  # noqa: E731
    assert {"HartmannCarleo2019", "jax2018github", "neurho"} <= keys()
    assert "SchmittHeyl2020" not in keys()
    assert "SchmittHeyl2020" in keys("task.solver=snr")
    assert "LeeGopalakrishnanLukin2013" in keys("model.kind=xyz")
    assert "jax2018github" not in keys("task.method=exact")
    text = report.bibtex(config.load("fig2"))
    assert text.count("@") == len(keys())
    assert text.count("{") == text.count("}")


BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
COUNT = """<script>addEventListener("load", () => {
  const images = [...document.images].filter(image => image.complete && image.naturalWidth > 100).length;
  const asked = performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:")).length;
  const tables = document.querySelectorAll("table").length;
  document.body.dataset.found = `images ${images} requests ${asked} tables ${tables}`;
})</script></body>"""


@pytest.mark.skipif(not BROWSER, reason="no chromium or chrome on this machine")
def test_a_browser_shows_the_page_and_asks_nobody_for_anything(tmp_path):
    """The page itself has no script; the one put in here tells what the browser has decoded and requested."""
    file = tmp_path / "report.html"
    file.write_text(make_page().replace("</body>", COUNT))
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    words += ["--virtual-time-budget=10000", "--dump-dom", file.as_uri()]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout
    assert 'data-found="images 3 requests 0 tables 3"' in shown
    assert "<h1>my run</h1>" in shown


def test_references_are_written_for_people():
    text = {r.key: r.text() for r in report.citations(config.load("fig2", ["model.kind=dephasing"]))}
    assert text["HartmannCarleo2019"].startswith("Michael J. Hartmann, Giuseppe Carleo, Neural-Network Approach")
    assert text["Znidaric2010"].startswith("Marko \u017dnidari\u010d, ")
    assert not [reference for reference in text.values() if "{" in reference]


def levels(times):
    """A run without Pauli matrices: populations, particles, pairs of them, and hopping."""
    data = xr.Dataset(coords={"t": times, "site": np.arange(2), "bond": np.arange(1)})
    for k, name in enumerate(("p0", "p1", "n", "g2")):
        data[f"{name}_site"] = (("t", "site"), (k + 1) * np.exp(-times)[:, None] + np.arange(2) / 10)
        data[name] = data[f"{name}_site"].mean("site")
    data["hop_bond"] = (("t", "bond"), np.cos(times)[:, None])
    data["hop"] = data.hop_bond.mean("bond")
    for name in list(data.data_vars):
        data[f"{name}_error"] = 0.01 * xr.ones_like(data[name])
    return data.assign(delta_L=("t", np.exp(-times)), delta_L_error=("t", 0 * times))


def test_operators_that_a_problem_names_are_drawn_and_called_by_their_names():
    run = levels(TIMES)
    for figure in (
        report.time_curves(run),
        report.profile(run),
        report.time_curves(run.drop_vars(["hop", "hop_bond"])),
    ):
        texts = [text.get_text() for axis in figure.axes for text in axis.texts]
        assert "not measured" not in texts
        assert {"n", "g2"} <= {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
        assert not any("sigma" in axis.get_ylabel() for axis in figure.axes)
    figure = report.comparison(run, run)
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == ["p0", "p1", "n", "g2", "hop"]


def test_comparisons_show_named_operators_beside_pauli_matrices():
    run = grid(TIMES).assign(density_error=("t", np.full(len(TIMES), 0.01)))
    titles = [axis.get_title() for axis in report.comparison(run, run).axes if axis.get_title()]
    assert titles[:3] == [r"$\sigma^x$", r"$\sigma^y$", r"$\sigma^z$"]
    assert titles[-1] == "density"
    assert len(titles) == 7


def scales(figure):
    """The limits of the colours of each panel."""
    found = [[*axis.collections, *axis.images] for axis in figure.axes]
    return [things[0].get_clim() for things in found if things and things[0].get_cmap().name != "Greys"]


def test_panels_that_are_compared_share_a_scale_of_colours():
    run = levels(TIMES)
    one = scales(report.space_time(run, ["p0", "p1", "n", "g2"]))
    p = np.concatenate([run.p0_site.values, run.p1_site.values])
    assert one[0] == one[1] == (p.min(), p.max())
    assert one[2] != one[3]
    pauli = grid(TIMES).assign(sx_site=grid(TIMES).sz_site / 10, sx_site_error=grid(TIMES).sz_site_error)
    assert len(set(scales(report.space_time(pauli, ["sx", "sz"]))[:2])) == 1
    assert len(set(scales(report.lattice_map(pauli.isel(t=-1), ["sx", "sz"], (2, 3)))[:2])) == 1


def test_maps_are_pixels_in_files_of_shapes():
    figure = report.space_time(levels(TIMES), ["n"])
    assert b"<image" in report.image(figure, "svg")


def test_a_band_on_a_logarithmic_axis_is_drawn_only_where_its_value_is():
    run = stationary(TIMES)
    values = np.where(0.5 * TIMES[-1] < TIMES, -1.05, run.sz.values)
    run = run.assign(sz_corrected=("t", values), sz_corrected_error=("t", np.full(len(TIMES), 0.2)))
    axis = report.profile(run).axes[0]
    assert axis.get_yscale() == "log"
    bottom = axis.get_ylim()[0]
    paths = [path.vertices for band in axis.collections for path in band.get_paths()]
    assert paths
    assert all(vertices[:, 1].min() >= 0.999 * bottom for vertices in paths)
    assert max(vertices[:, 0].max() for vertices in paths[-1:]) <= 0.5 * TIMES[-1] + 1e-9


def test_errors_that_are_rounding_count_as_none():
    run = oscillation(TIMES, error=1e-16)
    assert all(row.max_sigma is None for row in report.deviations(run, oscillation(TIMES, shift=0.1, error=0.0)))


def test_captions_say_what_the_bands_are():
    exact_sums, sampled = config.load("fig2"), config.load("fig2", ["sampling.kind=metropolis", "sampling.samples=64"])
    plain = captions(exact_sums, {"error_estimate": 0.1})["curves"]
    assert "error estimate of the evolution, not a standard error" in plain
    assert "standard errors of the samples" not in plain
    assert "standard errors of the samples" in captions(sampled, {})["curves"]
    assert "error estimate" not in captions(sampled, {})["curves"]


@pytest.mark.parametrize(("points", "sparse"), [(21, True), (201, False)])
def test_references_end_with_the_run_and_few_points_are_no_curve(points, sparse):
    run, times = oscillation(np.linspace(0, 2, 41)), np.linspace(0, 4, points)
    errors = xr.DataArray(np.full(points, 0.05), dims="t")
    reference = oscillation(times).assign(sz_error=errors)[["sz", "sz_error"]]
    axis = report.time_curves(run, reference, label="reference").axes[0]
    dashed = [line for line in axis.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    assert len(dashed) == (0 if sparse else 1)
    marked = [bars.lines[0] for bars in axis.containers]
    assert len(marked) == (1 if sparse else 0)
    for line in (*dashed, *marked):
        assert list(line.get_xdata()) == pytest.approx([t for t in times if t <= 2 + 1e-9])
