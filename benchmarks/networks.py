"""Networks side by side: best fits to exact states, and what searches reach, at equal numbers of parameters.

    python benchmarks/networks.py [--systems PATTERN] [--networks PATTERN ...] [--sizes 200 800] [--seconds 20]
                                  [--norms 1 0.333] [--search] [--out FILE.jsonl]

A fit minimises ||rho - sigma||^2/||sigma||^2 with sums over all entries, sigma the exact state, both of trace one, in
the norm that gives Pauli strings of w sites the weight lambda^w: lambda = 1 is the Hilbert-Schmidt norm. By L-BFGS
(SciPy) from the fit in the norm of the next smaller lambda, then from random parameters; it begins again from others
where it has converged, and ends after `--seconds` of processor time for each row, which then says "clock". `--search`
does not know the exact state: the program's continuation with exact sums (up to 7 spins), and ||dp/dt||^2/||p||^2 for
outcomes. Each row is printed, and written to `--out`, when it is there.
"""

import argparse
import fnmatch
import json
import time
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tomli_w

from neurho import config, exact, outcomes
from neurho.correlators.basis import from_labels
from neurho.matrix_elements.generator import all_labels, lindbladian_map, place_values, to_matrix, to_table
from neurho.matrix_elements.networks import (
    random_convolution,
    random_gram,
    random_liouville,
    random_mpdo,
    random_ndm,
    random_rbm,
    random_tied,
)
from neurho.matrix_elements.networks.hidden_units import log_cosh
from neurho.matrix_elements.symmetry import detect
from neurho.run.problem import build

SCALES = (0.1, 0.3, 0.05)
"""Standard deviations of the first parameters of each start."""

FLAT = (300, 0.02)
"""Iterations that lower the cost by less than this share have converged: the distance changes by a hundredth."""


class System(NamedTuple):
    """A Lindbladian with its exact stationary state."""

    name: str
    model: object
    sites: int
    moves: np.ndarray | None
    charge: object
    sigma: np.ndarray


def systems():
    """Name to the tables [lattice] and [model] of a problem file."""
    xyz = {jy: {"kind": "xyz", "coupling": [0.9, jy, 1.0]} for jy in (1.2, 1.0)}
    ising = {g: {"kind": "ising", "interaction": 2.0, "transverse": g, "decay": 1.0} for g in (1.0, 2.0)}
    strong = {"kind": "heisenberg", "field": [0.0, 0.0, 1.0], "coupling": [2.0, 0.0, 1.0], "decay": 1.0}
    found = {}
    for shape in ((3, 3), (2, 3)):
        torus = {"kind": "square", "shape": list(shape), "periodic": True}
        found |= {f"xyz-{shape[0]}x{shape[1]}-{jy:g}": (torus, model) for jy, model in xyz.items()}
    for n in (8, 6):
        chain = {"kind": "chain", "shape": [n]}
        found |= {f"ising-ring-{n}-g{g:g}": (chain | {"periodic": True}, model) for g, model in ising.items()}
        found[f"chain-{n}-B1"] = chain | {"periodic": False}, strong
    return found


def problem(name, **tables):
    where, model = systems()[name]
    asked = {"lattice": where, "model": model, "task": {"kind": "stationary", "method": "exact"}} | tables
    return build(config.loads(tomli_w.dumps(asked)))


def prepared(name):
    asked = problem(name)
    sites, model = asked.lattice, asked.lindbladian
    moves = sites.translations if len(sites.translations) == sites.sites else None
    solved = exact.stationary_state(model)
    return System(name, model, sites.sites, moves, detect(lindbladian_map(model)), np.asarray(solved.rho))


def complex_of(parts):
    return jax.lax.complex(parts[0], parts[1])


def spins(sites):
    return jnp.asarray(1.0 - 2.0 * all_labels(sites, 2))


