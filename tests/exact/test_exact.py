"""The exact reference against QuTiP, SciPy's matrix exponential and numbers computed elsewhere."""

import itertools

import numpy as np
import pytest
import qutip
import scipy.integrate
import scipy.linalg

from neurho import exact, interchange, models
from neurho._types import NeurhoError, NumericalError
from neurho.model import lattice
from neurho.model.operators import Lindbladian, destroy, identity, local, sm, sp, spin, sx, sy, sz, total


def random_matrix(rng, size):
    return rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))


def random_state(rng, size):
    factor = random_matrix(rng, size)
    rho = factor @ factor.conj().T
    return rho / np.trace(rho)


def random_lindbladian(seed, sites, dim=2):
    """Dense 1-, 2- and 3-site terms on permuted sites; complex, non-Hermitian, sparse and diagonal jumps."""
    rng = np.random.default_rng(seed)
    energies, jumps = [], []
    for k in range(1, min(sites, 3) + 1):
        for _ in range(2):
            places = rng.permutation(sites)[:k]
            matrix = random_matrix(rng, dim**k)
            energies.append(local(matrix + matrix.conj().T, places, local_dim=dim))
            # weak on many sites: the largest eigenvalues of L grow with the square of c
            jumps.append((rng.uniform(0.2, 1.0), 0.3 * local(random_matrix(rng, dim**k), places, local_dim=dim)))
    for j in range(sites):
        jumps.append((rng.uniform(), local(np.diag(random_matrix(rng, dim)[0]), j, local_dim=dim)))
        jumps.append((rng.uniform(), local(np.diag(np.ones(dim - 1), 1) * 1j, j, local_dim=dim)))
    jumps.append((0.0, local(random_matrix(rng, dim), 0, local_dim=dim)))
    return Lindbladian(lattice.chain(sites), total(energies), jumps)


def superoperator(model):
    """The dense Lindbladian on rows of rho strung together, from QuTiP (which strings columns)."""
    dense = qutip.liouvillian(*interchange.to_qutip(model)).full()
    size = model.local_dim**model.sites
    order = np.arange(size**2).reshape(size, size).T.ravel()
    return dense[np.ix_(order, order)]


WAYS = {
    "one table": (2**10, 2**4, 2**5),
    "matrices and a table": (2**10, 0, 2**5),
    "matrices and moves": (0, 0, 2**5),
    "matrices": (0, 0, 0),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("sites", "dim"), [(1, 2), (2, 2), (3, 2), (4, 2), (1, 3), (2, 3), (3, 3)])
