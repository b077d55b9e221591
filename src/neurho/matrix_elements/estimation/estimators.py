"""Local values and estimates with errors."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int, PyTree, Shaped

from neurho._jax.compiling import program
from neurho._jax.parallel import map_samples
from neurho._jax.scalars import Scalar
from neurho.matrix_elements.distinct import at_each
from neurho.matrix_elements.generator import Group, LabelMap, Side
from neurho.matrix_elements.networks.base import AbstractAmplitudes, AbstractAnsatz, prepare_changes
from neurho.matrix_elements.sampling import Draw, autocorrelation_time, split_r_hat
from neurho.observables import Estimate

CHUNK = 1024
"""Samples worked on at once: large enough to vectorise, small enough for caches."""

MIN_BLOCKS = 64


def prepare_group(
    amplitudes: AbstractAmplitudes, group: Group, label_dim: int, *, diagonal: bool = False
) -> list[PyTree[Array]]:
    """What [`group_values`][neurho.matrix_elements.estimation.estimators.group_values] needs: the moves of every side
    that has some.
    """
    return [
        prepare_changes(amplitudes.part(side), group.sites, labels, label_dim, diagonal=diagonal)
        for side, labels in group.by_side()
    ]


def group_values(
    amplitudes: AbstractAmplitudes,
    group: Group,
    changes: list[PyTree[Array]],
    cache: PyTree[Array],
    local: Int[Array, " instances"],
) -> Complex[Array, "instances channels"]:
    """sum_x' L[x, x'] rho(x')/rho(x) of one configuration, for every instance and channel of a group."""
    parts = [(amplitudes.part(side), amplitudes.cut(cache, side)) for side, _ in group.by_side()]

    def ratios(moves: list[PyTree[Array]]) -> list[Complex[Array, " moves"]]:
        return [_ratios(*part, changes) for part, changes in zip(parts, moves, strict=True)]

    return _over_instances(group, changes, local, ratios)


def prepare_balanced(
    amplitudes: AbstractAmplitudes, group: Group, levels: int
) -> tuple[list[PyTree[Array]], list[PyTree[Array]]]:
    """What [`balanced_values`][neurho.matrix_elements.estimation.estimators.balanced_values] needs: the moves from
    (l, l) to (l', l), and those to (l', l').
    """
    ends = [(group.labels // levels) * (levels + 1)] if any(group.sides) else []
    both = amplitudes.part(Side.BOTH)
    return (
        prepare_group(amplitudes, group, levels, diagonal=True),
        [prepare_changes(both, group.sites, labels, levels, diagonal=True) for labels in ends],
    )


def balanced_values(
    amplitudes: AbstractAmplitudes,
    group: Group,
    changes: tuple[list[PyTree[Array]], list[PyTree[Array]]],
    cache: PyTree[Array],
    local: Int[Array, " instances"],
) -> Complex[Array, "instances channels"]:
    """Local values of Hermitian operators in a Hermitian state, of a configuration l of the diagonal,

        X_loc(l) = X(l, l) + sum_{l' != l} 2 X(l, l') rho(l', l)/(rho(l, l) + rho(l', l')),

    for every instance and channel of a group. Its mean over q(l) = rho(l, l) is that of Eq. 13 of PRL 122, 250502: a
    pair (l, l') adds q(l) X_loc(l) + q(l') X_loc(l') = 2 Re X(l, l') rho(l', l) in both, but here each end has the part
    of it that its probability is of both (the balance heuristic of Veach & Guibas, SIGGRAPH 1995). In a positive state
    |rho(l', l)| is at most sqrt(rho(l, l) rho(l', l')), so nothing exceeds |X(l, l')|, whereas rho(l', l)/rho(l, l) can
    be as large as the inverse root of a probability. Where rho(l, l) may be negative, moduli stand in the sum: the two
    parts still add up.
    """
    rows = [(amplitudes.part(side), amplitudes.cut(cache, side)) for side, _ in group.by_side()]
    both = amplitudes.part(Side.BOTH), amplitudes.cut(cache, Side.BOTH)

    def ratios(moves: tuple[list[PyTree[Array]], list[PyTree[Array]]]) -> list[Complex[Array, " moves"]]:
        across = [_ratios(*part, to) for part, to in zip(rows, moves[0], strict=True)]
        along = [jnp.abs(_ratios(*both, to)) for to in moves[1]]
        return [2 * jnp.concatenate(across) / (1 + s) for s in along]

    return _over_instances(group, changes, local, ratios)


def _ratios(part: AbstractAmplitudes, cache: PyTree[Array], moves: PyTree[Array]) -> Complex[Array, " moves"]:
    return jax.vmap(lambda change: part.ratio(cache, change).value())(moves)


def _over_instances(
    group: Group,
    changes: PyTree[Array],
    local: Int[Array, " instances"],
    ratios: Callable[[PyTree], list[Complex[Array, " moves"]]],
) -> Complex[Array, "instances channels"]:
    """Diagonal elements, and elements times ratios, of every instance."""

    def instance(_: None, inputs: tuple) -> tuple[None, Array]:
        tables, elements, diagonal, c = inputs
        ratio = ratios(jax.tree.map(lambda a: a[c], tables))
        moved = elements[:, c] @ jnp.concatenate(ratio) if ratio else 0
        return None, diagonal[:, c] + moved

    inputs = (changes, jnp.moveaxis(group.elements, 1, 0), jnp.moveaxis(group.diagonal, 1, 0), local)
    return jax.lax.scan(instance, None, inputs)[1]


def local_values(
    amplitudes: AbstractAmplitudes, label_map: LabelMap, x: Int[Array, "samples sites"], *, chunk: int = CHUNK
) -> Complex[Array, "samples channels"]:
    """L_loc(x) = sum_x' L[x, x'] rho(x')/rho(x) for every channel of a map; memory grows with `chunk`, not samples."""
    changes = [prepare_group(amplitudes, g, label_map.label_dim) for g in label_map.groups]

    def values(x: Int[Array, "configurations sites"]) -> Complex[Array, "configurations channels"]:
        return map_samples(lambda x: _local_value(amplitudes, label_map, changes, x), (x,), chunk)

    return at_each(values, x, label_map.label_dim)


def lindblad_values(
    ansatz: AbstractAnsatz, generator: LabelMap, t: Scalar, x: Int[Array, "samples sites"], chunk: int
) -> Complex[Array, " samples"]:
    """L_loc of a Lindbladian at time `t` by one program, which all that needs it in a run shares."""
    return fixed_values(ansatz, generator.at_time(t), x, chunk)


@program
def fixed_values(
    ansatz: AbstractAnsatz, generator: LabelMap, x: Int[Array, "samples sites"], chunk: int
) -> Complex[Array, " samples"]:
    """L_loc of a Lindbladian at one time."""
    return local_values(ansatz.amplitudes(), generator, x, chunk=chunk)[:, 0]


def local_value(amplitudes: AbstractAmplitudes, label_map: LabelMap, x: Int[Array, " sites"]) -> Complex[Array, ""]:
    """The local value of a single-channel map at one configuration."""
    changes = [prepare_group(amplitudes, g, label_map.label_dim) for g in label_map.groups]
    return _local_value(amplitudes, label_map, changes, x)[0]


def _local_value(
    amplitudes: AbstractAmplitudes, label_map: LabelMap, changes: list[list[PyTree[Array]]], x: Int[Array, " sites"]
) -> Complex[Array, " channels"]:
    cache = amplitudes.cache(x)
    total = jnp.zeros(len(label_map.coefficients), dtype=complex)
    for group, table in zip(label_map.groups, changes, strict=True):
        local = group.local_index(x, label_map.label_dim)
        total = total + jnp.sum(group_values(amplitudes, group, table, cache, local), axis=0)
    return total


def estimate(values: Shaped[Array, "draws chains *shape"], draw: Draw, *, exact: bool) -> Estimate:
    """The weighted mean of real values, with the standard error from the scatter of independent chains.

    For weights w (sum 1) the error is that of the ratio estimator, sqrt(sum_b (sum_{i in b} w_i (v_i - mean))^2
    B/(B-1)) over B
    blocks: whole chains when there are at least 64, otherwise equal parts of chains. No autocorrelation time enters.
    """
    shape = values.shape[2:]
    weight = draw.weight.reshape(draw.weight.shape + (1,) * len(shape))
    mean = jnp.sum(weight * values, axis=(0, 1))
    if exact:
        return Estimate(mean=mean, error=jnp.zeros(shape))
    deviations = weight * (values - mean)
    draws, chains = draw.weight.shape
    parts = min(draws, -(-MIN_BLOCKS // chains))
    used = draws - draws % parts
    blocks = deviations[:used].reshape(parts, used // parts, chains, *shape).sum(axis=1).reshape(parts * chains, *shape)
    count = parts * chains
    error = jnp.sqrt(jnp.sum(blocks**2, axis=0) * count / max(count - 1, 1)) if count > 1 else jnp.full(shape, jnp.inf)
    return Estimate(mean=mean, error=error * math.sqrt(draws / used))


class Convergence(NamedTuple):
    """Split R-hat and integrated autocorrelation time (in draws) of one series."""

    r_hat: Float[Array, ""]
    tau: Float[Array, ""]


def convergence(series: Float[Array, "draws chains"], *, exact: bool) -> Convergence:
    """Chain diagnostics; 1 and 1 for exact sums."""
    if exact:
        return Convergence(r_hat=jnp.ones(()), tau=jnp.ones(()))
    return Convergence(r_hat=split_r_hat(series), tau=autocorrelation_time(series))


def with_phase(
    ansatz: AbstractAnsatz, draw: Draw, values: Complex[Array, "draws chains *shape"]
) -> Float[Array, "draws chains *shape"]:
    """Real values whose weighted mean is Re <X> = Re (sum_l rho(l, l) X_loc(l)/sum_l rho(l, l)), from samples of
    |rho(l, l)|.

    With the phase e of rho(l, l) and z = <e> they are m + Re(e/z (X_loc - m)), m = Re <e X_loc>/z: the scatter of a
    ratio, to first order. Where rho(l, l) > 0 they are Re X_loc.
    """
    x = draw.x.reshape(-1, draw.x.shape[-1])
    phase = at_each(lambda x: jnp.exp(1j * jax.vmap(ansatz.log_amplitude)(x).imag), x, ansatz.local_dim**2)
    shape = draw.weight.shape + (1,) * (values.ndim - 2)
    weight = draw.weight.reshape(shape)
    turn = phase.reshape(shape) / jnp.sum(draw.weight * phase.reshape(draw.weight.shape))
    mean = jnp.sum(weight * turn * values, axis=(0, 1))
    return mean.real + (turn * (values - mean)).real


class Comparison(NamedTuple):
    """Two states rho and sigma side by side.

    - `overlap`: |Tr sigma^+ rho|^2 / (Tr rho^2 Tr sigma^2); for pure states the square of their fidelity.
    - `distance`: ||rho - sigma||/||sigma|| with both traces one (Eq. 16 of PRL 122, 250502).
    """

    overlap: Float[Array, ""]
    distance: Float[Array, ""]


@program
def comparison(ansatz: AbstractAnsatz, target: AbstractAnsatz, draw: Draw, diagonal: Draw) -> Comparison:
    """Rho = `ansatz` and sigma = `target` compared on samples of rho.

    With r = sigma/rho as the networks have it the overlap is |<r>_p|^2/<|r|^2>_p; Tr sigma/Tr rho = <r>_q =: c, with
    the phase of rho(l, l) in the weights, and
    the square of the distance is <|1 - r/c|^2>_p / <|r/c|^2>_p.
    """
    x = jnp.concatenate([part.x.reshape(-1, part.x.shape[-1]) for part in (draw, diagonal)])
    log_r = jax.vmap(target.log_amplitude)(x) - jax.vmap(ansatz.log_amplitude)(x)
    log_r, log_q = log_r[: draw.weight.size], log_r[draw.weight.size :]
    r, weight = jnp.exp(log_r - jnp.max(log_r.real)), draw.weight.reshape(-1)
    size = jnp.sum(weight * jnp.abs(r) ** 2)
    phase = jnp.exp(1j * jax.vmap(ansatz.log_amplitude)(diagonal.x.reshape(-1, x.shape[-1])).imag)
    parts, largest = diagonal.weight.reshape(-1) * phase, jnp.max(log_q.real)
    over_c = jnp.exp(log_r - largest) * jnp.sum(parts) / jnp.sum(parts * jnp.exp(log_q - largest))
    apart = jnp.sum(weight * jnp.abs(1 - over_c) ** 2) / jnp.sum(weight * jnp.abs(over_c) ** 2)
    return Comparison(overlap=jnp.abs(jnp.sum(weight * r)) ** 2 / size, distance=jnp.sqrt(apart))