def entrywise(log_psi, chi):
    """psi psi^+ times a Gram matrix for each factor, `chi` of shape (2^N, factors, rank)."""
    psi = jnp.exp(log_psi - jax.lax.stop_gradient(jnp.max(log_psi.real)))

    def factor(rho, one):
        return rho * (one @ one.conj().T), None

    return jax.lax.scan(factor, jnp.outer(psi, psi.conj()), jnp.moveaxis(chi, 1, 0))[0]


def mixed_units(log_psi, angle):
    """cosh(A(l) + A(r)*) = cosh cosh* + sinh sinh*: a Gram matrix of rank two for each unit."""
    size = jnp.abs(angle.real)
    plus, minus = jnp.exp(angle - size) / 2, jnp.exp(-angle - size) / 2
    return entrywise(log_psi + jnp.sum(size, axis=1), jnp.stack([plus + minus, plus - minus], axis=2))


def rbm_matrix(network):
    side = spins(network.sites)
    hidden = complex_of(network.hidden_bias) + side @ complex_of(network.hidden_weights).T
    log_psi = side @ complex_of(network.visible) + jnp.sum(log_cosh(hidden), axis=1)
    return mixed_units(log_psi, network.mixing_bias + side @ complex_of(network.mixing_weights).T)


def ndm_matrix(network):
    side = spins(network.sites)
    real, phase = (
        side @ network.visible[n]
        + jnp.sum(log_cosh(network.hidden_bias[n] + side @ network.hidden_weights[n].T), axis=1)
        for n in (0, 1)
    )
    angle = network.mixing_bias + side @ complex_of(network.mixing_weights).T
    return mixed_units(jax.lax.complex(real, phase) / 2, angle / 2)


def gram_matrix(network):
    log_psi, chi = jax.vmap(network.side)(jnp.asarray(all_labels(network.sites, 2)))
    return entrywise(log_psi, chi)


def mpdo_matrix(network):
    """psi psi^+ with the purification psi(l, k)."""
    tensors = complex_of(network.tensors)
    tensors = jnp.broadcast_to(tensors, (network.sites, *tensors.shape[1:]))
    ends = jnp.eye(tensors.shape[-1], dtype=complex) if network.periodic else jnp.ones((1, tensors.shape[-1]), complex)
    psi = ends[:, None, None]  # (left ends, rows, purifying levels, bond)
    for one in tensors:
        psi = jnp.einsum("zxya,lkab->zxlykb", psi, one)
        psi = psi.reshape(len(psi), psi.shape[1] * psi.shape[2], -1, psi.shape[-1])
    psi = jnp.einsum("zxyb,zb->xy", psi, ends)
    psi = psi / jax.lax.stop_gradient(jnp.max(jnp.abs(psi)))
    return psi @ psi.conj().T


class Equal(NamedTuple):
    """One configuration for all that symmetries make equal, how many those are, and how entries follow from it."""

    x: jax.Array
    count: jax.Array
    place: jax.Array
    mirrored: jax.Array
    inside: jax.Array


def equal_configurations(system, moves):
    labels, powers = all_labels(system.sites, 4), place_values(system.sites, 4)
    swapped = labels // 2 + 2 * (labels % 2)
    moves = np.arange(system.sites)[None] if moves is None else moves
    plain, mirrored = (reduce(np.minimum, (one[:, m] @ powers for m in moves)) for one in (labels, swapped))
    kept, place, count = np.unique(np.minimum(plain, mirrored), return_inverse=True, return_counts=True)
    x = np.stack(np.unravel_index(kept, (4,) * system.sites), axis=1)
    used = in_sector(system, x)
    position = np.cumsum(used) - 1
    inside = used[place]
    return Equal(
        x=jnp.asarray(x[used], jnp.int32),
        count=jnp.asarray(count[used], float),
        place=jnp.asarray(np.where(inside, position[place], 0)),
        mirrored=jnp.asarray(mirrored < plain),
        inside=jnp.asarray(inside),
    )


def in_sector(system, labels):
    return (
        np.ones(len(labels), bool) if system.charge is None else np.asarray(system.charge.of(jnp.asarray(labels))) == 0
    )


