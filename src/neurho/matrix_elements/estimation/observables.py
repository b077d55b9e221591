"""What to measure, from the chain of q(l) = rho(l, l):

<X> = Tr[X rho]/Tr rho = sum_l q(l) X_loc(l),    X_loc(l) = sum_l' X(l, l') rho(l', l)/rho(l, l)      (PRL 122,
250502, Eq. 13)

For Hermitian networks X_loc is replaced by local values with the same mean that cannot become large, see
[`neurho.matrix_elements.estimation.estimators.balanced_values`][].
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._jax.compiling import program, rehearse
from neurho._jax.parallel import collect, map_samples
from neurho._types import brief, require, require_sites, require_whole
from neurho.matrix_elements.estimation.estimators import (
    CHUNK,
    balanced_values,
    convergence,
    estimate,
    group_values,
    prepare_balanced,
    prepare_group,
    with_phase,
)
from neurho.matrix_elements.estimation.purity import Purity, estimate_purity, is_known, missing_sentence, with_entropy
from neurho.matrix_elements.generator import Group, row_groups
from neurho.matrix_elements.networks import AbstractAnsatz, network_of
from neurho.matrix_elements.networks.base import Network
from neurho.matrix_elements.sampling import AbstractSampler, Draw, blank_draw, draw_samples, enumerate_diagonal
from neurho.model.operators import LocalTerm, Operator
from neurho.observables import Estimate, Quantity, fingerprint
from neurho.observables.names import REDUCED, at
from neurho.observables.reduced import arranged, as_matrices, matrix_units


class Measurement(NamedTuple):
    """Estimates of all operators in order, of all averages and all combinations in order, and the state of the chain
    (of the last average); the purity if asked for.
    """

    single: Estimate
    averages: Estimate
    combined: Estimate
    r_hat: Float[Array, ""]
    tau: Float[Array, ""]
    acceptance: Float[Array, ""]
    purity: Purity | None = None


class Observables(eqx.Module):
    """A set of quantities measured together: operators on the same sites share their ratios.

    - `groups`: local maps whose channels are slots; `targets` says which operator each slot of each instance belongs
      to.
    - `slices`, `averaged`: where the operators of the quantities lie, and which quantities are means.
    - `weights`: of the quantities that are linear combinations, None for the others.
    - `purity`: also estimate Tr rho^2 (see [`neurho.matrix_elements.estimation.purity`][]).
    """

    groups: tuple[Group, ...]
    targets: tuple[Int[Array, "channels instances"], ...]
    sampler: AbstractSampler
    weights: tuple[Float[Array, "..."] | None, ...]
    names: tuple[str, ...] = eqx.field(static=True)
    slices: tuple[tuple[int, int], ...] = eqx.field(static=True)
    averaged: tuple[bool, ...] = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    count: int = eqx.field(static=True)
    chunk: int = eqx.field(static=True, default=CHUNK)
    purity: bool = eqx.field(static=True, default=False)

    def __call__(
        self, key: PRNGKeyArray, ansatz: AbstractAnsatz, chains: Int[Array, "chains sites"]
    ) -> tuple[Measurement, Int[Array, "chains sites"]]:
        """Draw from q(l) and estimate everything."""
        draw, chains, info = draw_samples(self.sampler, key, ansatz, chains)
        return self._estimate(ansatz, draw)._replace(acceptance=info.acceptance), chains

    def rehearse(self, ansatz: AbstractAnsatz) -> None:
        """Have the program compiled that comes after the samples."""
        if (draw := blank_draw(self.sampler)) is not None:
            rehearse(Observables._estimate, self, ansatz, draw)

    @program
    def _estimate(self, ansatz: AbstractAnsatz, draw: Draw) -> Measurement:
        """All estimates but the acceptance."""
        amplitudes, dim = ansatz.amplitudes(), self.local_dim
        if ansatz.hermitian:
            changes = [prepare_balanced(amplitudes, g, dim) for g in self.groups]
        else:
            changes = [prepare_group(amplitudes, g, dim, diagonal=True) for g in self.groups]
        values_of: Any = balanced_values if ansatz.hermitian else group_values

        def one(x: Array) -> Array:
            cache, levels = amplitudes.cache(x), x // (dim + 1)
            total = jnp.zeros(self.count, dtype=complex)
            for group, target, table in zip(self.groups, self.targets, changes, strict=True):
                values = values_of(amplitudes, group, table, cache, group.local_index(levels, dim))
                total = total.at[target.T].add(values)
            return total

        x = draw.x.reshape(-1, draw.x.shape[-1])
        local = map_samples(one, (x,), self.chunk).reshape(*draw.weight.shape, self.count)
        values = with_phase(ansatz, draw, local.real.astype(complex) if ansatz.hermitian else local)
        means = [
            values[..., a:b].mean(axis=-1) for (a, b), mean in zip(self.slices, self.averaged, strict=True) if mean
        ]
        averages = jnp.stack(means, axis=-1) if means else values
        sums = [
            values[..., a:b] @ w.reshape(-1, b - a).T
            for (a, b), w in zip(self.slices, self.weights, strict=True)
            if w is not None
        ]
        mixing = convergence(averages[..., -1], exact=self.sampler.exact)
        exact = self.sampler.exact
        measured = Measurement(
            single=estimate(values, draw, exact=exact),
            averages=estimate(averages, draw, exact=exact),
            combined=estimate(jnp.concatenate(sums or [values[..., :0]], axis=-1), draw, exact=exact),
            r_hat=mixing.r_hat,
            tau=mixing.tau,
            acceptance=jnp.full((), jnp.nan),
            purity=estimate_purity(ansatz, draw, exact=exact, chunk=self.chunk) if self.purity else None,
        )
        return collect(measured)

    def named(self, measurement: Measurement, sites: int) -> dict[str, Estimate]:
        """Estimates by name, as NumPy arrays; pairs as symmetric `(sites, sites)` matrices with 1 on the diagonal."""
        single, averages, combined = (
            jax.tree.map(np.asarray, m) for m in (measurement.single, measurement.averages, measurement.combined)
        )
        result, means, sums = {}, 0, 0
        for name, (a, b), averaged, w in zip(self.names, self.slices, self.averaged, self.weights, strict=True):
            if w is not None:
                shape = w.shape[:-1]
                part = slice(sums, sums := sums + math.prod(shape))
                result[name] = Estimate(
                    mean=combined.mean[part].reshape(shape), error=combined.error[part].reshape(shape)
                )
            elif averaged:
                result[name] = Estimate(mean=averages.mean[means], error=averages.error[means])
                means += 1
            else:
                part = Estimate(mean=single.mean[a:b], error=single.error[a:b])
                result |= arranged(name, part, sites, self.local_dim)
        if measurement.purity is not None and is_known(measurement.purity, exact=self.sampler.exact):
            result |= with_entropy(measurement.purity)
        return result

    def remark(self, measurement: Measurement) -> str:
        """A sentence on what was asked for and is not in `named`, or ""."""
        if measurement.purity is None or is_known(measurement.purity, exact=self.sampler.exact):
            return ""
        return missing_sentence(measurement.purity)


def build_observables(
    quantities: Sequence[Quantity],
    sampler: AbstractSampler,
    sites: int,
    *,
    chunk: int = CHUNK,
    purity: bool = False,
) -> Observables:
    """Compile quantities into kernels. Operators that stand in several quantities are measured once.

    With `purity`, Tr rho^2/(Tr rho)^2 and the Renyi-2 entropy -ln of it are estimated from the same samples.

    **Raises** `NeurhoError` for an empty list or an operator that is not Hermitian.
    """
    require(len(quantities) > 0, "quantities", "name at least one quantity", "it is empty")
    operators: list[Operator] = []
    slices: dict[tuple[int, ...], tuple[int, int]] = {}
    places = []
    quantities = [_listed(quantity) for quantity in quantities]
    for quantity in quantities:
        for operator in quantity.operators:
            require_sites(operator.support, sites, f"sites of `{quantity.name}`")
            require(
                not any(t.coefficient for t in operator.terms),
                "quantities",
                "not depend on time",
                f"`{quantity.name}` has a coefficient f(t)",
            )
            require(
                operator.is_hermitian(),
                "quantities",
                "hold Hermitian operators",
                f"`{quantity.name}` has one that is not",
            )
        key = tuple(fingerprint(o) for o in quantity.operators)
        if key not in slices:
            slices[key] = (len(operators), len(operators) + len(key))
            operators += quantity.operators
        places.append(slices[key])
    groups, targets = _slots(operators)
    return Observables(
        groups=groups,
        targets=targets,
        sampler=sampler,
        names=tuple(q.name for q in quantities),
        slices=tuple(places),
        averaged=tuple(q.average and q.weights is None for q in quantities),
        weights=tuple(
            None if q.weights is None else jax.device_put(np.asarray(q.weights, dtype=float)) for q in quantities
        ),
        local_dim=operators[0].local_dim,
        count=len(operators),
        chunk=chunk,
        purity=purity,
    )


def _listed(quantity: Quantity) -> Quantity:
    """The quantity with its operators as a tuple, where a user has given one alone or a list."""
    given: Any = quantity.operators
    operators = (given,) if isinstance(given, Operator) else tuple(given) if isinstance(given, Sequence) else (given,)
    for operator in operators:
        must = f"hold operators as `{quantity.name}`, as in sz(0)"
        require(isinstance(operator, Operator), "quantities", must, f"there is {brief(operator)}")
    require(len(operators) > 0, "quantities", f"hold operators as `{quantity.name}`", "there is none")
    return quantity._replace(operators=operators)


def reduced_density_matrix(
    ansatz: Network,
    sites: int | Sequence[int],
    sampler: AbstractSampler | None = None,
    *,
    seed: int = 0,
) -> Estimate:
    """The reduced density matrix of a few sites: Tr over all the others of rho/Tr rho.

    ```python
    import jax
    import numpy as np
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2)
    found = neurho.methods.reduced_density_matrix(network, 0)
    rho = neurho.networks.density_matrix(network)
    assert np.allclose(found.mean, neurho.exact.reduced(rho, [0], 2))
    ```

    **Arguments**

    - `sites`: one to three different sites; the first is the slowest index.
    - `sampler`: of q(l) = rho(l, l); all diagonal configurations unless given.

    **Returns** the mean, `(d^k, d^k)`, complex and Hermitian with trace one, and the standard error of each entry,
    sqrt(error(Re)^2 + error(Im)^2). A sampled matrix may have slightly negative eigenvalues.

    **Raises** `NeurhoError` for sites that are not there, stand twice or are too many.
    """
    ansatz = network_of(ansatz)
    sites = (sites,) if isinstance(sites, int | np.integer) else sites
    whole = isinstance(sites, Sequence | np.ndarray) and all(isinstance(j, int | np.integer) for j in sites)
    require(whole, "sites", "be one to three different sites", f"it is {brief(sites)}")
    require(
        sampler is None or isinstance(sampler, AbstractSampler),
        "sampler",
        "be one of q(l), as metropolis_diagonal gives",
        f"it is {brief(sampler)}",
    )
    require_whole(seed, "seed")
    require_sites(sites, ansatz.sites, "sites")
    require(1 <= len(sites) <= 3, "sites", "be one to three sites", f"it has {len(sites)}")
    operators = matrix_units(sites, ansatz.local_dim)
    source = sampler if sampler is not None else enumerate_diagonal(ansatz.sites, ansatz.local_dim)
    measure = build_observables([Quantity("units", operators)], source, ansatz.sites)
    begin, run = jax.random.split(jax.random.key(seed))
    measured, _ = measure(run, ansatz, source.init(begin, ansatz.amplitudes()))
    parts = as_matrices(measured.single, ansatz.local_dim ** len(sites))
    real, imag = (parts[at(REDUCED, part)] for part in ("real", "imag"))
    return Estimate(mean=real.mean[0] + 1j * imag.mean[0], error=np.hypot(real.error[0], imag.error[0]))


def _slots(operators: Sequence[Operator]) -> tuple[tuple[Group, ...], tuple[Array, ...]]:
    """Give every term a slot on its support, compile slots as channels, and note which operator each slot feeds."""
    supports: dict[tuple[int, ...], list[tuple[int, LocalTerm]]] = defaultdict(list)
    for number, operator in enumerate(operators):
        for term in operator.merged().terms:
            placed = term if term.sites else LocalTerm((0,), term.matrix * np.eye(operator.local_dim))
            supports[placed.sites].append((number, placed))
    width = max(len(terms) for terms in supports.values())
    channels = [
        Operator(operators[0].local_dim, tuple(terms[slot][1] for terms in supports.values() if slot < len(terms)))
        for slot in range(width)
    ]
    groups = row_groups(channels)
    targets = []
    for group in groups:
        target = np.zeros((width, len(group.sites)), dtype=np.int32)
        for instance, support in enumerate(np.asarray(group.sites)):
            terms = supports[tuple(int(j) for j in support)]
            target[: len(terms), instance] = [number for number, _ in terms]
        targets.append(jax.device_put(target))
    return groups, tuple(targets)
