"""By how much a step leaves the exact flow, seen by samples that the step did not use.

The defect of a step from rho_0 to rho_1 is the field F(x) with

    rho F = rho_1 - rho_0 - dt L rho          (L rho at the start or, for Crank-Nicolson steps, the mean of both ends).

A network that is fitted on samples of |rho|^2 can be wrong where none of them lies, and no residual on the same samples
shows it. Here F is worked out elsewhere:

- at entries (l', l) of rho that differ from a diagonal entry on at most two sites that share a bond, l from q(l) and
  its neighbours: together they are the defects of all one- and two-site reduced density matrices, so of
  d<X>/dt - <L^+ X> for every X on one or two sites, and vanish with F sample by sample;
- at blurred samples of |rho|, which reach the neighbours of what was seen: the norm ||rho F||/||rho||.

Along the flow F = dt (L_loc - O v), v the velocity and O the derivatives of log rho.
"""

import dataclasses
from collections.abc import Callable
from itertools import product
from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._jax.compiling import program
from neurho._jax.parallel import collect
from neurho._jax.scalars import Scalar
from neurho.matrix_elements.estimation.estimators import CHUNK, lindblad_values
from neurho.matrix_elements.generator import LabelMap
from neurho.matrix_elements.networks import AbstractAnsatz, log_amplitudes, parameters
from neurho.matrix_elements.sampling import AbstractSampler, Blurred, Draw, Metropolis, draw_samples
from neurho.model.lattice import Lattice

SAMPLES = 512
"""Samples of each kind, at most."""

BLUR = 0.5

Fields = Complex[Array, "fields samples"]


class Defect(NamedTuple):
    """What one step lost: `local`, the largest trace norm of the defect of a one- or two-site reduced density matrix
    (so of the mean of any X with |X| <= 1 there), and `whole` = ||rho F||/||rho||, NaN where it is not sampled.
    """

    local: float
    whole: float
    diagonal_chains: Int[Array, "chains sites"]


class Defects(eqx.Module):
    """Measures defects of steps.

    - `full`: draws from |rho|^2 with blur; where the steps themselves use exact sums None, or the same sums.
    - `diagonal`: draws from q(l).
    - `shifts`: changes of rows `(shifts, sites)`, in steps of levels; `sites`, `index`: the pairs `(pairs, 2)`, and
      where the shifts of each stand `(pairs, d^2)`.
    """

    generator: LabelMap
    full: AbstractSampler | None
    diagonal: AbstractSampler
    shifts: Int[Array, "shifts sites"]
    sites: Int[Array, "pairs k"]
    index: Int[Array, "pairs places"]
    chunk: int = eqx.field(static=True, default=CHUNK)

    @classmethod
    def build(
        cls,
        lattice: Lattice,
        generator: LabelMap,
        full: AbstractSampler,
        diagonal: AbstractSampler,
        *,
        chunk: int = CHUNK,
        sums: bool = False,
    ) -> Self:
        """For the samplers of a run: the same chains, fewer draws, blurred; exact sums only if asked for `sums`, since
        steps in the Hilbert-Schmidt norm know their own losses.
        """
        shifts, sites, index = _shifts(lattice, generator.local_dim)
        return cls(
            generator=generator,
            full=full if sums and full.exact else _beside(full),
            diagonal=_shorter(diagonal),
            shifts=jax.device_put(shifts),
            sites=jax.device_put(sites),
            index=jax.device_put(index),
            chunk=chunk,
        )

    def of_flow(
        self,
        key: PRNGKeyArray,
        t: Scalar,
        dt: Scalar,
        ansatz: AbstractAnsatz,
        tangents: Float[Array, "2 parameters"],
        chains: tuple[Array, Array],
    ) -> Defect:
        """The defect of an explicit step from `ansatz`; `tangents` = (velocity, error of integration)."""

        def fields(x: Array, scale: Array) -> Fields:
            del scale
            local = lindblad_values(ansatz, self.generator, t, x, self.chunk)
            return _along(ansatz, x, local, tangents, dt)

        return self._measure(key, ansatz, ansatz, chains, fields)

    def of_step(
        self,
        key: PRNGKeyArray,
        t: Scalar,
        dt: Scalar,
        origin: AbstractAnsatz,
        ansatz: AbstractAnsatz,
        chains: tuple[Array, Array],
    ) -> Defect:
        """The defect of a Crank-Nicolson step from `origin` to `ansatz` with `t` in the middle; with dt = 0 the
        distance of the two.
        """

        def fields(x: Array, scale: Array) -> Fields:
            before, after = (lindblad_values(a, self.generator, t, x, self.chunk) for a in (origin, ansatz))
            return _between(origin, ansatz, x, before, after, dt, scale)

        return self._measure(key, origin, ansatz, chains, fields)

    def jump(
        self,
        key: PRNGKeyArray,
        t: Scalar,
        dt: Scalar,
        origin: AbstractAnsatz,
        ansatz: AbstractAnsatz,
        diagonal_chains: Array,
    ) -> float:
        """The `local` of [`of_step`][neurho.matrix_elements.estimation.defect.Defects.of_step] where over twice what
        dt L rho of both ends moves, else 0.

        `of_flow` is linear in the step. Next to a pole parameters move entries of rho by factors: rho may then go
        much further than L allows, and the linear defect is small all the same.
        """
        draw, _, _ = draw_samples(self.diagonal, jax.random.fold_in(key, 0), ansatz, diagonal_chains)
        scale = _log_scale(origin, ansatz, draw)

        def fields(x: Array) -> Fields:
            before, after = (lindblad_values(a, self.generator, t, x, self.chunk) for a in (origin, ansatz))
            defect = _between(origin, ansatz, x, before, after, dt, scale)
            still = _between(origin, ansatz, x, before, after, 0.0, scale)
            return jnp.concatenate([defect, still - defect])

        defect, motion = self._locals(key, ansatz, draw, fields)
        # Beyond twice the motion, the two ends are further apart than the motion goes.
        return defect if defect > 2 * motion else 0.0

    def _locals(
        self, key: PRNGKeyArray, ansatz: AbstractAnsatz, draw: Draw, fields: Callable[[Array], Fields]
    ) -> list[float]:
        """The `local` of each field."""
        blur, d = 0.0 if self.diagonal.exact else BLUR, self.generator.local_dim
        x = _shifted(self.shifts, draw.x.reshape(-1, draw.x.shape[-1]), d, jax.random.fold_in(key, 2), blur)
        values = fields(x.reshape(-1, x.shape[-1]))
        one, moved = map(np.asarray, _reduced(ansatz, x, draw.weight.reshape(-1), values, self.sites, self.index, blur))
        return [_largest(one, field[None], d, hermitian=ansatz.hermitian) for field in moved]

    def _measure(
        self,
        key: PRNGKeyArray,
        origin: AbstractAnsatz,
        ansatz: AbstractAnsatz,
        chains: tuple[Array, Array],
        fields: Callable[[Array, Array], Fields],
    ) -> Defect:
        draw, diagonal_chains, _ = draw_samples(self.diagonal, jax.random.fold_in(key, 0), ansatz, chains[1])
        scale = _log_scale(origin, ansatz, draw)
        local = sum(self._locals(key, ansatz, draw, lambda x: fields(x, scale)))
        whole = float("nan")
        if self.full is not None:
            draw, _, _ = draw_samples(self.full, jax.random.fold_in(key, 1), ansatz, chains[0])
            values = fields(draw.x.reshape(-1, draw.x.shape[-1]), scale)
            whole = float(np.sum(np.asarray(_norms(values, draw))))
        return Defect(local=local, whole=whole, diagonal_chains=diagonal_chains)