class Entries(NamedTuple):
    """How entries of rho follow from a network: of some configurations, each for `count` equal ones, and of all."""

    some: Callable
    x: jax.Array
    count: jax.Array
    spread: Callable

    def __call__(self, network):
        """All entries in the order of labels."""
        return self.spread(self.some(network))


def equal_entries(equal):
    def some(network):
        log_rho = jax.vmap(network.log_amplitude)(equal.x)
        return jnp.exp(log_rho - jax.lax.stop_gradient(jnp.max(log_rho.real)))

    def spread(values):
        rho = values[equal.place]
        return jnp.where(equal.inside, jnp.where(equal.mirrored, rho.conj(), rho), 0)

    return Entries(some, equal.x, equal.count, spread)


def every_entry(system, table):
    labels = jnp.asarray(all_labels(system.sites, 4), jnp.int32)
    return Entries(table, labels, jnp.ones(len(labels)), lambda values: values)


def table_of(matrix_of, system):
    """The same from a matrix."""
    order = to_table(np.arange(4**system.sites).reshape(2**system.sites, -1), system.sites, 2)
    inside = jnp.asarray(in_sector(system, all_labels(system.sites, 4)))
    return every_entry(system, lambda network: jnp.where(inside, matrix_of(network).ravel()[order], 0))


def outcome_table(system):
    return every_entry(
        system,
        lambda network: outcomes.frame.at_every_site(
            outcomes.frame.TO_LABELS, jnp.exp(outcomes.all_log_probabilities(network)).astype(complex), system.sites
        ),
    )


class Kind(NamedTuple):
    """`make(key, system, size, scale)` and how all its entries are found; `ansatz` is its table of a problem file."""

    make: Callable
    table: Callable
    tied: bool = False
    ansatz: Callable | None = None


def ring(system):
    return system.moves is not None and system.model.lattice.shape == (system.sites,)


def by_equal(system, *, tied):
    return equal_entries(equal_configurations(system, system.moves if tied else None))


def moves_of(system):
    return len(system.moves)


KINDS = {
    "ndm": Kind(
        lambda key, s, n, scale: random_ndm(key, s.sites, hidden=n, mixing=n, scale=scale),
        partial(table_of, ndm_matrix),
        ansatz=lambda s, n: {"kind": "ndm", "hidden": n, "mixing": n},
    ),
    "rbm": Kind(
        lambda key, s, n, scale: random_rbm(key, s.sites, hidden=n, mixing=n, scale=scale),
        partial(table_of, rbm_matrix),
        ansatz=lambda s, n: {"kind": "rbm", "hidden": n, "mixing": n},
    ),
    "rbm, translations": Kind(
        lambda key, s, n, scale: random_tied(
            key, s.moves, hidden=n * moves_of(s), mixing=n * moves_of(s), scale=scale, charge=s.charge
        ),
        partial(table_of, lambda network: rbm_matrix(network.expanded())),
        tied=True,
        ansatz=lambda s, n: {
            "kind": "rbm",
            "hidden": n * moves_of(s),
            "mixing": n * moves_of(s),
            "translations": True,
        },
    ),
    "liouville": Kind(
        lambda key, s, n, scale: random_liouville(key, s.sites, hidden=n, mixing=n, scale=scale, charge=s.charge),
        partial(by_equal, tied=False),
        ansatz=lambda s, n: {"kind": "liouville", "hidden": n, "mixing": n},
    ),
    "liouville, translations": Kind(
        lambda key, s, n, scale: random_liouville(
            key,
            s.sites,
            hidden=n * moves_of(s),
            mixing=n * moves_of(s),
            translations=s.moves,
            scale=scale,
            charge=s.charge,
        ),
        partial(by_equal, tied=True),
        tied=True,
        ansatz=lambda s, n: {
            "kind": "liouville",
            "hidden": n * moves_of(s),
            "mixing": n * moves_of(s),
            "translations": True,
        },
    ),
    "gram": Kind(
        lambda key, s, n, scale: random_gram(key, s.sites, width=2 * n, factors=n, scale=scale),
        partial(table_of, gram_matrix),
        ansatz=lambda s, n: {"kind": "gram", "width": 2 * n, "factors": n},
    ),
    "mpdo": Kind(
        lambda key, s, n, scale: random_mpdo(key, s.sites, bond=n, periodic=ring(s), uniform=ring(s), scale=scale),
        partial(table_of, mpdo_matrix),
        ansatz=lambda s, n: {"kind": "mpdo", "bond": n, "translations": ring(s)},
    ),
    "convolution": Kind(
        lambda key, s, n, scale: random_convolution(key, s.moves, channels=n, scale=scale, charge=s.charge),
        partial(by_equal, tied=True),
        tied=True,
        ansatz=lambda s, n: {"kind": "convolution", "channels": n},
    ),
    "outcomes": Kind(
        lambda key, s, n, scale: outcomes.random_recurrent(key, s.sites, hidden=n),
        outcome_table,
    ),
}


