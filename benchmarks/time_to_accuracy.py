"""Seconds until the mean magnetisation of a stationary state is right, and stays right.

Three states: Fig. 3 of PRL 122, 250502 (N = 16, a matrix-product state as reference), a ring of six Ising spins
(coupling 0.5, field g/2 = 0.5, exact reference), and the 3x3 XYZ torus, J = (0.9, 1.2, 1) (exact), each within 1e-3. An
attempt counts from the first second at which the site-averaged m_z is so close to the reference, and from which on no
later output leaves that band; compilation included, imports not, nothing taken from a cache of programs. CPU seconds
are those of the process, on all cores. Every attempt is a process of its own with a wall limit, and one of CPU seconds
if asked for: what is not there by then has failed, and so has an attempt that ends with an error. One that reaches
the band only in its last output is reported as such (`outputs_inside` = 1).

- `continuation`, `labels`: the shipped problems `fig3-continuation` and `fig3-labels`; values in the network and
  corrected ones.
- `flow-SOLVER`: the shipped problem `fig3` (adaptive steps, blurred sampling) to t = 10 without a goal;
  half of its samples for minsr.
- `netket-steady`: SteadyState with Sgd(0.01) and SR(diag_shift = 0.01), real part of the metric, 2,048 samples.
- `netket-steady-adam`: the same with Adam(0.001) and no metric.
- `netket-steady-fast`: SteadyState with Sgd(0.05) and SR(diag_shift = 1e-3), 1,024 samples.
- `netket-tdvp`: TDVP with Heun steps of 1e-3, QGTJacobianDense with diag_shift 1e-3 and a Cholesky solve, to t = 10.
- `ising6-...`: the same for the ring: continuation with Eq. 2, M = Mtilde = 12, and 4,096 samples, NetKet's
  SteadyState, and `correlators` by their defaults.
- `...-string-networks`: a mixture of products as a network of correlators, all equations of up to 6 sites, and no
  other setting.
- `xyz33-...`: the same for the torus: Eq. 2 and labels with translations, M = Mtilde = 18 and 36, 4,096 samples.

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
from typing import Any, NamedTuple

import numpy as np
from codes import COUPLING, DECAY, FIELD, cores

Values = dict[str, float]


class System(NamedTuple):
    """A stationary state to find, M = Mtilde of the networks, and how close m_z should come."""

    shape: tuple[int, ...]
    periodic: bool
    field: tuple[float, float, float]
    coupling: tuple[float, float, float]
    hidden: int
    within: float

    @property
    def sites(self) -> int:
        return int(np.prod(self.shape))

    @property
    def bonds(self) -> list[tuple[int, int]]:
        """Pairs of neighbours, each once."""
        places = np.arange(self.sites).reshape(self.shape)
        found = set()
        for axis in range(places.ndim):
            last = places.shape[axis] - (not self.periodic)
            ends = (np.take(a, range(last), axis, mode="wrap").ravel() for a in (places, np.roll(places, -1, axis)))
            found |= {(int(i), int(j)) for i, j in zip(*ends, strict=True)}
        return sorted(found)


FIG3 = System((16,), False, FIELD, COUPLING, 12, 1e-3)
RING = System((6,), True, (0.5, 0.0, 0.0), (0.0, 0.0, 0.5), 12, 1e-3)
TORUS = System((3, 3), True, (0.0, 0.0, 0.0), (0.9, 1.2, 1.0), 18, 1e-3)
PHYSICS = """
seed = 1
[lattice]
kind = "{kind}"
shape = {shape}
periodic = true
[model]
kind = "heisenberg"
field = {field}
coupling = {coupling}
decay = {decay}
[task]
kind = "stationary"
"""
NETWORK = """
[ansatz]
kind = "{kind}"
hidden = {hidden}
mixing = {hidden}
translations = {tied}
[sampling]
kind = "metropolis"
samples = 4096
chains = 1024
diagonal_samples = 16384
exponent = 0.8
blur = 0.5
"""


def physics(where: System) -> str:
    kind = "chain" if len(where.shape) == 1 else "square"
    numbers = {"shape": list(where.shape), "field": list(where.field), "coupling": list(where.coupling)}
    return PHYSICS.format(kind=kind, decay=DECAY, **numbers)


def network(where: System, kind: str = "rbm", times: int = 1) -> str:
    """The problem by continuation, with translations in two dimensions."""
    tied = str(len(where.shape) > 1).lower()
    return physics(where) + NETWORK.format(kind=kind, hidden=times * where.hidden, tied=tied)


def by_correlators(where: System) -> str:
    return physics(where) + 'method = "correlators"\n'


WEIGHT = 6
"""Sites of strings whose equations networks of correlators are fitted to."""


def by_string_networks(where: System) -> str:
    return physics(where) + f'weight = {WEIGHT}\n[ansatz]\nkind = "mixture"\n'


def system(name: str) -> System:
    return {"ising6": RING, "xyz33": TORUS}.get(name.partition("-")[0], FIG3)


def reference(where: System) -> float:
    """The exact or shipped value of m_z."""
    from neurho import config
    from neurho.run.problem import build

    if where is FIG3:
        found = build(config.load("fig3")).reference()
        return float(found["sz"])
    *_, last = build(config.loads(physics(where) + 'method = "exact"\n')).snapshots()
    return float(last.observables["sz"].mean)


def neurho(problem: str, changes: list[str]) -> Iterator[Values]:
    """Network and corrected m_z at every output of a shipped problem, or of one as text."""
    from neurho import config
    from neurho.run.problem import build

    asked = config.loads(problem) if "\n" in problem else config.load(problem, changes)
    for snapshot in build(asked).snapshots():
        found = snapshot.observables
        yield {
            kind: float(found[n].mean) for kind, n in (("network", "sz"), ("corrected", "sz_corrected")) if n in found
        }


def netket_state(where: System, samples: int) -> tuple[Any, Any, Callable[[], float]]:
    """Liouvillian, variational state, and the measurement of m_z."""
    import jax
    import netket as nk

    n = where.sites
    hilbert = nk.hilbert.Spin(0.5, n)
    spins = (nk.operator.spin.sigmax, nk.operator.spin.sigmay, nk.operator.spin.sigmaz)
    terms = [b * s(hilbert, j) for b, s in zip(where.field, spins, strict=True) if b for j in range(n)]
    terms += [
        c * s(hilbert, i) @ s(hilbert, j)
        for c, s in zip(where.coupling, spins, strict=True)
        if c
        for i, j in where.bonds
    ]
    hamiltonian, sz = sum(terms), spins[2]
    jumps = [np.sqrt(DECAY) * nk.operator.spin.sigmam(hilbert, j) for j in range(n)]
    liouvillian = nk.operator.LocalLiouvillian(hamiltonian, jumps)
    state = nk.vqs.MCMixedState(
        nk.sampler.MetropolisLocal(liouvillian.hilbert, n_chains=512, sweep_size=2 * n),
        nk.models.NDM(alpha=where.hidden / n, beta=where.hidden / n),
        sampler_diag=nk.sampler.MetropolisLocal(hilbert, n_chains=512, sweep_size=2 * n),
        n_samples=samples,
        n_samples_diag=16384,
        seed=1,
    )
    state.init_parameters(jax.nn.initializers.normal(stddev=0.01))
    mean = sum(sz(hilbert, j) / n for j in range(n))
    return liouvillian, state, lambda: float(np.real(state.expect(mean).mean))


def netket_steady(
    where: System, samples: int = 2048, rate: float = 0.01, shift: float | None = 0.01
) -> Iterator[Values]:
    """The variational minimisation of L^+ L: stochastic reconfiguration with a shift, or Adam."""
    import netket as nk

    liouvillian, state, measure = netket_state(where, samples)
    if shift is None:
        driver = nk.SteadyState(liouvillian, nk.optimizer.Adam(rate), variational_state=state)
    else:
        metric = nk.optimizer.SR(diag_shift=shift, holomorphic=False)
        driver = nk.SteadyState(liouvillian, nk.optimizer.Sgd(rate), variational_state=state, preconditioner=metric)
    while True:
        driver.run(10, out=(), show_progress=False)
        yield {"network": measure()}


def netket_tdvp() -> Iterator[Values]:
    """The dynamics, followed until it is stationary."""
    import netket as nk
    import netket.experimental as nkx

    liouvillian, state, measure = netket_state(FIG3, 4096)
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
    "labels": lambda: neurho("fig3-labels", []),
    **{
        f"flow-{name}": lambda name=name, more=more: neurho("fig3", [*FLOW, f"task.solver={name}", *more])
        for name, more in SOLVERS.items()
    },
    "netket-steady": lambda: netket_steady(FIG3),
    "netket-steady-fast": lambda: netket_steady(FIG3, 1024, 0.05, 1e-3),
    "netket-steady-adam": lambda: netket_steady(FIG3, rate=0.001, shift=None),
    "netket-tdvp": netket_tdvp,
    **{
        f"{name}-{attempt}": run
        for name, where in (("ising6", RING), ("xyz33", TORUS))
        for attempt, run in {
            "correlators": lambda where=where: neurho(by_correlators(where), []),
            "string-networks": lambda where=where: neurho(by_string_networks(where), []),
            "continuation": lambda where=where: neurho(network(where), []),
            "netket-steady": lambda where=where: netket_steady(where),
            "netket-steady-fast": lambda where=where: netket_steady(where, 1024, 0.05, 1e-3),
            "netket-steady-adam": lambda where=where: netket_steady(where, rate=0.001, shift=None),
        }.items()
    },
    "xyz33-labels": lambda: neurho(network(TORUS, "liouville", 2), []),
}


def _serve(name: str, pipe: Any, most: float) -> None:
    """Send (seconds, values) of every output, and at last None or what went wrong."""
    os.environ["JAX_ENABLE_X64"] = "1"
    if "netket" not in name:
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={cores()}"
    try:
        import jax  # noqa: F401 - imports are not timed

        import neurho.run.problem  # noqa: F401

        if "netket" in name:
            import netket  # noqa: F401
        began, used = time.perf_counter(), time.process_time()
        for values in ATTEMPTS[name]():
            spent = time.process_time() - used
            pipe.send((time.perf_counter() - began, values | {"cpu": spent}))
            if spent > most:
                pipe.send("the limit of CPU time")
                return
        pipe.send(None)
    except Exception as error:
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def attempt(name: str, limit: float, most: float) -> tuple[list[tuple[float, Values]], str]:
    """The outputs of an attempt within `limit` seconds, and how it ended."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_serve, args=(name, far, most), daemon=True)
    process.start()
    far.close()
    outputs: list[tuple[float, Values]] = []
    ended = "the limit of time"
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
    failed = ended not in ("the end", "the limit of time", "the limit of CPU time")
    found: dict[str, Any] = {"ended": ended, "outputs": len(outputs)}
    for kind in [k for k in outputs[0][1] if k != "cpu"] if outputs else ("network",):
        errors = [abs(values[kind] - truth) for _, values in outputs]
        outside = [k for k, error in enumerate(errors) if not error <= within]  # NaN is outside
        first = outside[-1] + 1 if outside else 0
        inside = len(errors) - first
        found[kind] = {
            "seconds": outputs[first][0] if inside and not failed else None,
            "cpu": outputs[first][1]["cpu"] if inside and not failed else None,
            "cpu_at_end": outputs[-1][1]["cpu"] if outputs else None,
            "outputs_inside": inside,
            "last_error": errors[-1] if errors else None,
            "least_error": min(errors) if errors else None,
        }
    return found


def table(found: dict[str, Any]) -> str:
    lines = [f"at most {found['limit']:g} s an attempt"]
    for name, row in found["attempts"].items():
        for kind in ("network", "corrected"):
            if kind not in row:
                continue
            value = row[kind]
            said = "failed" if value["seconds"] is None else f"{value['seconds']:.1f} s ({value['cpu']:.1f} s CPU)"
            last = "-" if value["last_error"] is None else f"{value['last_error']:.1e}"
            lines.append(f"{name:26} {kind:10} {said:>22}   last error {last}   ended by {row['ended']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for each attempt")
    parser.add_argument("--cpu", type=float, default=np.inf, help="CPU seconds for each attempt")
    parser.add_argument("--only", action="append", choices=list(ATTEMPTS), help="repeatable")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    attempts: dict[str, Any] = {}
    for name in asked.only or ATTEMPTS:
        where = system(name)
        outputs, ended = attempt(name, asked.limit, asked.cpu)
        attempts[name] = judge(outputs, ended, reference(where), where.within) | {"within": where.within}
    found = {"limit": asked.limit, "cores": cores(), "attempts": attempts}
    print(json.dumps(found) if asked.json else table(found))


if __name__ == "__main__":
    main()
