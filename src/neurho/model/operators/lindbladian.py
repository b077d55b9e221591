"""The Lindbladian that a Hamiltonian and jump operators make."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurho._types import Coefficient, NeurhoError, brief, require, require_rate, require_sites
from neurho.model.lattice import Lattice, require_lattice
from neurho.model.operators.algebra import Operator, require_same_dim
from neurho.model.operators.coefficients import rate_at, require_bounded, require_function, value_at
from neurho.model.operators.hermitian import HermitianAt, conditions_of
from neurho.model.operators.numbers import opaque_functions
from neurho.model.timescales import Schedule, schedule

MAX_LABELS = 729
"""Largest local space d^(2k) of one term of a Lindbladian that networks can take: 4 sites for d = 2, 3 for d = 3."""


@dataclass(frozen=True, eq=False)
class Jump:
    """A jump operator c with its rate gamma (a number >= 0 or a function of time).

    ```python
    import numpy as np
    import neurho

    decay = neurho.Jump(lambda t: 1 + np.cos(t), neurho.sm(0))
    assert neurho.Lindbladian(neurho.chain(1), neurho.sz(0), [decay]).is_time_dependent
    ```
    """

    rate: float | Coefficient
    operator: Operator


@dataclass(frozen=True, eq=False)
class Lindbladian:
    """The generator of the Lindblad master equation (hbar = 1), Hartmann & Carleo, PRL 122, 250502, Eq. 1:

        d rho/dt = -i [H, rho] + sum_j gamma_j/2 (2 c_j rho c_j^+ - c_j^+ c_j rho - rho c_j^+ c_j)

    ```python
    import neurho

    pair = neurho.chain(2)
    model = neurho.Lindbladian(pair, neurho.sx(0) @ neurho.sx(1), [(0.5, neurho.sm(j)) for j in range(2)])
    assert not model.is_time_dependent
    ```

    **Arguments**

    - `lattice`: where the sites are.
    - `hamiltonian`: Hermitian; energies in the unit in which rates are given.
    - `jumps`: pairs `(rate, operator)`. Rates are numbers >= 0 or functions f(t).

    Coefficients and rates are functions of time alone; they are called with a float.

    **Raises** `NeurhoError` for a Hamiltonian that is not Hermitian at all times, a negative rate and a site off the
    lattice. Rates that depend on time are checked whenever they are evaluated.
    """

    lattice: Lattice
    hamiltonian: Operator
    jumps: tuple[Jump, ...]

    def __init__(
        self, lattice: Lattice, hamiltonian: Operator, jumps: Iterable[tuple[float | Coefficient, Operator] | Jump] = ()
    ) -> None:
        require_lattice(lattice)
        must = "be an Operator, such as sz(0) @ sz(1) or total([...])"
        given: object = hamiltonian
        require(isinstance(given, Operator), "hamiltonian", must, f"it is {brief(given)}")
        require(isinstance(jumps, Iterable), "jumps", "be a list of pairs (rate, operator)", f"it is {brief(jumps)}")
        pairs = tuple(_as_jump(j, number) for number, j in enumerate(jumps))
        object.__setattr__(self, "lattice", lattice)
        object.__setattr__(self, "hamiltonian", hamiltonian.merged())
        object.__setattr__(self, "jumps", tuple(Jump(j.rate, j.operator.merged()) for j in pairs))
        require_sites(self.hamiltonian.support, self.sites, "sites of hamiltonian")
        moving = any(term.coefficient is not None for term in self.hamiltonian.terms)
        wrong = self.hamiltonian.asymmetry()
        require(not wrong, "hamiltonian", f"be Hermitian{' at all times' if moving else ''}", wrong)
        for number, jump in enumerate(self.jumps):
            require_same_dim(hamiltonian, jump.operator)
            if callable(jump.rate):
                require_function(jump.rate, f"jumps[{number}].rate")
            else:
                require_rate(jump.rate, f"jumps[{number}].rate")
                require(np.ndim(jump.rate) == 0, f"jumps[{number}].rate", "be one number", f"it is {jump.rate}")
            require_sites(jump.operator.support, self.sites, f"sites of jumps[{number}]")

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self.lattice.sites

    @property
    def local_dim(self) -> int:
        """Dimension d of one site."""
        return self.hamiltonian.local_dim

    @property
    def is_time_dependent(self) -> bool:
        """Whether any coefficient or rate is a function of time."""
        operators = [self.hamiltonian, *(j.operator for j in self.jumps)]
        return any(callable(j.rate) for j in self.jumps) or any(t.coefficient for o in operators for t in o.terms)

    def stops(self, t0: float, t1: float) -> tuple[float, ...]:
        """Times in (t0, t1) between which no coefficient changes by much; none where nothing depends on time."""
        return self.schedule(t0, t1).stops(t0, t1) if self.is_time_dependent else ()

    def schedule(self, t0: float, t1: float) -> Schedule:
        """When coefficients and rates change between two times: where integrators stop, and how far they may step.

        **Raises** `NeurhoError` if one of them is infinite, or a rate negative or complex, at the first or last time,
        which steps see from inside only: a rate 1/t from t = 0 would pass for a finite one; or if one of them grows
        without bound in between.
        """
        operators = [self.hamiltonian, *(j.operator for j in self.jumps)]
        for t in (t0, t1):
            self.require_values(t)
        coefficients = [t.coefficient for o in operators for t in o.terms] + [j.rate for j in self.jumps]
        return require_bounded(schedule(coefficients, t0, t1))

    def require_values(self, t: float) -> None:
        """Refuse coefficients that are infinite, rates that are negative or complex, a Hamiltonian not Hermitian at t.

        **Raises** `NeurhoError` with the time and the value.
        """
        if self.hermitian_at is not None:
            self.hermitian_at(t)
        for term in self.hamiltonian.terms:
            value_at(term.coefficient, t, "hamiltonian")
        for number, jump in enumerate(self.jumps):
            rate_at(jump.rate, t, f"jumps[{number}].rate")
            for term in jump.operator.terms:
                value_at(term.coefficient, t, f"jumps[{number}]")

    @cached_property
    def hermitian_at(self) -> HermitianAt | None:
        """What refuses a time at which Python functions make the Hamiltonian other than Hermitian; None without any."""
        terms = self.hamiltonian.terms
        hidden = opaque_functions(term.coefficient for term in terms)
        return HermitianAt(conditions_of(terms, 1e-12)) if hidden else None

    def require_local(self) -> None:
        """Refuse terms whose local space is too large for networks.

        **Raises** `NeurhoError` with the term; the exact solvers take it all the same.
        """
        for term in self.hamiltonian.terms:
            self._require_few(term.sites, "hamiltonian", "a term of it acts")
        for number, jump in enumerate(self.jumps):
            self._require_few(jump.operator.support, f"jumps[{number}]", "it acts collectively")

    def _require_few(self, sites: tuple[int, ...], name: str, acts: str) -> None:
        d, most = self.local_dim, int(np.log(MAX_LABELS + 0.5) / np.log(self.local_dim**2))
        one = f" of sites with {d} levels" if d > 2 else ""
        require(
            len(sites) <= most,
            name,
            f"be local for networks and correlators, acting on at most {most} site{'s'[: most != 1]} at once{one} "
            "(sums of local terms are fine; give one jump per site; the exact solvers take any)",
            f"{acts} on {len(sites)} sites",
        )


def adjoint_lindbladian(lindbladian: Lindbladian, operator: Operator) -> Operator:
    """L^+ X, the rate of change of an observable in the Heisenberg picture, d<X>/dt = <L^+ X>:

    L^+ X = i [H, X] + sum_j gamma_j (c_j^+ X c_j - (c_j^+ c_j X + X c_j^+ c_j)/2)

    ```python
    import neurho

    model = neurho.heisenberg(neurho.chain(1), decay=1.0)
    rate = neurho.adjoint_lindbladian(model, neurho.sz(0))  # d<sz>/dt = -(1 + <sz>)
    assert rate.to_sparse(1).diagonal().real.tolist() == [-2, 0]
    ```
    """
    support = set(operator.support)
    near = tuple(t for t in lindbladian.hamiltonian.terms if support & set(t.sites))
    h = Operator(lindbladian.local_dim, near)
    result = 1j * (h @ operator - operator @ h)
    for jump in lindbladian.jumps:
        c = jump.operator
        if support & set(c.support):
            loss = c.adjoint() @ c
            result = result + (c.adjoint() @ operator @ c - 0.5 * (loss @ operator + operator @ loss)) * jump.rate
    return result.merged()


def _as_jump(jump: object, number: int) -> Jump:
    if not isinstance(jump, Jump) and not (isinstance(jump, Sequence) and len(jump) == 2):
        raise NeurhoError(f"Argument `jumps[{number}]` must be a pair (rate, operator), but it is {jump!r}.")
    rate, operator = (jump.rate, jump.operator) if isinstance(jump, Jump) else jump
    if not isinstance(operator, Operator):  # an operator as text takes longer than all the rest
        raise NeurhoError(
            f"Argument `jumps[{number}]` must have an Operator as its second entry, but it is {operator!r}."
        )
    return Jump(rate, operator)