def nearest(kind, system, size):
    """The n whose network has the number of parameters nearest to `size`, and that number."""
    counts = {}
    for n in range(1, 128):
        shapes = jax.tree.leaves(eqx.filter_eval_shape(lambda n=n: kind.make(jax.random.key(0), system, n, 0.1)))
        counts[n] = sum(leaf.size for leaf in shapes if jnp.issubdtype(getattr(leaf, "dtype", int), jnp.floating))
        if counts[n] > size:
            break
    return min(counts.items(), key=lambda item: abs(item[1] - size))


def weighted(lam, table, sites):
    """sqrt(lambda)^w c_P of all strings from entries: three sites at once."""
    one = np.diag([1.0, *[np.sqrt(lam)] * 3]) @ from_labels(2) / np.sqrt(2)
    done = 0
    while done < sites:
        k = min(3, sites - done)
        matrix = jnp.asarray(reduce(np.kron, [one] * k))
        table = jnp.einsum("ab,lbr->lar", matrix, table.reshape(4**done, 4**k, -1))
        done += k
    return table.ravel()


def residual(system, entries, lam):
    """The real vector whose square is ||rho - sigma||^2/||sigma||^2 in the norm of lambda, of an unnormalised rho."""
    sites, place = system.sites, place_values(system.sites, 4)
    rows, columns = np.divmod(np.asarray(entries.x), 2)
    trace = jnp.asarray(np.all(rows == columns, axis=1) * np.asarray(entries.count))
    sigma = to_table(system.sigma, sites, 2)

    def parts(values):
        return jnp.concatenate([values.real, values.imag])

    if lam == 1:
        here = jnp.asarray(sigma[np.asarray(entries.x) @ place])
        weight = jnp.sqrt(entries.count) / np.linalg.norm(sigma)
        return lambda values: parts(weight * (values / jnp.sum(trace * values).real - here))
    whole = jnp.asarray(sigma)
    size = jnp.linalg.norm(weighted(lam, whole, sites))
    return lambda values: (
        weighted(lam, entries.spread(values / jnp.sum(trace * values).real) - whole, sites).real / size
    )


def fit(system, kind, n, lam, seconds, begin=()):
    """The best of a few starts, within a time; of `begin`, fits in another norm, first."""
    entries = kind.table(system)
    cost_of = residual(system, entries, lam)
    starts = [kind.make(jax.random.key(100 + number), system, n, scale) for number, scale in enumerate(SCALES)]
    split = [eqx.partition(start, eqx.is_inexact_array) for start in (*begin, *starts)]
    rest, began = split[0][1], time.process_time()
    found = outcomes.minimised(
        lambda v: jnp.sum(cost_of(entries.some(eqx.combine(v, rest))) ** 2),
        *(leaves for leaves, _ in split),
        iterations=10_000,
        flat=FLAT,
        stop=lambda: time.process_time() - began > seconds,
    )
    return eqx.combine(found.parameters, rest), found, time.process_time() - began


