"""Derivatives of L rho in the parameters: what implicit steps need beyond the local values.

With O(x) = d log rho(x)/d alpha the derivative of (L rho)(x) is rho(x) M(x), where

    M(x) = sum_x' L[x, x'] rho(x')/rho(x) O(x').

For hidden units O(x') is made of tanh theta_k(x') = q_k(x') - p_k(x') at the labels of x', and x' differs from x on few
sites, so M costs a few numbers for every unit and connected configuration, as the local value does.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int, PyTree

from neurho.matrix_elements.estimation.estimators import local_value
from neurho.matrix_elements.generator import Group, LabelMap
from neurho.matrix_elements.networks.base import AbstractAnsatz, log_derivatives, parameters, prepare_changes
from neurho.matrix_elements.networks.hidden_units import HiddenUnits


class Derivatives(NamedTuple):
    """L_loc(x), and real and imaginary parts of O(x) and M(x), of one configuration."""

    local: Complex[Array, ""]
    o: Float[Array, "2 parameters"]
    moved: Float[Array, "2 parameters"]


class Tables(NamedTuple):
    """A derivative of log rho with respect to the tables of hidden units."""

    visible: Complex[Array, "sites labels"]
    bias: Complex[Array, " hidden"]
    weights: Complex[Array, "sites labels hidden"]


class LocalDerivatives(eqx.Module):
    """The map x -> `Derivatives` of one single-channel generator at fixed parameters."""

    ansatz: AbstractAnsatz
    amplitudes: PyTree
    generator: LabelMap
    changes: tuple[PyTree[Array], ...]

    @classmethod
    def build(cls, ansatz: AbstractAnsatz, generator: LabelMap) -> "LocalDerivatives":
        """Prepare all changes once."""
        amplitudes = ansatz.amplitudes()
        changes = [prepare_changes(amplitudes, g.sites, g.labels, generator.label_dim) for g in generator.groups]
        return cls(ansatz=ansatz, amplitudes=amplitudes, generator=generator, changes=tuple(changes))

    def __call__(self, x: Int[Array, " sites"]) -> Derivatives:
        """One configuration; batch with `jax.vmap`."""
        if isinstance(self.amplitudes, HiddenUnits):
            return self._hidden(x)
        return differentiated(self.ansatz, self.generator, x)

    def _hidden(self, x: Int[Array, " sites"]) -> Derivatives:
        here = jax.nn.one_hot(x, self.generator.label_dim)
        cache = self.amplitudes.cache(x)
        t = _angles(cache.q_re - cache.p_re, cache.q_im - cache.p_im)
        units = len(t)
        total, moved = jnp.zeros(units, complex), jnp.zeros((*here.shape, units), complex)
        diagonal = jnp.zeros((), complex)
        for group, table in zip(self.generator.groups, self.changes, strict=True):
            local = group.local_index(x, self.generator.label_dim)
            diagonal = diagonal + jnp.sum(group.diagonal[0, jnp.arange(len(local)), local])
            total, moved = self._group(group, table, cache, x, local, (total, moved))
        total = total + diagonal * t
        pulled = self._pull(
            Tables(
                visible=here * total[-1] + moved[:, :, -1],
                bias=total[:-1],
                weights=here[:, :, None] * total[:-1] + moved[:, :, :-1],
            )
        )
        return Derivatives(local=total[-1], o=log_derivatives(self.ansatz, x), moved=pulled)

    def _group(
        self, group: Group, table: PyTree[Array], cache: PyTree, x: Array, local: Array, sums: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """Add sum_x' L[x, x'] rho(x')/rho(x) (tanh theta(x'), 1): in all, and by which labels changed to which."""
        label_dim = self.generator.label_dim

        def instance(sums: tuple[Array, Array], inputs: tuple) -> tuple[tuple[Array, Array], None]:
            sites, rows, labels, elements, c = inputs
            rows = jax.tree.map(lambda a: a[c], rows)

            def connected(change: PyTree) -> tuple[Array, Array]:
                new = self.amplitudes.update(cache, change)
                return self.amplitudes.ratio(cache, change).value(), _angles(new.q_re - new.p_re, new.q_im - new.p_im)

            ratio, t = jax.vmap(connected)(rows)
            flow = jnp.where(elements[c] != 0, elements[c] * ratio, 0)[:, None] * t
            difference = jax.nn.one_hot(labels[c], label_dim) - jax.nn.one_hot(x[sites], label_dim)
            total, moved = sums
            for j, change in enumerate(jnp.einsum("mu,mkl->klu", flow, difference)):
                # One site after the other: all at once would be a scatter, which XLA does number by number.
                here = jax.lax.dynamic_index_in_dim(moved, sites[j], keepdims=False)
                moved = jax.lax.dynamic_update_index_in_dim(moved, here + change, sites[j], axis=0)
            return (total + jnp.sum(flow, axis=0), moved), None

        inputs = (group.sites, table, group.labels, group.elements[0], local)
        return jax.lax.scan(instance, sums, inputs)[0]

    def _pull(self, tables: Tables) -> Float[Array, "2 parameters"]:
        """From derivatives with respect to tables to real and imaginary parts of those with respect to parameters."""
        vector, restore = parameters(self.ansatz)

        def of_parameters(v: Array) -> Tables:
            a: Any = restore(v).amplitudes()
            return Tables(visible=a.visible, bias=a.bias, weights=a.weights)

        _, back = jax.vjp(of_parameters, vector)
        return jnp.stack([back(tables)[0], back(jax.tree.map(lambda a: -1j * a, tables))[0]])


def _angles(re: Float[Array, " hidden"], im: Float[Array, " hidden"]) -> Complex[Array, " units"]:
    """Tanh theta of all hidden units, and a one for the visible tables."""
    return jnp.append(jax.lax.complex(re, im), 1.0)


def differentiated(ansatz: AbstractAnsatz, generator: LabelMap, x: Int[Array, " sites"]) -> Derivatives:
    """The same by automatic differentiation of the local value, M = dL_loc/dalpha + L_loc O: for any ansatz."""
    vector, restore = parameters(ansatz)
    o = log_derivatives(ansatz, x)

    def parts(v: Array) -> Array:
        value = local_value(restore(v).amplitudes(), generator, x)
        return jnp.stack([value.real, value.imag])

    re, im = parts(vector)
    along = jnp.stack([re * o[0] - im * o[1], re * o[1] + im * o[0]])
    return Derivatives(local=jax.lax.complex(re, im), o=o, moved=jax.jacrev(parts)(vector) + along)
