"""The shipped references of the 4x4 XYZ torus: trajectories that keep their momentum.

    python benchmarks/torus_reference.py --jy 1.2 --seconds 600 --out torus.npz            # stationary state
    python benchmarks/torus_reference.py --jy 1.2 --quench 4 --seconds 600 --out quench.npz

Jumps may be mixed by any unitary matrix: with c_q = N^(-1/2) sum_j exp(i q.r_j) sigma^-_j in place of the sigma^-_j the
Lindbladian is the same, H_eff too, and a wave function of momentum k jumps to momentum k - q. With parity it has
2^16/32 amplitudes. Means are those of Monte-Carlo wave functions, their scatter is another one. It goes on where
it was stopped (`--state`), and says every ten seconds what it has. `--shape 3 3` compares with the exact state.
"""

import argparse
import json
import pickle
import time
from functools import cache
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
import scipy.optimize
import scipy.sparse as sp
import scipy.special

jax.config.update("jax_enable_x64", True)

from neurho import models  # noqa: E402
from neurho.model import lattice  # noqa: E402
from neurho.model.operators import sm, sx, sy, sz, total  # noqa: E402
from neurho.trajectories.propagation import chebyshev_order  # noqa: E402
from neurho.trajectories.statistics import Moments, settle, with_samples  # noqa: E402
from neurho.trajectories.system import loss_of  # noqa: E402

TOLERANCE, SPACING, BURN_IN, BLOCK = 1e-9, 0.5, 20.0, 16
NAMES = ("sz", "structure_xx", "structure_yy", "structure_zz", "sxsx", "sysy", "szsz")


class Torus:
    """Blocks of definite parity and momentum; `momentum` numbers the dual group of the translations."""

    def __init__(self, shape, jy):
        self.lattice = lattice.square(*shape, periodic=True)
        self.model = models.xyz(self.lattice, coupling=(0.9, jy, 1.0))
        self.sites = n = self.lattice.sites
        moves = self.lattice.translations
        bits = (np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1)) & 1
        images = np.stack([bits[:, move] @ (1 << np.arange(n - 1, -1, -1)) for move in moves])
        self.first, self.shift = images.min(axis=0), images.argmin(axis=0)
        self.fixed = images == np.arange(2**n)
        self.parity = bits.sum(axis=1) % 2
        cells = np.array(np.unravel_index(np.arange(n), shape)).T
        steps = np.array(np.unravel_index(moves[:, 0], shape)).T  # where each translation takes the origin
        self.phases = np.exp(2j * np.pi * (steps / shape) @ cells.T)  # (translations, momenta)
        self.effective = (self.model.hamiltonian - 0.5j * loss_of(self.model)).to_sparse(n).tocsr()
        self.lower = np.sqrt(n) * sm(0).to_sparse(n).tocsr()
        self.radius, self.middle, self.order, self.longest = self._polynomials()
        bonds = self.lattice.bonds
        sums = {f"s{a}s{a}": total([s(int(i)) @ s(int(j)) for i, j in bonds]) / len(bonds) for a, s in PAULI}
        sums["sz"] = total([sz(j) for j in range(n)]) / n
        self.means = {name: operator.to_sparse(n).tocsr() for name, operator in sums.items()}
        self.totals = {name: total([s(j) for j in range(n)]).to_sparse(n).tocsr() for name, s in PAULI}

    def _polynomials(self):
        h = self.model.hamiltonian.to_sparse(self.sites)
        low, high = (sp.linalg.eigsh(h, 1, which=w, return_eigenvectors=False)[0] for w in ("SA", "LA"))
        radius = 1.01 * (high - low) / 2
        width = self.sites / 4 / radius
        reach = 12.0
        order = chebyshev_order(reach, width, TOLERANCE)
        return radius, (high + low) / 2 - 0.25j * self.sites, order, reach / radius

    @cache  # noqa: B019  (one torus for a process)
    def basis(self, parity, k):
        """Orthonormal states of one momentum as columns, from configurations."""
        kept = np.abs(self.fixed.T @ self.phases[:, k]) > 1e-9
        inside = np.flatnonzero(kept & (self.parity == parity))
        columns, place = np.unique(self.first[inside], return_inverse=True)
        values = self.phases[self.shift[inside], k]
        lengths = np.sqrt(np.bincount(place))
        return sp.csr_matrix((values / lengths[place], (inside, place)), shape=(2**self.sites, len(columns)))

    @cache  # noqa: B019
    def block(self, parity, k):
        """X = (H_eff - c)/R, mean observables, sum_j sigma^a_j, and the jump to each momentum.

        V_k'^+ c_q V_k = N^(1/2) V_k'^+ sigma^-_0 V_k with k' = k - q: both carry the phases of translations.
        """
        v = self.basis(parity, k)
        left = v.conj().T.tocsr()
        x = ((left @ self.effective @ v) - self.middle * sp.identity(v.shape[1])) / self.radius
        means = {name: (left @ operator @ v).tocsr() for name, operator in self.means.items()}
        for name, operator in self.totals.items():
            to = self.basis(parity if name == "z" else 1 - parity, k)
            means[name] = (to.conj().T @ operator @ v).tocsr()
        lowered = self.lower @ v
        jumps = [(self.basis(1 - parity, to).conj().T @ lowered).tocsr() for to in range(self.sites)]
        return x.tocsr(), means, jumps

    def read(self, psi, parity, k):
        """All means."""
        means, found, n = self.block(parity, k)[1], {}, self.sites
        norm = np.vdot(psi, psi).real
        for name, operator in means.items():
            moved = operator @ psi
            if len(name) == 1:  # <(sum_j s_j)^2> has N terms with j = l
                found[f"structure_{name}{name}"] = (np.vdot(moved, moved).real / norm - n) / (n * (n - 1))
            else:
                found[name] = np.vdot(psi, moved).real / norm
        return np.array([found[name] for name in NAMES])


