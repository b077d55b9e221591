"""Matrix products: time and accuracy of the chains with reference values, a hundred sites, and the cost of a gate.

    python benchmarks/matrix_product.py                 # the quick cases, about three minutes
    python benchmarks/matrix_product.py --case xyz      # 10 minutes and more
    python benchmarks/matrix_product.py --gates         # one gate by NumPy, TeNPy, quimb: pip install 'neurho[tensor]'

Times are processor times; run with OPENBLAS_NUM_THREADS=1 to have those of one core.
"""

import argparse
import time
from importlib import resources

import jax
import numpy as np

import neurho as nr
from neurho import matrix_product
from neurho.matrix_product.decompose import Cut
from neurho.matrix_product.state import Gate, State, apply
from neurho.observables import Quantity, pauli_quantities

CHAIN = nr.chain(16)
CASES = {
    "fig3": ({"field": (0, 0, 10), "coupling": (1, 0, 0)}, "fig3_chain16", 32, 1e-6),
    "ising": ({"field": (0.25, 0, 0), "coupling": (0, 0, 0.5)}, "ising16_g0.5", 40, 1e-6),
    "xyz": ({"field": (0, 0, 0.5), "coupling": (0.9, 1.2, 1)}, "chain16_xyz", 273, 1e-4),
    "b1": ({"field": (0, 0, 1), "coupling": (2, 0, 1)}, "chain16_B1_J201", 182, 1e-4),
}


def stationary_case(name: str) -> None:
    """Largest deviation from the reference beside the largest error, and the share of deviations within errors."""
    arguments, file, bond, tolerance = CASES[name]
    began = time.process_time()
    quantities = pauli_quantities(CHAIN, correlations=True)
    model = nr.heisenberg(CHAIN, **arguments)
    *_, end = matrix_product.stationary_state(model, quantities=quantities, bond=bond, tolerance=tolerance)
    seconds = time.process_time() - began
    with (resources.files("neurho.reference") / f"{file}.npz").open("rb") as stream:
        reference = dict(np.load(stream))
    root = np.sqrt(end.diagnostics["lindblad_norm2"])
    print(f"{name}: bond {end.diagnostics['bond_dimension']:.0f}, t = {end.t:g}, {seconds:.0f} s, residual {root:.1e}")
    pairs = np.triu_indices(16, 1)
    for axis in "xyz":
        wanted = {f"s{axis}_site": reference[f"s{axis}"], f"s{axis}s{axis}_pair": reference[f"C{axis}{axis}"][pairs]}
        for key, values in wanted.items():
            estimate = end.observables[key]
            away = np.abs(estimate.mean - values)
            within = np.mean(away <= np.asarray(estimate.error))
            print(
                f"  {key:10} deviates by {away.max():.1e}, error {np.max(estimate.error):.1e}, within it {within:.2f}"
            )


def hundred(bond: int) -> None:
    """A hundred sites: the Ising chain to its stationary state, and a quench from all-up to t = 1."""
    chain = nr.chain(100)
    quantities = [Quantity("sz", tuple(nr.sz(j) for j in range(100)))]
    for name, arguments in (("ising", CASES["ising"][0]), ("b1", CASES["b1"][0])):
        model, began = nr.heisenberg(chain, **arguments), time.process_time()
        if name == "ising":
            *_, end = matrix_product.stationary_state(model, quantities=quantities, bond=bond, tolerance=1e-5)
        else:
            up = np.broadcast_to(np.diag([1.0, 0.0]), (100, 2, 2))
            *_, end = matrix_product.evolve(model, up, [0, 1], quantities=quantities, bond=bond)
        mean, error = end.observables["sz"]
        seconds = time.process_time() - began
        print(
            f"100 sites, {name}, bond {bond}: t = {end.t:g}, {seconds:.0f} s, sz[49] {mean[49]:.7f} +- {error[49]:.1e}"
        )
        print(f"  {end.message or 'no remark'}")