def test_apply_is_the_liouvillian(sites, dim, way, monkeypatch):
    for name, value in zip(("LARGEST_TABLE", "SMALLEST", "LARGEST_SUPPORT"), WAYS[way], strict=True):
        monkeypatch.setattr(exact.generator, name, value)
    model, size = random_lindbladian(sites, sites, dim), dim**sites
    operator, rng = exact.ExactLindbladian(model), np.random.default_rng(5)
    assert operator.dimension == size
    dense = superoperator(model)
    for rho in (random_state(rng, size), random_matrix(rng, size)):
        expected = (dense @ rho.ravel()).reshape(size, size)
        np.testing.assert_allclose(operator.apply(rho), expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    rho = random_state(rng, size)
    scaled = operator.constant.scaled(-0.7, 3.0, size).apply(rho)
    expected = ((dense @ rho.ravel()).reshape(size, size) + 0.7 * rho) / 3
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    generator = operator.constant
    assert bool(generator.moves) == (way == "matrices and moves")
    assert (generator.real is None) == (way == "one table" and size <= 16)
    if sites > 1:
        assert generator.products


@pytest.mark.parametrize("most", [2**5, 2**2, 0], ids=["diagonalised", "by norms", "by terms"])
def test_bounds_of_the_numerical_range(most, monkeypatch):
    """Against the eigenvalues of both halves of L; on many sites from norms alone."""
    monkeypatch.setattr(exact.bounds, "LARGEST_SUPPORT", 0 if most < 2**5 else most)
    monkeypatch.setattr(exact.bounds, "LARGEST_NORM", 2**9 if most else 0)
    for seed in range(5):
        model = random_lindbladian(seed, 2)
        dense, found = superoperator(model), exact.bounds.numerical_range(exact.ExactLindbladian(model))
        real = np.linalg.eigvalsh((dense + dense.conj().T) / 2)
        imag = np.linalg.eigvalsh((dense - dense.conj().T) / 2j)
        assert found.low <= real[0]
        assert real[-1] <= found.high
        assert max(-imag[0], imag[-1]) <= found.width
        assert found.width - found.low < (3 if most == 2**5 else 10) * (imag[-1] - real[0])


def test_apply_refuses_wrong_shape():
    with pytest.raises(NeurhoError, match=r"Argument `rho` must have shape \(4, 4\), but it is \(2, 2\)\."):
        exact.ExactLindbladian(models.xyz(lattice.chain(2))).apply(np.eye(2))


def test_apply_at_time():
    """Coefficients in H and in one part of a jump, and rates, at a time t: the same as a constant model."""
    ring = lattice.chain(3, periodic=True)

    def make(energy, rate, part):
        hamiltonian = sx(0) * sy(2) + sz(1) * energy + sx(0) * energy
        return Lindbladian(ring, hamiltonian, [(rate, sm(0)), (0.7, sm(1) + sp(2) * part), (0.4, sz(1)), (0.3, sm(2))])

    moving = make(np.cos, lambda t: 1 + np.sin(t), lambda t: np.exp(2j * t))
    rho = random_matrix(np.random.default_rng(0), 8)
    for t in (0.0, 0.8):
        fixed = make(np.cos(t), 1 + np.sin(t), np.exp(2j * t))
        expected = exact.ExactLindbladian(fixed).apply(rho)
        np.testing.assert_allclose(exact.ExactLindbladian(moving).apply(rho, t), expected, rtol=0, atol=1e-13)


def test_negative_rate_at_time():
    model = Lindbladian(lattice.chain(1), sz(0), [(1.0, sm(0)), (np.cos, sp(0))])
    with pytest.raises(NeurhoError, match=r"`jumps\[1\].rate` must be .* at all times, but `cos` is -1 at t = 3.14"):
        exact.ExactLindbladian(model).apply(np.eye(2), np.pi)


@pytest.mark.parametrize(("sites", "dim"), [(2, 2), (3, 2), (2, 3)])
def test_evolve_is_the_matrix_exponential(sites, dim):
    model, size = random_lindbladian(7, sites, dim), dim**sites
    rho0, times = random_state(np.random.default_rng(1), size), [0.3, 0.35, 1.0]
    states = list(exact.evolve(model, rho0, times, tolerance=1e-13))
    dense = superoperator(model)
    for t, rho in zip(times, states, strict=True):
        expected = (scipy.linalg.expm(dense * (t - times[0])) @ rho0.ravel()).reshape(size, size)
        np.testing.assert_allclose(rho, expected, rtol=0, atol=1e-12)
        assert np.trace(rho) == pytest.approx(1, abs=1e-12)


def test_evolve_agrees_with_mesolve_at_five_sites():
    model = random_lindbladian(3, 5)
    rho0, times = random_state(np.random.default_rng(2), 32), [0.0, 0.1, 0.3]
    start = qutip.Qobj(rho0, dims=[[2] * 5] * 2)
    hamiltonian, jumps = interchange.to_qutip(model)
    oracle = qutip.mesolve(hamiltonian, start, times, jumps, options={"atol": 1e-11, "rtol": 1e-9, "nsteps": 100_000})
    for rho, expected in zip(exact.evolve(model, rho0, times), oracle.states, strict=True):
        np.testing.assert_allclose(rho, expected.full(), rtol=0, atol=1e-8)


def test_time_dependent_evolution_agrees_with_mesolve():
    chain, couplings = lattice.chain(3), sx(0) * sx(1) + sy(1) * sy(2)
    model = Lindbladian(chain, sz(0) + couplings * np.cos, [(1.0, sm(j)) for j in range(3)] + [(lambda t: t, sz(1))])
    rho0, times = random_state(np.random.default_rng(3), 8), [0.0, 0.4, 1.1]
    to = interchange.operator_to_qutip
    hamiltonian = qutip.QobjEvo([to(sz(0), 3), [to(couplings, 3), lambda t: np.cos(t)]])
    jumps = [to(sm(j), 3) for j in range(3)] + [qutip.QobjEvo([[to(sz(1), 3), lambda t: np.sqrt(t)]])]
    start = qutip.Qobj(rho0, dims=[[2] * 3] * 2)
    oracle = qutip.mesolve(hamiltonian, start, times, jumps, options={"atol": 1e-12, "rtol": 1e-10})
    for rho, expected in zip(exact.evolve(model, rho0, times), oracle.states, strict=True):
        np.testing.assert_allclose(rho, expected.full(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("smallest", [2**5, 0], ids=["real tables", "matrices"])
def test_time_dependence_of_every_kind_agrees_with_scipy(smallest, monkeypatch):
    """Complex coefficients, one that is narrow and one with an edge, rates, and jumps with several moving parts."""
    monkeypatch.setattr(exact.generator, "SMALLEST", smallest)
    pulse, turn = (lambda t: np.exp(-(((t - 0.5) / 0.03) ** 2))), (lambda t: np.exp(3j * t))
    energy = 2 * sz(0) + 4 * sx(1) * pulse + sp(0) * sm(2) * turn + sm(0) * sp(2) * (lambda t: np.exp(-3j * t))
    jumps = [(1.0, sm(0)), (lambda t: 1.0 + (t > 0.3), sm(2)), (lambda t: t, sp(1) + sm(0) * turn + sz(1) * np.cos)]
    model = Lindbladian(lattice.chain(3), energy, jumps)
    rho0, operator = random_state(np.random.default_rng(4), 8), exact.ExactLindbladian(model)

    def velocity(t, flat):
        return operator.apply(flat.reshape(8, 8), t).ravel()

    flat, ends = rho0.ravel(), [0.0, 0.3, 0.45, 0.55, 1.0]
    for n, end in enumerate(ends[1:]):
        begin = ends[n] if end != 0.45 else np.nextafter(0.3, 1)
        flat = scipy.integrate.solve_ivp(velocity, (begin, end), flat, "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    for tolerance in (1e-7, 1e-11):
        *_, found = exact.evolve(model, rho0, [0.0, 0.4, 0.41, 1.0], tolerance=tolerance)
        assert np.linalg.norm(found.ravel() - flat) < max(tolerance, 1e-9)


def test_evolve_keeps_what_is_conserved_without_jumps():
    model = models.heisenberg(lattice.chain(3), field=(1, 2, 3), coupling=(1, 0.5, 2), decay=0.0)
    *_, rho = exact.evolve(model, exact.product_state((0, 0.6, 0.8), 3), [0.0, 50.0], tolerance=1e-13)
    assert exact.purity(rho) == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"times": [0.0, -1.0]}, "`times` must be finite and not decrease"),
        ({"times": []}, "`times` must be at least one time"),
        ({"rho0": np.eye(2)}, r"`rho0` must have shape \(4, 4\)"),
        ({"rho0": np.triu(np.ones((4, 4)))}, "`rho0` must be Hermitian"),
        ({"tolerance": 0.0}, r"`tolerance` must lie in \[1e-15, 1\)"),
        ({"memory": 1e-6}, r"`memory` must be at least .* complex matrices of 4 x 4, but it is 1e-06"),
    ],
)
def test_evolve_refuses(change, sentence):
    arguments = {"rho0": np.eye(4) / 4, "times": [0.0, 1.0]} | change
    with pytest.raises(NeurhoError, match=sentence):
        list(exact.evolve(models.xyz(lattice.chain(2)), arguments.pop("rho0"), arguments.pop("times"), **arguments))


