"""Seconds until the mean magnetisation of Fig. 3 of PRL 122, 250502 (N = 16, stationary) is right, and stays right.

An attempt counts from the first second at which the site-averaged m_z is within `--within` (1e-3) of the reference, a
matrix-product state, and from which on no later output of the attempt leaves that band; compilation included, imports
not, nothing taken from a cache of programs. Every attempt is a process of its own with a wall limit: what is not
there by then has failed, and so has an attempt that ends with an error. An attempt that reaches the band only in its
last output is reported as such (`outputs_inside` = 1).

- `continuation`: the shipped problem `fig3-continuation`; values in the network and corrected ones.
- `flow-SOLVER`: the shipped problem `fig3` (adaptive steps, blurred sampling) to t = 10 without a goal;
  half of its samples for minsr.
- `netket-steady`: SteadyState with Sgd(0.01) and SR(diag_shift = 0.01), real part of the metric, 2,048 samples.
- `netket-steady-adam`: the same with Adam(0.001) and no metric.
- `netket-tdvp`: TDVP with Heun steps of 1e-3, QGTJacobianDense with diag_shift 1e-3 and a Cholesky solve, to t = 10.

NetKet 3.23, MCMixedState with the NDM (alpha = beta = M/N: as many parameters), 16,384 samples of the diagonal, normal
parameters of standard deviation 0.01. m_z is measured after every 10 steps of its drivers.
"""

import argparse
import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from codes import COUPLING, DECAY, FIELD, cores

SITES, HIDDEN = 16, 12
Values = dict[str, float]


def reference() -> float:
    """The shipped value."""
    from neurho import config, reference

    return float(reference.shipped(config.load("fig3"))["sz"])


def neurho(problem: str, changes: list[str]) -> Iterator[Values]:
    """Network and corrected m_z at every output of a shipped problem."""
    from neurho import config
    from neurho.problem import build

    for snapshot in build(config.load(problem, changes)).snapshots():
        found = snapshot.observables
        yield {"network": float(found["sz"].mean), "corrected": float(found["sz_corrected"].mean)}


def netket_state(samples: int) -> tuple[Any, Any, Callable[[], float]]:
    """Liouvillian, variational state, and the measurement of m_z."""
    import jax
    import netket as nk

    hilbert = nk.hilbert.Spin(0.5, SITES)
    sz, sx = nk.operator.spin.sigmaz, nk.operator.spin.sigmax
    hamiltonian = sum(FIELD[2] * sz(hilbert, j) for j in range(SITES))
    hamiltonian += sum(COUPLING[0] * sx(hilbert, j) @ sx(hilbert, j + 1) for j in range(SITES - 1))
    jumps = [np.sqrt(DECAY) * nk.operator.spin.sigmam(hilbert, j) for j in range(SITES)]
    liouvillian = nk.operator.LocalLiouvillian(hamiltonian, jumps)
    state = nk.vqs.MCMixedState(
        nk.sampler.MetropolisLocal(liouvillian.hilbert, n_chains=512, sweep_size=2 * SITES),
        nk.models.NDM(alpha=HIDDEN / SITES, beta=HIDDEN / SITES),
        sampler_diag=nk.sampler.MetropolisLocal(hilbert, n_chains=512, sweep_size=2 * SITES),
        n_samples=samples,
        n_samples_diag=16384,
        seed=1,
    )
    state.init_parameters(jax.nn.initializers.normal(stddev=0.01))
    mean = sum(sz(hilbert, j) / SITES for j in range(SITES))
    return liouvillian, state, lambda: float(np.real(state.expect(mean).mean))


def netket_steady(*, adam: bool) -> Iterator[Values]:
    """The variational minimisation of L^+ L."""
    import netket as nk

    liouvillian, state, measure = netket_state(2048)
    if adam:
        driver = nk.SteadyState(liouvillian, nk.optimizer.Adam(0.001), variational_state=state)
    else:
        metric = nk.optimizer.SR(diag_shift=0.01, holomorphic=False)
        driver = nk.SteadyState(liouvillian, nk.optimizer.Sgd(0.01), variational_state=state, preconditioner=metric)
    while True:
        driver.run(10, out=(), show_progress=False)
        yield {"network": measure()}


def netket_tdvp() -> Iterator[Values]:
    """The dynamics, followed until it is stationary."""
    import netket as nk
    import netket.experimental as nkx

    liouvillian, state, measure = netket_state(4096)
    driver = nkx.TDVP(
        liouvillian,
        state,
        nkx.dynamics.Heun(dt=1e-3),
        qgt=partial(nk.optimizer.qgt.QGTJacobianDense, diag_shift=1e-3, holomorphic=False),
        linear_solver=nk.optimizer.solver.cholesky,
    )
    while driver.t < 10:
        driver.run(1e-2, out=(), show_progress=False)
        yield {"network": measure()}