def random_state(bond: int, rng: np.random.Generator) -> State:
    """Two full places in the middle, with singular values that fall over ten orders of magnitude."""
    weights = 10.0 ** -np.linspace(0, 10, bond)
    a, b = rng.normal(size=(bond, 4, bond)), rng.normal(size=(bond, 4, bond))
    charges = tuple(np.zeros(bond, dtype=int) for _ in range(3))
    left = np.linalg.qr(a.reshape(-1, bond))[0].reshape(a.shape) * weights
    right = np.linalg.qr(b.reshape(bond, -1).T)[0].T.reshape(b.shape)
    return State(tensors=(left, right), charges=charges, local=np.zeros(4, dtype=int), centre=0)


def seconds_of(function) -> float:
    """The processor time of one call."""
    function()
    began, calls = time.process_time(), 0
    while time.process_time() - began < 1.0:
        function()
        calls += 1
    return (time.process_time() - began) / calls


def gates() -> None:
    """One gate on one bond, cut to the bond dimension it had: NumPy as used here, TeNPy and quimb."""
    import quimb.tensor as qtn
    from tenpy.linalg import np_conserved as npc
    from tenpy.linalg.charges import LegCharge
    from tenpy.linalg.truncation import decompose_theta_qr_based, svd_theta

    rng = np.random.default_rng(0)
    matrix = np.eye(16) + 0.05 * rng.normal(size=(16, 16))
    for bond in (8, 16, 32, 64, 128):
        state = random_state(bond, rng)
        found = {"NumPy": seconds_of(lambda s=state, n=bond: apply(s, [Gate(0, matrix)], Cut(bond=n, cutoff=0.0)))}
        legs = [LegCharge.from_trivial(n) for n in (bond, 4)]
        a, b = (
            npc.Array.from_ndarray(t, [legs[0], legs[1], legs[0].conj()], labels=["vL", f"p{n}", "vR"])
            for n, t in enumerate(state.tensors)
        )
        gate_legs = [legs[1], legs[1], legs[1].conj(), legs[1].conj()]
        gate = npc.Array.from_ndarray(matrix.reshape((4,) * 4), gate_legs, labels=["p0", "p1", "p0*", "p1*"])
        options = {"chi_max": bond, "svd_min": 1e-14, "trunc_cut": None, "chi_min": None, "degeneracy_tol": None}

        def tenpy(*, by_qr: bool, a=a, b=b, gate=gate, options=options) -> None:
            theta = npc.tensordot(gate, npc.tensordot(a, b, ["vR", "vL"]), [["p0*", "p1*"], ["p0", "p1"]])
            theta = theta.combine_legs([["vL", "p0"], ["p1", "vR"]], new_axes=[0, 1], qconj=[+1, -1])
            if by_qr:
                none = theta.chinfo.make_valid()
                found = decompose_theta_qr_based(
                    none, none, a.get_leg("vR"), theta, True, 0.1, 1, False, dict(options), False, True
                )
                left, values, right = found[:3]
            else:
                left, values, right, _, _ = svd_theta(theta, dict(options))
            left.split_legs()
            right.scale_axis(values, "vL").split_legs()

        found["TeNPy SVD"] = seconds_of(lambda f=tenpy: f(by_qr=False))
        found["TeNPy QR"] = seconds_of(lambda f=tenpy: f(by_qr=True))
        psi = qtn.MatrixProductState([*_ends(state.tensors)], shape="lpr")
        found["quimb"] = seconds_of(
            lambda p=psi, n=bond: p.gate_split(matrix, (1, 2), max_bond=n, cutoff=0.0, absorb="right")
        )
        print(f"bond {bond}: " + ", ".join(f"{name} {1e3 * value:.2f} ms" for name, value in found.items()), flush=True)


def _ends(tensors: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """The two tensors between two ends that open their outer bonds."""
    bond = tensors[0].shape[0]
    return [np.eye(bond), *tensors, np.eye(bond)]


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", val=True)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=[*CASES, "hundred"], action="append")
    parser.add_argument("--gates", action="store_true")
    asked = parser.parse_args()
    if asked.gates:
        gates()
    else:
        for case in asked.case or ["fig3", "ising", "hundred"]:
            hundred(32) if case == "hundred" else stationary_case(case)