@pytest.mark.parametrize("dense_labels", [81, 0], ids=["dense", "krylov"])
@pytest.mark.parametrize(("sites", "dim"), [(1, 2), (2, 2), (3, 2), (1, 3), (2, 3)])
def test_stationary_state_agrees_with_qutip(sites, dim, dense_labels, monkeypatch):
    monkeypatch.setattr(exact.stationary, "DENSE_LABELS", dense_labels)
    model = random_lindbladian(sites + 10, sites, dim)
    state = exact.stationary_state(model)
    assert state.message == ""
    assert state.residual == pytest.approx(
        np.linalg.norm(exact.ExactLindbladian(model).apply(state.rho)) / np.linalg.norm(state.rho), rel=1e-3, abs=1e-14
    )
    np.testing.assert_allclose(state.rho, qutip.steadystate(*interchange.to_qutip(model)).full(), rtol=0, atol=1e-10)


# Means over sites of sigma^z, one more number, and the purity: exact null vectors computed by another program
# (residual below 1e-10), to the digits given. Rings and squares have each pair once unless it says "double".
REFERENCE = {
    "ring 5, B=10, J=(20, 0, 10) (PRL 122, 250502, Fig. 2)": (
        lambda: models.heisenberg(lattice.chain(5, periodic=True), field=(0, 0, 10), coupling=(20, 0, 10)),
        {"sz": -0.28056734660967, "sxsx": -0.09960446777158, "sysy": 0.11199207730829, "purity": 0.06888835168012802},
    ),
    "chain 5, B=1, J=(2, 0, 1)": (
        lambda: models.heisenberg(lattice.chain(5), field=(0, 0, 1), coupling=(2, 0, 1)),
        {"sz_site": [-0.21271731, -0.32576993, -0.28812039, -0.32576993, -0.21271731], "purity": 0.07890960171627752},
    ),
    "chain 6, B=0.5, J=(0.9, 1.2, 1)": (
        lambda: models.heisenberg(lattice.chain(6), field=(0, 0, 0.5), coupling=(0.9, 1.2, 1.0)),
        {
            "sz_site": [-0.8247222, -0.90416587, -0.88777378, -0.88777378, -0.90416587, -0.8247222],
            "purity": 0.6706305916916994,
        },
    ),
    "Ising chain 6, g=2": (
        lambda: models.ising(lattice.chain(6), transverse=2.0),
        {"sx_site": [0.16955583, 0.19701428, 0.22061197, 0.22061197, 0.19701428, 0.16955583], "purity": 0.0800342152},
    ),
    "XYZ torus 2x2": (
        lambda: models.xyz(lattice.square(2, 2, periodic=True)),
        {"sz": -0.6590488931531278, "sxsx": 0.17995269, "purity": 0.49530869731883576},
    ),
    "XYZ torus 2x2, double bonds": (
        lambda: models.xyz(lattice.square(2, 2, periodic=True, multi_edges=True)),
        {"sz": -0.3755530403730479, "sxsx": 0.18042011, "purity": 0.22706681391848055},
    ),
    "XYZ open 2x3": (
        lambda: models.xyz(lattice.square(2, 3)),
        {"sz": -0.6591375327114212, "purity": 0.3780225542965986},
    ),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_stationary_reference(name):
    make, values = REFERENCE[name]
    model = make()
    state = exact.stationary_state(model)
    found = exact.expectations(state.rho, model)
    assert state.residual < 1e-10
    assert state.message == ""
    for key, value in values.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-8, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jy", "sz", "sxsx", "purity"),
    [(1.0, -0.9290316461, -0.00661502, 0.754429302785), (1.2, -0.4664716200, 0.21990907, 0.103048700890)],
)
def test_three_by_three_torus(jy, sz, sxsx, purity):
    """262,144 unknowns: exact null vectors computed by another program (residual below 1e-10)."""
    model = models.xyz(lattice.square(3, 3, periodic=True), coupling=(0.9, jy, 1.0))
    state = exact.stationary_state(model)
    found = exact.expectations(state.rho, model)
    assert (found["sz"], found["sxsx"], found["purity"]) == pytest.approx((sz, sxsx, purity), abs=1e-8)