FLOW = ["task.t_max=10", "task.points=201", "task.delta_L=1e-9"]
SOLVERS = {
    "ridge": [],
    "cutoff": ["task.cutoff=1e-4"],
    "snr": [],
    "cg": ["task.ridge=1e-3", "task.cg_tolerance=1e-2"],
    "auto": ["task.ridge=1e-3", "task.cg_tolerance=1e-2"],
    "minsr": ["sampling.samples=2048", "sampling.chains=1024"],
}
ATTEMPTS: dict[str, Callable[[], Iterator[Values]]] = {
    "continuation": lambda: neurho("fig3-continuation", []),
    **{
        f"flow-{name}": lambda name=name, more=more: neurho("fig3", [*FLOW, f"task.solver={name}", *more])
        for name, more in SOLVERS.items()
    },
    "netket-steady": lambda: netket_steady(adam=False),
    "netket-steady-adam": lambda: netket_steady(adam=True),
    "netket-tdvp": netket_tdvp,
}


def _serve(name: str, pipe: Any) -> None:
    """Send (seconds, values) of every output, and at last None or what went wrong."""
    os.environ["JAX_ENABLE_X64"] = "1"
    if not name.startswith("netket"):
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={cores()}"
    try:
        import jax  # noqa: F401 - imports are not timed

        import neurho.problem  # noqa: F401

        if name.startswith("netket"):
            import netket  # noqa: F401
        began = time.perf_counter()
        for values in ATTEMPTS[name]():
            pipe.send((time.perf_counter() - began, values))
        pipe.send(None)
    except Exception as error:
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def attempt(name: str, limit: float) -> tuple[list[tuple[float, Values]], str]:
    """The outputs of an attempt within `limit` seconds, and how it ended."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_serve, args=(name, far), daemon=True)
    process.start()
    far.close()
    outputs, ended = [], "the limit of time"
    deadline = time.monotonic() + limit
    try:
        while near.poll(max(0.0, deadline - time.monotonic())):
            said = near.recv()
            if said is None or isinstance(said, str):
                ended = said or "the end"
                break
            outputs.append(said)
    except EOFError:
        ended = "the process died"
    process.kill()
    process.join()
    return outputs, ended


def judge(outputs: list[tuple[float, Values]], ended: str, truth: float, within: float) -> dict[str, Any]:
    """When each kind of value came into the band to stay; `seconds` is None where it did not."""
    failed = ended not in ("the end", "the limit of time")
    found: dict[str, Any] = {"ended": ended, "outputs": len(outputs)}
    for kind in outputs[0][1] if outputs else ("network",):
        errors = [abs(values[kind] - truth) for _, values in outputs]
        outside = [k for k, error in enumerate(errors) if not error <= within]  # NaN is outside
        first = outside[-1] + 1 if outside else 0
        inside = len(errors) - first
        found[kind] = {
            "seconds": outputs[first][0] if inside and not failed else None,
            "outputs_inside": inside,
            "last_error": errors[-1] if errors else None,
            "least_error": min(errors) if errors else None,
        }
    return found


def table(found: dict[str, Any]) -> str:
    lines = [f"m_z = {found['reference']:.6f}, within {found['within']:g}, at most {found['limit']:g} s an attempt"]
    for name, row in found["attempts"].items():
        for kind in ("network", "corrected"):
            if kind not in row:
                continue
            value = row[kind]
            said = "failed" if value["seconds"] is None else f"{value['seconds']:.1f} s"
            last = "-" if value["last_error"] is None else f"{value['last_error']:.1e}"
            lines.append(f"{name:20} {kind:10} {said:>10}   last error {last}   ended by {row['ended']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for each attempt")
    parser.add_argument("--only", action="append", choices=list(ATTEMPTS), help="repeatable")
    parser.add_argument("--within", type=float, default=1e-3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    truth, attempts = reference(), {}
    for name in asked.only or ATTEMPTS:
        outputs, ended = attempt(name, asked.limit)
        attempts[name] = judge(outputs, ended, truth, asked.within)
    found = {"reference": truth, "within": asked.within, "limit": asked.limit, "cores": cores(), "attempts": attempts}
    print(json.dumps(found) if asked.json else table(found))


if __name__ == "__main__":
    main()
