"""The two codes at the same work: each class offers the parts of one right-hand side of the Fig. 3 system, to be timed.

Both live in processes of their own (see processes.py) and import their library there. The network is the NDM, with the
same parameters in both: a dict of arrays named as the fields of `neurho.networks.NDM`.
"""

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

FIELD, COUPLING, DECAY = (0.0, 0.0, 10.0), (1.0, 0.0, 0.0), 1.0
CHAINS = 2048


class Sizes(NamedTuple):
    """Sites, hidden units M = Mtilde, samples of p and of q, relative ridge and tolerance of the solve."""

    sites: int
    hidden: int
    samples: int
    ridge: float = 1e-3
    tolerance: float = 1e-2


def cores() -> int:
    return len(os.sched_getaffinity(0))


def random_parameters(sizes: Sizes, *, scale: float = 0.1, seed: int = 0) -> dict[str, np.ndarray]:
    rng, n, m = np.random.default_rng(seed), sizes.sites, sizes.hidden
    shapes = {
        "visible": (2, n),
        "hidden_bias": (2, m),
        "hidden_weights": (2, m, n),
        "mixing_bias": (m,),
        "mixing_weights": (2, m, n),
    }
    return {name: scale * rng.normal(size=shape) for name, shape in shapes.items()}


def random_spins(sizes: Sizes, count: int, *, seed: int = 1) -> np.ndarray:
    """Rows and columns of `count` configurations, +-1, `(count, 2 sites)`."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(count, 2 * sizes.sites))


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    import jax

    began = time.perf_counter()
    value = jax.block_until_ready(function())
    return time.perf_counter() - began, value


class Neurho:
    """This library, with one virtual device for each core."""

    def __init__(self, sizes: Sizes) -> None:
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={cores()}"
        import equinox as eqx
        import jax

        jax.config.update("jax_enable_x64", True)
        import neurho
        from neurho.matrix_elements.estimation.observables import build_observables
        from neurho.observables import Quantity

        self.jax, self.neurho, self.sizes = jax, neurho, sizes
        lattice = neurho.chain(sizes.sites)
        model = neurho.heisenberg(lattice, field=FIELD, coupling=COUPLING, decay=DECAY)
        chains = min(CHAINS, sizes.samples)
        # Two sweeps over the sites are 2N proposals for a kept sample.
        sampler = neurho.samplers.metropolis(lattice, samples=sizes.samples, chains=chains, sweeps=2, pairs=False)
        diagonal = neurho.samplers.metropolis_diagonal(lattice, samples=sizes.samples, chains=chains)
        solver = neurho.matrix_elements.tdvp.solvers.ConjugateGradient(
            ridge=sizes.ridge, tolerance=sizes.tolerance, single=True
        )
        self.tdvp = neurho.methods.TDVP(neurho.methods.lindbladian_map(model), sampler, solver)
        sz = Quantity("sz", tuple(neurho.sz(j) for j in range(sizes.sites)), average=True)
        self.observables = build_observables([sz], diagonal, sizes.sites)
        self.sample = eqx.filter_jit(lambda s, k, a, c: s.sample(k, a.amplitudes(), c))
        self.estimate = eqx.filter_jit(lambda tdvp, a, draw, guess: tdvp.assemble(0.0, a, draw, guess)[0])
        self.solve = eqx.filter_jit(lambda solver, metric: solver(metric))
        self.chains = self.diagonal_chains = self.ansatz = None
        self.step = 0

    def set_parameters(self, values: dict[str, np.ndarray]) -> None:
        sites = self.sizes.sites
        leaves = {name: self.jax.numpy.asarray(value) for name, value in values.items()}
        self.ansatz = self.neurho.networks.NDM(**leaves, sites=sites, local_dim=2)
        if self.chains is None:
            warm = self.jax.jit(lambda s, k, a: s.init(k, a))
            key, amplitudes = self.jax.random.key(0), self.ansatz.amplitudes()
            self.chains = warm(self.tdvp.sampler, key, amplitudes)
            self.diagonal_chains = warm(self.observables.sampler, key, amplitudes)
            # As later guesses are: another placement would be compiled again in the first repetition that counts.
            zero = self.jax.numpy.zeros(self.neurho.parameter_count(self.ansatz))
            self.guess = self.neurho.parallel.replicate(zero)

    def run(self) -> dict[str, float]:
        """One right-hand side and one measurement as a flow makes them, and then the same part by part."""
        key = self.jax.random.fold_in(self.jax.random.key(1), self.step)
        self.step += 1
        guess = self.guess
        seconds: dict[str, float] = {}
        whole, rates = timed(lambda: self.tdvp(key, 0.0, self.ansatz, self.chains, guess))
        seconds["observables"], (found, chains) = timed(
            lambda: self.observables(key, self.ansatz, self.diagonal_chains)
        )
        seconds["right_hand_side"] = whole
        seconds["total"] = whole + seconds["observables"]
        seconds["sampling"], (draw, _, _) = timed(lambda: self.sample(self.tdvp.sampler, key, self.ansatz, self.chains))
        seconds["local_values"], metric = timed(lambda: self.estimate(self.tdvp, self.ansatz, draw, guess))
        seconds["metric_solve"], solution = timed(lambda: self.solve(self.tdvp.solver, metric))
        self.chains, self.diagonal_chains, self.guess = rates.chains, chains, rates.velocity
        self.magnetisation = float(found.averages.mean[0])
        self.iterations = float(solution.rank)
        return seconds

    def advance(self, dt: float) -> dict[str, np.ndarray]:
        """The parameters after an Euler step along the last velocity."""
        from neurho.matrix_elements.networks import parameters

        vector, restore = parameters(self.ansatz)
        moved = restore(vector + dt * self.guess)
        names = ("visible", "hidden_bias", "hidden_weights", "mixing_bias", "mixing_weights")
        return {name: np.asarray(getattr(moved, name)) for name in names}

    def facts(self) -> dict[str, Any]:
        from neurho.matrix_elements.tdvp.metric import Metric

        metric: Metric = self.estimate(
            self.tdvp,
            self.ansatz,
            self.sample(self.tdvp.sampler, self.jax.random.key(2), self.ansatz, self.chains)[0],
            self.guess,
        )
        shift = self.sizes.ridge * float(self.jax.jit(lambda m: m.trace())(metric)) / len(metric.force)
        return {
            "devices": self.jax.device_count(),
            "parameters": len(metric.force),
            "shift": shift,
            "iterations": self.iterations,
            "magnetisation": self.magnetisation,
        }

    def values(self, spins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log rho and the local values of the Lindbladian at given rows and columns."""
        from neurho.matrix_elements.estimation.estimators import local_values
        from neurho.matrix_elements.networks.base import log_amplitudes

        levels = ((1 - spins) / 2).astype(np.int32)
        n = self.sizes.sites
        x = self.jax.numpy.asarray(2 * levels[:, :n] + levels[:, n:])
        local = self.jax.jit(lambda a, g, x: local_values(a.amplitudes(), g, x))
        return np.asarray(log_amplitudes(self.ansatz, x)), np.asarray(local(self.ansatz, self.tdvp.generator, x)[:, 0])