def test_evolution_reference():
    """Fig. 2 of PRL 122, 250502 at t = 0.1 and 0.5: matrix exponentials computed by another program (1e-12)."""
    model = models.heisenberg(lattice.chain(5, periodic=True), field=(0, 0, 10), coupling=(20, 0, 10))
    expected = {
        (0, 0, 1): {"sz": [0.6201562066385261, 0.09216542273913816], "sxsx": [0.1950785159764781, 0.16647724986872253]},
        (1, 0, 0): {
            "sx": [-0.2087607406892903, -0.09234677722870449],
            "szsz": [0.10476411458063141, 0.08551974789078648],
        },
        (0, 0, 0): {
            "sz": [-0.042702839636882914, -0.15627786822335044],
            "purity": [0.031922828457295424, 0.040306587056631024],
        },
    }
    for bloch, values in expected.items():
        _, *states = exact.evolve(model, exact.product_state(bloch, 5), [0.0, 0.1, 0.5], tolerance=1e-13)
        for n, rho in enumerate(states):
            found = exact.expectations(rho, model)
            for key, value in values.items():
                assert found[key] == pytest.approx(value[n], abs=1e-11)


def test_stationary_state_at_an_exceptional_point(monkeypatch):
    """H = (gamma/4) sigma^x with decay makes K of one spin defective; z = -2/3 is that of a driven spin."""
    monkeypatch.setattr(exact.stationary, "DENSE_LABELS", 0)
    state = exact.stationary_state(models.heisenberg(lattice.chain(4), field=(0.25, 0, 0)))
    assert state.residual < 1e-10
    assert state.message == ""
    one = exact.reduced(state.rho, (2,), 4)
    assert np.trace(one @ np.diag([1, -1])) == pytest.approx(-2 / 3, abs=1e-9)