def _beside(full: AbstractSampler) -> AbstractSampler | None:
    chain = full.chain if isinstance(full, Blurred) else full
    if not isinstance(chain, Metropolis):
        return None
    # Where |rho|^2 is concentrated its chains see little else; at exponent 1 or below they move.
    gentle = eqx.tree_at(lambda c: c.exponent, _shorter(chain), min(float(chain.exponent), 1.0))
    return Blurred(chain=gentle, fraction=BLUR)


def _shorter(sampler: AbstractSampler) -> AbstractSampler:
    if not isinstance(sampler, Metropolis):
        return sampler
    draws = min(sampler.draws, max(1, SAMPLES // sampler.chains))
    return dataclasses.replace(sampler, draws=draws, sweeps=max(sampler.sweeps, 2))


def _shifts(lattice: Lattice, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All shifts of at most two sites that share a bond (of one site where there is none), and where each pair finds
    its own.
    """
    pairs = sorted({tuple(sorted(map(int, b))) for b in lattice.bonds}) or [(j,) for j in range(lattice.sites)]
    number: dict[tuple[int, ...], int] = {}
    index = np.zeros((len(pairs), d ** len(pairs[0])), dtype=np.int32)
    for row, pair in enumerate(pairs):
        for column, steps in enumerate(product(range(d), repeat=len(pair))):
            shift = [0] * lattice.sites
            for site, step in zip(pair, steps, strict=True):
                shift[site] = step
            index[row, column] = number.setdefault(tuple(shift), len(number))
    return np.array(list(number), dtype=np.int32), np.array(pairs, dtype=np.int32), index


@program
def _shifted(
    shifts: Int[Array, "shifts sites"], x: Int[Array, "samples sites"], d: int, key: PRNGKeyArray, blur: float
) -> Int[Array, "samples shifts sites"]:
    """Labels of (l', l) for every sample l and shift; a share `blur` of the samples is shifted itself before."""
    coin, which = jax.random.uniform(key, (2, len(x)))
    chosen = jnp.minimum((which * len(shifts)).astype(jnp.int32), len(shifts) - 1)
    levels = x // (d + 1)
    levels = (levels + jnp.where((coin < blur)[:, None], shifts[chosen], 0)) % d
    rows = (levels[:, None] + shifts) % d
    return d * rows + levels[:, None]


@program
def _along(
    ansatz: AbstractAnsatz, x: Array, local: Array, tangents: Float[Array, "2 parameters"], dt: Scalar
) -> Fields:
    """The fields dt (L_loc - O v), and O e."""
    vector, restore = parameters(ansatz)
    _, forward = jax.linearize(lambda v: jax.vmap(restore(v).log_amplitude)(x), vector)
    return jnp.stack([dt * (local - forward(tangents[0])), forward(tangents[1])])


@program
def _between(
    origin: AbstractAnsatz, ansatz: AbstractAnsatz, x: Array, before: Array, after: Array, dt: Scalar, scale: Array
) -> Fields:
    """1 - (1 + dt/2 L_loc,0) rho_0/rho_1 - dt/2 L_loc,1 with both traces one."""
    logs = log_amplitudes(ansatz, x)
    # Outside of the sector of a symmetry both vanish, and so does the defect.
    inside = jnp.isfinite(logs.real)
    ratio = jnp.exp(jnp.where(inside, log_amplitudes(origin, x) - logs - scale, 0.0))
    return jnp.where(inside, 1 - (1 + dt / 2 * before) * ratio - dt / 2 * after, 0.0)[None]


@program
def _log_scale(origin: AbstractAnsatz, ansatz: AbstractAnsatz, draw: Draw) -> Float[Array, ""]:
    """The logarithm of (Tr rho_0/Tr rho_1) from samples of q_1(l)."""
    x = draw.x.reshape(-1, draw.x.shape[-1])
    logs = (log_amplitudes(origin, x) - log_amplitudes(ansatz, x)).real
    return jax.nn.logsumexp(logs, b=draw.weight.reshape(-1))


@program
def _norms(fields: Fields, draw: Draw) -> Float[Array, " fields"]:
    weight = draw.weight.reshape(-1)
    mean = jnp.sum(weight * fields, axis=1, keepdims=True)
    return collect(jnp.sqrt(jnp.sum(weight * jnp.abs(fields - mean) ** 2, axis=1)))


@program
def _reduced(
    ansatz: AbstractAnsatz, x: Array, weight: Array, fields: Fields, sites: Array, index: Array, blur: float
) -> tuple[Complex[Array, "pairs shifts levels"], Complex[Array, "fields pairs shifts levels"]]:
    """Reduced rho and rho F of every pair: [s, c] is the entry of row c + s and column c.

    Of a Hermitian network an entry and its conjugate share their part as the local values of
    [`neurho.matrix_elements.estimation.estimators.balanced_values`][] do.
    """
    # What a pole is fed lands on diagonal entries that q(l) does not visit: hence the blur.
    d, (samples, shifts, count) = ansatz.local_dim, x.shape
    levels = x[:, 0] // (d + 1)
    logs = log_amplitudes(ansatz, x.reshape(-1, count)).reshape(samples, shifts)
    ratio = jnp.exp(logs - logs[:, :1].real)  # times rho(l, l)/|rho(l, l)|, since |rho(l, l)| was sampled
    rows = x // d
    other = log_amplitudes(ansatz, (rows * (d + 1)).reshape(-1, count)).reshape(samples, shifts).real
    other = jnp.exp(other - logs[:, :1].real)
    # Samples are from (1 - b) q(l) + b <q(l + s)> over the shifts s, of which each is as likely as its inverse.
    weight = weight / (1 - blur + blur * jnp.mean(other, axis=1))
    if ansatz.hermitian:
        ratio = ratio / (1 + other)
    place = jnp.zeros((samples, len(sites)), jnp.int32)
    for k in range(sites.shape[1]):
        place = place * d + levels[:, sites[:, k]]
    here = jax.nn.one_hot(place, d ** sites.shape[1])
    values = (weight[:, None] * ratio)[:, index]
    moved = fields.reshape(len(fields), samples, shifts)[:, :, index]
    return collect((jnp.einsum("nps,npc->psc", values, here), jnp.einsum("nps,fnps,npc->fpsc", values, moved, here)))


def _largest(one: np.ndarray, moved: np.ndarray, d: int, *, hermitian: bool) -> float:
    """The largest trace norm over the pairs, of the Hermitian part with the trace of rho one, added up over the
    fields.
    """
    size = one.shape[-1]
    digits = np.array(list(product(range(d), repeat=round(np.log(size) / np.log(d)))))
    powers = d ** np.arange(digits.shape[1] - 1, -1, -1)
    rows = ((digits[:, None] + digits[None]) % d) @ powers  # [s, c]

    def matrices(m: np.ndarray) -> np.ndarray:
        full = np.zeros_like(m)
        full[..., rows, np.arange(size)] = m
        return full + np.conj(np.swapaxes(full, -1, -2)) if hermitian else full

    def trace(m: np.ndarray) -> np.ndarray:
        return np.trace(m, axis1=-2, axis2=-1)[:, None, None]

    rho, total = matrices(one), 0.0
    for field in map(matrices, moved):
        part = (field - rho * trace(field) / trace(rho)) / trace(rho)
        part = (part + np.conj(np.swapaxes(part, -1, -2))) / 2
        total += float(np.max(np.sum(np.abs(np.linalg.eigvalsh(part)), axis=-1)))
    return total