class Netket:
    """NetKet as its TDVP driver uses it: MCMixedState, LocalLiouvillian, expect_and_forces, a QGT with its solver."""

    def __init__(self, sizes: Sizes) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        import netket as nk

        self.jax, self.nk, self.sizes = jax, nk, sizes
        n = sizes.sites
        hilbert = nk.hilbert.Spin(0.5, n)
        sz, sx = nk.operator.spin.sigmaz, nk.operator.spin.sigmax
        hamiltonian = sum(FIELD[2] * sz(hilbert, j) for j in range(n))
        hamiltonian += sum(COUPLING[0] * sx(hilbert, j) @ sx(hilbert, j + 1) for j in range(n - 1))
        jumps = [np.sqrt(DECAY) * nk.operator.spin.sigmam(hilbert, j) for j in range(n)]
        self.liouvillian = nk.operator.LocalLiouvillian(hamiltonian, jumps)
        self.magnetisation_operator = sum(sz(hilbert, j) / n for j in range(n))
        chains = min(CHAINS, sizes.samples)
        sampler = nk.sampler.MetropolisLocal(self.liouvillian.hilbert, n_chains=chains, sweep_size=2 * n)
        diagonal = nk.sampler.MetropolisLocal(hilbert, n_chains=chains, sweep_size=2 * n)
        model = nk.models.NDM(alpha=sizes.hidden / n, beta=sizes.hidden / n)
        self.state = nk.vqs.MCMixedState(
            sampler,
            model,
            sampler_diag=diagonal,
            n_samples=sizes.samples,
            n_samples_diag=sizes.samples,
            n_discard_per_chain=0,
            n_discard_per_chain_diag=0,
            chunk_size=None if n <= 16 else 64,
        )
        self.guess: dict[str, Any] = {"matrix_free": None, "dense": None}
        self.shift = 1e-5

    def set_parameters(self, values: dict[str, np.ndarray]) -> None:
        visible, bias, weights = values["visible"], values["hidden_bias"], values["hidden_weights"]
        pure = {
            name: {"Dense": {"kernel": weights[k].T, "bias": bias[k]}, "visible_bias": visible[k]}
            for k, name in enumerate(("PureSymm", "PureASymm"))
        }
        symmetric, antisymmetric = values["mixing_weights"]
        mixed = {
            "Symm": {"kernel": symmetric.T},
            "ASymm": {"kernel": antisymmetric.T},
            "bias": values["mixing_bias"],
        }
        parameters = self.jax.tree.map(self.jax.numpy.asarray, pure | {"Mixed": mixed})
        old, new = (self.jax.tree.map(np.shape, p) for p in (self.state.parameters, parameters))
        assert old == new, (old, new)
        self.state.parameters = parameters

    def run(self) -> dict[str, float]:
        """One right-hand side and one measurement; the metric by both ways, the total with the faster of them."""
        seconds: dict[str, float] = {}
        self.state.reset()
        seconds["sampling"], _ = timed(self.state.sample)
        seconds["local_values"], (_, force) = timed(lambda: self.state.expect_and_forces(self.liouvillian))
        force = self.jax.tree.map(lambda f: f.real, force)
        for name, solve in (("dense", self._dense), ("matrix_free", self._matrix_free)):
            if name == "dense" and self.state.n_parameters > 5000:
                continue  # S alone is larger than 2 GB
            seconds[f"metric_solve_{name}"], self.guess[name] = timed(lambda solve=solve: solve(force))
        seconds["metric_solve"] = min(v for k, v in seconds.items() if k.startswith("metric_solve"))
        seconds["observables"], found = timed(lambda: self.state.expect(self.magnetisation_operator).mean)
        self.magnetisation = float(np.real(found))
        seconds["right_hand_side"] = sum(seconds[k] for k in ("sampling", "local_values", "metric_solve"))
        seconds["total"] = seconds["right_hand_side"] + seconds["observables"]
        return seconds

    def _dense(self, force: Any) -> Any:
        qgt = self.nk.optimizer.qgt.QGTJacobianDense(self.state, diag_shift=self.shift, holomorphic=False)
        return qgt.solve(self.nk.optimizer.solver.cholesky, force)[0]

    def _matrix_free(self, force: Any) -> Any:
        from functools import partial

        from jax.scipy.sparse.linalg import cg

        qgt = self.nk.optimizer.qgt.QGTOnTheFly(self.state, diag_shift=self.shift, holomorphic=False)
        return qgt.solve(partial(cg, tol=self.sizes.tolerance, maxiter=300), force, x0=self.guess["matrix_free"])[0]

    def set_shift(self, shift: float) -> None:
        """The regularisation of the metric, the same number as neurho adds."""
        self.shift = shift

    def facts(self) -> dict[str, Any]:
        return {
            "version": self.nk.__version__,
            "devices": self.jax.device_count(),
            "parameters": int(self.state.n_parameters),
            "magnetisation": self.magnetisation,
        }

    def values(self, spins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log rho and the local values of the Liouvillian at given rows and columns."""
        connected, elements = self.liouvillian.get_conn_padded(spins)
        log_rho = np.asarray(self.state.log_value(spins))
        flat = np.asarray(self.state.log_value(connected.reshape(-1, connected.shape[-1])))
        ratios = np.exp(flat.reshape(elements.shape) - log_rho[:, None])
        return log_rho, np.sum(elements * ratios, axis=1)