@pytest.mark.parametrize("dense_labels", [81, 0], ids=["dense", "krylov"])
def test_several_stationary_states_are_reported(dense_labels, monkeypatch):
    """Dephasing conserves sum sigma^z: one stationary state for each of its 4 values on 3 sites."""
    monkeypatch.setattr(exact.stationary, "DENSE_LABELS", dense_labels)
    state = exact.stationary_state(models.dephasing_chain(lattice.chain(3)))
    assert "stationary states; this" in state.message or "more than one stationary state" in state.message
    if dense_labels:
        assert "There are 4 " in state.message
    assert state.residual < 1e-10
    assert np.linalg.eigvalsh(state.rho)[0] > -1e-12
    # two free spins beside a driven, damped one: 4 x 4 free matrices (16), and the start is not stationary
    model = models.heisenberg(lattice.chain(3), field=(1, 0, 0), decay=[1.0, 0, 0])
    state = exact.stationary_state(model)
    assert state.message
    assert state.residual < 1e-10
    assert np.linalg.eigvalsh(state.rho)[0] > -1e-12
    assert exact.expectations(state.rho, model)["sz_site"][0] == pytest.approx(-1 / 9, abs=1e-9)


def test_stationary_state_in_other_units():
    """All rates and energies times 1e6: the same state."""
    chain = lattice.chain(5)
    state = exact.stationary_state(models.heisenberg(chain, field=(0, 0, 1), coupling=(2, 0, 1)))
    scaled = exact.stationary_state(models.heisenberg(chain, field=(0, 0, 1e6), coupling=(2e6, 0, 1e6), decay=1e6))
    np.testing.assert_allclose(scaled.rho, state.rho, rtol=0, atol=1e-12)