PAULI = (("x", sx), ("y", sy), ("z", sz))


class Walker:
    """One trajectory."""

    def __init__(self, torus, seed, up):
        self.torus, self.random, self.t = torus, np.random.default_rng(seed), 0.0
        start = 0 if up else 2**torus.sites - 1  # spins up are level 0
        self.parity, self.k = int(torus.parity[start]), 0
        psi = torus.basis(self.parity, 0).conj().T[:, [start]].toarray().ravel()
        self.psi, self.threshold = psi / np.linalg.norm(psi), 1 - self.random.random()

    def to(self, t):
        """Follow it to time t, and read all means."""
        while self.t < t:
            self._step(min(t - self.t, self.torus.longest))
            self.t = t if t - self.t < 1e-12 else self.t
        return self.torus.read(self.psi, self.parity, self.k)

    def _step(self, h):
        x, torus = self.torus.block(self.parity, self.k)[0], self.torus
        series = np.empty((torus.order + 1, len(self.psi)), complex)
        series[0], series[1] = self.psi, x @ self.psi
        for n in range(2, torus.order + 1):
            series[n] = 2 * (x @ series[n - 1]) - series[n - 2]
        gram = series.conj() @ series.T
        number = np.arange(torus.order + 1)

        def weights(s):
            bessel = scipy.special.jv(number, torus.radius * s)
            return np.where(number == 0, 1, 2) * (-1j) ** number * bessel * np.exp(-1j * torus.middle * s)

        def norm(s):
            w = weights(s)
            return (w.conj() @ gram @ w).real

        if norm(h) > self.threshold:
            self.psi, self.t = weights(h) @ series, self.t + h
            return
        s = scipy.optimize.brentq(lambda s: norm(s) - self.threshold, 0.0, h, xtol=1e-12, rtol=1e-12)
        self.psi, self.t = weights(s) @ series, self.t + s
        self._jump()

    def _jump(self):
        options = [jump @ self.psi for jump in self.torus.block(self.parity, self.k)[2]]
        chances = np.cumsum([np.vdot(v, v).real for v in options])
        self.k = min(int(np.searchsorted(chances, self.random.random() * chances[-1])), len(options) - 1)
        psi = options[self.k]
        self.parity, self.psi = 1 - self.parity, psi / np.linalg.norm(psi)
        self.threshold = 1 - self.random.random()

    def __getstate__(self):
        return {**self.__dict__, "torus": None}