def searched(system, kind, n, seconds):
    """A stationary state without knowledge of the exact one: network and seconds of processor time."""
    began = time.process_time()
    if kind.ansatz is None:
        start = kind.make(jax.random.key(100), system, n, 0.1)
        found, _ = outcomes.stationary_outcomes(system.model, start, iterations=2000)
        return found, "ended", time.process_time() - began
    asked = problem(
        system.name,
        ansatz=kind.ansatz(system, n),
        initial={"kind": "random", "scale": 0.1},
        sampling={"kind": "enumeration"},
        task={"kind": "stationary", "delta_L": 1e-6},
    )
    last = None
    for snapshot in asked.snapshots():
        last = snapshot
        if time.process_time() - began > seconds:
            break
    ended = "goal" if last.converged else "clock" if time.process_time() - began > seconds else "no progress"
    return last.state.ansatz, ended, time.process_time() - began


def judged(system, kind, network):
    """Trace distance, errors of m_z and S^xx(0), and the smallest eigenvalue."""
    entries = kind.table(system)
    rho = to_matrix(np.asarray(jax.jit(lambda one: entries(one))(network)), system.sites, 2)
    rho = (rho + rho.conj().T) / 2
    rho = rho / np.trace(rho).real
    means = [exact.expectations(r, system.model, structure=True, energy=False) for r in (rho, system.sigma)]
    found = {name: float(means[0][name] - means[1][name]) for name in ("sz", "structure_xx")}
    return found | {
        "trace_distance": exact.trace_distance(rho, system.sigma),
        "smallest": float(np.linalg.eigvalsh(rho).min()),
    }


def distance(system, kind, network):
    """||rho - sigma||/||sigma|| in the Hilbert-Schmidt norm."""
    entries = kind.table(system)
    return float(jnp.linalg.norm(residual(system, entries, 1.0)(jax.jit(lambda one: entries.some(one))(network))))


TITLES = (
    "system | network | parameters | how | distance | trace distance | m_z | S^xx(0) | smallest eigenvalue | seconds"
)


def printed(row):
    return (
        f"| {row['system']} | {row['network']} | {row['parameters']} | {row['how']} | {row['distance']:.2g} | "
        f"{row['trace_distance']:.2g} | {row['sz']:+.1e} | {row['structure_xx']:+.1e} | {row['smallest']:+.0e} | "
        f"{row['seconds']:.0f}, {row['ended']} |"
    )


def rows(system, names, options):
    """All that is asked for of one system; a fit in the norm of lambda = 1 begins with that of a smaller one, too."""
    for size in options.sizes:
        for name in names:
            kind = KINDS[name]
            if kind.tied and system.moves is None:
                continue
            n, parameters = nearest(kind, system, size)
            row = {"system": system.name, "network": name, "parameters": parameters, "n": n}
            if options.search:
                network, ended, seconds = searched(system, kind, n, options.seconds)
                left = distance(system, kind, network)
                how = {"how": "search", "distance": left, "ended": ended, "seconds": seconds}
                yield row | how | judged(system, kind, network)
                continue
            before = ()
            for lam in sorted(options.norms):
                network, found, seconds = fit(system, kind, n, lam, options.seconds, before)
                before = (network,)
                how = {
                    "how": f"fit, lambda = {lam:.3g}",
                    "distance": float(np.sqrt(found.cost)),
                    "ended": "converged" if found.converged else "clock",
                    "seconds": seconds,
                }
                yield row | how | judged(system, kind, network)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", default="xyz-3x3-1.2")
    parser.add_argument("--networks", nargs="+", default=["*"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 800])
    parser.add_argument("--norms", nargs="+", type=float, default=[1.0, 1 / 3])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", val=True)
    names = [n for n in KINDS if any(fnmatch.fnmatch(n, p) for p in options.networks)]
    print(f"| {TITLES} |", "|---" * 10 + "|", sep="\n", flush=True)
    for name in systems():
        if fnmatch.fnmatch(name, options.systems):
            for row in rows(prepared(name), names, options):
                print(printed(row), flush=True)
                if options.out:
                    with options.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