def test_stationary_state_refuses():
    silent = models.heisenberg(lattice.chain(2), field=(1, 0, 0), decay=0.0)
    with pytest.raises(NeurhoError, match="`lindbladian` must have a jump operator with a positive rate"):
        exact.stationary_state(silent)
    moving = Lindbladian(lattice.chain(1), sz(0) * np.cos, [(1.0, sm(0))])
    with pytest.raises(NeurhoError, match="`lindbladian` must not depend on time"):
        exact.stationary_state(moving)
    with pytest.raises(
        NeurhoError, match=r"`memory` must be at least 13.5 \(GiB\): 54 complex matrices of 4096 x 4096"
    ):
        exact.stationary_state(models.xyz(lattice.chain(12)))
    with pytest.raises(NumericalError, match=r"was not found: \|\|L rho\|\|/\|\|rho\|\| is .* after 3 applications"):
        exact.stationary_state(models.xyz(lattice.chain(5)), vectors=3, restarts=1)


def test_product_state():
    assert np.array_equal(exact.product_state((0, 0, 1), 2), np.diag([1, 0, 0, 0]))
    vectors = [(0.3, -0.2, 0.5), (0, 0.6, -0.8), (0.1, 0.1, 0.1)]
    rho = exact.product_state(vectors, 3)
    for site, (vector, sigma) in itertools.product(range(3), zip(range(3), (sx, sy, sz), strict=True)):
        assert exact.expectation(rho, sigma(site), 3) == pytest.approx(vectors[site][vector], abs=1e-14)
    with pytest.raises(NeurhoError, match=r"`bloch` must have vectors of length <= 1, but one has length 1.4"):
        exact.product_state((1, 1, 0), 2)
    with pytest.raises(NeurhoError, match=r"`bloch` must have shape \(3,\) or \(2, 3\), but it is \(3, 3\)"):
        exact.product_state(vectors, 2)
    with pytest.raises(NeurhoError, match=r"`memory` must be at least 128.0 \(GiB\)"):
        exact.product_state((0, 0, 1), 16)


@pytest.mark.parametrize("keep", [(0,), (2,), (0, 2), (3, 1), (2, 0, 3), (0, 1, 2, 3)])
def test_reduced_is_the_partial_trace(keep):
    rho = random_state(np.random.default_rng(4), 16)
    oracle = qutip.Qobj(rho, dims=[[2] * 4] * 2).ptrace(sorted(keep)).permute(list(np.argsort(np.argsort(keep))))
    np.testing.assert_allclose(exact.reduced(rho, keep, 4), oracle.full(), rtol=0, atol=1e-14)


def test_reduced_refuses():
    with pytest.raises(NeurhoError, match=r"`keep` must lie in 0..1 on a lattice of 2 sites"):
        exact.reduced(np.eye(4), (2,), 2)
    with pytest.raises(NeurhoError, match="`rho` must have shape"):
        exact.reduced(np.eye(5), (0,), 2)


def test_expectation_of_any_operator():
    rng = np.random.default_rng(6)
    rho = 3.0 * random_state(rng, 27)
    operator = (
        local(random_matrix(rng, 9), (2, 0), local_dim=3) + spin(1, 0, 3) * (lambda t: 2j * t) + 0.5 * destroy(2, 3)
    )
    dense = operator.to_sparse(3, 0.7).toarray()
    assert exact.expectation(rho, operator, 3, 0.7) == pytest.approx(np.trace(dense @ rho) / 3, abs=1e-12)
    assert exact.expectation(rho, identity(3), 3) == pytest.approx(1)