def stationary(torus, state, late):
    """Blocks of samples of all trajectories, `(blocks, trajectories, values)`, with the squares."""
    walkers = state.setdefault("walkers", [Walker(torus, (state["seed"], n), up=False) for n in range(8)])
    rows = state.setdefault("rows", [])
    for walker in walkers:
        walker.torus = torus
    while not late():
        samples = np.array([[w.to((len(rows) * BLOCK + 1 + n) * SPACING) for n in range(BLOCK)] for w in walkers])
        rows.append((samples.mean(axis=1), (samples**2).mean(axis=1)))
        yield
    return


def summary_of_search(state):
    rows = state["rows"][int(np.ceil(BURN_IN / SPACING / BLOCK)) :]
    rows = rows[len(rows) % 2 :]
    if len(rows) < 4:
        return {}
    found = settle(*(np.array([row[n] for row in rows]) for n in (0, 1)), BLOCK, np.ones(len(NAMES), dtype=bool))
    count = found.blocks * BLOCK * len(state["walkers"])
    return {"mean": found.mean, "error": found.error, "tau": found.tau * SPACING, "samples": count}


def quench(torus, state, late, times):
    """Independent trajectories from all spins up."""
    state.setdefault("moments", Moments(0, np.zeros((len(times), len(NAMES))), np.zeros((len(times), len(NAMES)))))
    while not late():
        walker = Walker(torus, (state["seed"], state["moments"].number), up=True)
        state["moments"] = with_samples(state["moments"], np.array([[walker.to(t) for t in times]]))
        yield


def summary_of_quench(state, times):
    moments = state["moments"]
    return {"mean": moments.mean, "error": moments.error, "t": times, "trajectories": moments.number}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(4, 4))
    parser.add_argument("--jy", type=float, default=1.2)
    parser.add_argument("--quench", type=float, default=0.0, help="last time; 0 for the stationary state")
    parser.add_argument("--seconds", type=float, default=600.0, help="wall time of this call")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, help="where it goes on")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    begin, told = time.monotonic(), 0.0
    state = {"seed": given.seed, "cpu": 0.0}
    if given.state and given.state.exists():
        state = pickle.loads(given.state.read_bytes())
    torus = Torus(tuple(given.shape), given.jy)
    times = np.linspace(0, given.quench, 21)

    def late():
        return time.monotonic() - begin > given.seconds

    def keep():
        found = summary_of_quench(state, times) if given.quench else summary_of_search(state)
        if given.state:
            given.state.with_suffix(".new").write_bytes(pickle.dumps(state))
            given.state.with_suffix(".new").rename(given.state)
        if found:
            tell(found, state["cpu"])
        if found and given.out:
            np.savez(given.out, **facts(given, state), **found)

    spent = state["cpu"]
    for _ in quench(torus, state, late, times) if given.quench else stationary(torus, state, late):
        state["cpu"] = spent + time.process_time()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            keep()
    keep()


def facts(given, state):
    """Where the numbers come from."""
    method = f"trajectories of definite momentum, neurho {metadata.version('neurho')}, benchmarks/torus_reference.py"
    numbers = {"names": NAMES, "method": method, "jy": given.jy, "shape": given.shape, "seed": state["seed"]}
    return numbers | {"cpu": state["cpu"], "tolerance": TOLERANCE, "spacing": SPACING, "burn_in": BURN_IN}


def tell(found, cpu):
    mean, error = (np.atleast_2d(found[key])[-1] for key in ("mean", "error"))
    pairs = {name: [round(float(m), 5), round(float(e), 5)] for name, m, e in zip(NAMES, mean, error, strict=True)}
    number = found.get("samples", found.get("trajectories"))
    print(json.dumps({"cpu": round(cpu), **pairs, "n": number}), flush=True)


if __name__ == "__main__":
    main()