def test_expectations_against_explicit_traces():
    model = models.heisenberg(lattice.square(2, 2), field=(0.3, 0.2, 0.1), coupling=(0.9, 1.2, 1.0))
    rho = random_state(np.random.default_rng(8), 16)
    found = exact.expectations(2 * rho, model, correlations=True, structure=True, momenta=True)

    def mean(operator):
        return np.trace(operator.to_sparse(4).toarray() @ rho).real

    expected = {"purity": np.trace(rho @ rho).real, "renyi2": -np.log(np.trace(rho @ rho).real)}
    expected["energy"] = mean(model.hamiltonian)
    for axis, sigma in zip("xyz", (sx, sy, sz), strict=True):
        single = np.array([mean(sigma(j)) for j in range(4)])
        table = np.array([[mean(sigma(i) * sigma(j)) for j in range(4)] for i in range(4)])
        bonds = np.array([table[i, j] for i, j in model.lattice.bonds])
        double = f"s{axis}s{axis}"
        expected |= {f"s{axis}": single.mean(), f"s{axis}_site": single}
        expected |= {double: bonds.mean(), f"{double}_bond": bonds, f"{double}_pair": table}
        expected[f"structure_{axis}{axis}"] = (table.sum() - 4) / 12
        waves = [[np.exp(1j * np.pi * np.array([0, n, m, m + n])) for n in range(2)] for m in range(2)]
        off = table - np.eye(4)
        expected[f"structure_{axis}{axis}_k"] = np.array([[(w.conj() @ off @ w).real for w in r] for r in waves]) / 12
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-13, err_msg=name)
        assert found[name].shape == np.shape(value)


def test_expectations_leave_out_what_is_not_there():
    single = exact.expectations(np.eye(2) / 2, models.heisenberg(lattice.chain(1)), structure=True, energy=False)
    assert single.keys() == {"purity", "renyi2", "sx", "sx_site", "sy", "sy_site", "sz", "sz_site"}
    bosons = Lindbladian(lattice.chain(2), destroy(0, 3).adjoint() * destroy(0, 3), [(1.0, destroy(0, 3))])
    found = exact.expectations(np.eye(9) / 9, bosons)
    assert found.keys() == {"purity", "renyi2", "energy"}
    assert found["energy"] == pytest.approx(1)


def test_distances():
    rng = np.random.default_rng(9)
    rho, sigma = random_state(rng, 8), random_state(rng, 8)
    assert exact.trace_distance(2 * rho, sigma) == pytest.approx(
        qutip.tracedist(qutip.Qobj(rho), qutip.Qobj(sigma)), abs=1e-12
    )
    expected = np.linalg.norm(rho - sigma) / np.linalg.norm(sigma)
    assert exact.delta_rho(2 * rho, 3 * sigma) == pytest.approx(expected, abs=1e-13)
    assert exact.purity(5 * rho) == pytest.approx(np.trace(rho @ rho).real, abs=1e-13)
    with pytest.raises(NeurhoError, match="`sigma` must have shape"):
        exact.trace_distance(rho, np.eye(4))


@pytest.mark.parametrize("blocks", [32, 0], ids=["blocks", "whole"])
def test_inverse_of_the_effective_part(blocks, monkeypatch):
    """K of the XYZ chain conserves parity: two blocks. (s - L_eff) X = Y is checked by putting X in."""
    monkeypatch.setattr(exact.krylov, "MOST_BLOCKS", blocks)
    generator, rng = exact.ExactLindbladian(models.xyz(lattice.chain(4))), np.random.default_rng(3)
    effective, target = generator.effective, random_state(rng, 16)
    inverse = exact.krylov.EffectiveInverse(effective, 0.3)
    assert len(inverse.blocks) == (2 if blocks else 1)
    x = inverse(target)
    np.testing.assert_allclose(0.3 * x - effective @ x - (effective @ x).conj().T, target, rtol=0, atol=1e-12)
    np.testing.assert_allclose(inverse.rough()(target), x, rtol=0, atol=1e-5 * np.abs(x).max())
    if not blocks:
        return
    even = np.array([bin(n).count("1") % 2 == 0 for n in range(16)])
    assert not np.any(inverse(target * np.equal.outer(even, even))[~np.equal.outer(even, even)])


@pytest.mark.parametrize("tolerance", [1e-5, 1e-8, 1e-11])
@pytest.mark.parametrize("driven", [False, True])
def test_errors_of_evolutions_are_below_the_tolerance(driven, tolerance):
    """Against a solution with steps a hundred times more careful; five sites, one table being too large."""
    energy = sum((sx(j) * np.cos for j in range(1, 5)), sx(0) * np.cos) if driven else 0.5 * sx(0)
    base = models.xyz(lattice.chain(5))
    model = Lindbladian(base.lattice, base.hamiltonian + energy, base.jumps)
    rho, times = exact.product_state((0.6, 0.0, 0.8), 5), [0.0, 0.7, 3.0]
    found = exact.evolve(model, rho, times, tolerance=tolerance)
    for a, b in zip(found, exact.evolve(model, rho, times, tolerance=1e-13), strict=True):
        assert np.linalg.norm(a - b) <= tolerance


def test_evolve_takes_states_of_qutip():
    model, psi = models.xyz(lattice.chain(2)), qutip.ket("01") + 1j * qutip.ket("10")
    expected = list(exact.evolve(model, psi.proj().full(), [0.0, 0.3]))
    for rho0 in (psi, psi.proj()):
        np.testing.assert_array_equal(list(exact.evolve(model, rho0, [0.0, 0.3])), expected)
    for rho0, words in ((qutip.ket("010"), r"\(8, 8\), a state of 3 sites; the lattice has 2"), ("x", "it is 'x'")):
        with pytest.raises(NeurhoError, match=words):
            exact.evolve(model, rho0, [0.0, 0.3])


def test_named_product_states():
    assert np.array_equal(exact.product_state("down", 2), exact.product_state((0, 0, -1), 2))
    square = lattice.square(2, 3)
    signs = [1, -1, 1, -1, 1, -1]
    for where, expected in (
        (6, signs),
        (square, [1, -1, 1, -1, 1, -1]),
        (lattice.from_edges([(0, 2), (2, 1)]), [1, 1, -1]),
    ):
        rho, count = exact.product_state("neel", where), len(expected)
        assert [exact.expectation(rho, sz(j), count).real for j in range(count)] == expected
    with pytest.raises(NeurhoError, match='`bloch` must not be "neel" on a lattice with odd rings'):
        exact.product_state("neel", lattice.chain(3, periodic=True))
    with pytest.raises(NeurhoError, match=r"one of up, down, neel, .*mixed, but it is 'left'"):
        exact.product_state("left", 2)


def test_parts_that_do_not_add_up_to_a_stretch_are_no_error():
    """Three steps of 0.4/3 end at 0.39999999999999997."""
    model = Lindbladian(lattice.chain(1), sx(0) * (lambda t: 1.0 + np.sin(3 * t)), [(0.5, sm(0))])
    rho0 = np.diag([0.0, 1.0]).astype(complex)
    for end in (0.1, 0.3, 0.4, 0.7, 0.9, 1.1):
        assert np.trace(list(exact.evolve(model, rho0, [0.0, end]))[-1]).real == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("driven", [False, True])
def test_an_evolution_goes_on_bit_for_bit(driven):
    """From every place that it gives, in the middle of an expansion and at its end, with several of these."""
    energy = sum((sx(j) * np.cos for j in range(1, 3)), sx(0) * np.cos) if driven else 0.5 * sx(0)
    base = models.xyz(lattice.chain(3))
    model = Lindbladian(base.lattice, base.hamiltonian + energy, base.jumps)
    times = np.linspace(0.0, 12.0, 25)
    whole = list(exact.follow(model, exact.product_state((0.6, 0.0, 0.8), 3), times))
    assert [t for t, *_ in whole] == times.tolist()
    starts = {place.t for *_, place in whole}
    assert 2 < len(starts) < len(times) - 1  # several expansions, with several outputs in one
    for number, (_, rho, place) in enumerate(whole):
        rest = [(t, later) for t, later, _ in exact.follow(model, rho, times, place=place) if t > times[number]]
        assert [t for t, _ in rest] == times[number + 1 :].tolist()
        for (_, later), (_, expected, _) in zip(rest, whole[number + 1 :], strict=True):
            np.testing.assert_array_equal(later, expected)
