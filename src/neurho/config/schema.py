"""The whole problem: what its tables must agree on."""

from collections.abc import Iterator
from math import log, prod
from typing import Annotated, Any, TypeAlias, get_args

from pydantic import Field, model_validator

from neurho.config.custom import Custom, JumpTerm, Levels, Term
from neurho.config.driven import check_pulses
from neurho.config.matrices import Matrices, Matrix, MatrixJump, MatrixTerm
from neurho.config.messages import Refusal, refuse, shown
from neurho.config.modules import PythonModule
from neurho.config.networks import Convolution, ExactTable, Gram, Liouville, Mpdo, Ndm, Rbm
from neurho.config.processor import Coupling, Drive, Gate, Processor, check_fidelity
from neurho.config.pulses import Pulse
from neurho.config.string_networks import PARTS, Combined, StringNetwork
from neurho.config.tables import (
    Chain,
    Dephasing,
    Edges,
    Enumeration,
    Heisenberg,
    Ising,
    MeanField,
    Metropolis,
    Observables,
    Output,
    Product,
    Random,
    Square,
    State,
    Triangular,
    Xyz,
)
from neurho.config.tasks import WITHOUT_NETWORK, Evolve, Stationary
from neurho.config.values import Index, Table

ENUMERATION_SITES = 7
TIED_ENUMERATION_SITES = 9
"""With ansatz.translations."""
TABLE_SITES = 6
EVOLUTION_DEFAULTS = {"exponent": 1.0, "blur": 0.3}
"""Of [sampling] with kind "metropolis" and task.kind "evolve"."""
FITTED = (PythonModule, Ndm, Gram, Mpdo, Convolution)
"""Networks that hold no product state by construction: they are fitted to one, or begin with random parameters."""
EXACT_SITES = {"evolve": 12, "stationary": 10}
EXACT_BY_ITSELF = {"evolve": 2**8, "stationary": 2**7}
"""Largest d^N at which `task.method = "auto"` is "exact": what takes seconds."""
Lattices: TypeAlias = Chain | Square | Triangular | Edges
Models: TypeAlias = Heisenberg | Xyz | Ising | Dephasing | Processor | Custom | Matrices
Ansatzes: TypeAlias = Rbm | Liouville | Ndm | Gram | Mpdo | Convolution | ExactTable | PythonModule | StringNetwork
Initials: TypeAlias = Product | Levels | MeanField | Random | State | Matrix
Samplings: TypeAlias = Metropolis | Enumeration
Tasks: TypeAlias = Evolve | Stationary


class Config(Table):
    """A whole problem, all defaults resolved. `ansatz` and `sampling` may be None for methods without a network.

    ```python
    import neurho

    problem = neurho.load("fig2")
    assert problem.sites == 5 and problem.model.kind == "heisenberg"
    ```
    """

    seed: Index = 0
    lattice: Annotated[Lattices, Field(discriminator="kind")]
    model: Annotated[Models, Field(discriminator="kind")]
    pulses: dict[str, Annotated[Pulse, Field(discriminator="kind")]] = {}
    ansatz: Annotated[Ansatzes | None, Field(discriminator="kind")] = None
    initial: Annotated[Initials, Field(discriminator="kind")] = Random(kind="random")
    sampling: Annotated[Samplings | None, Field(discriminator="kind")] = None
    task: Annotated[Tasks, Field(discriminator="kind")]
    observables: Observables = Observables()
    output: Output = Output()

    @property
    def sites(self) -> int:
        """Number of sites N."""
        return sites_of(self.lattice)

    @property
    def local_dim(self) -> int:
        """Levels of one site, d."""
        return levels_of(self.model)

    @model_validator(mode="before")
    @classmethod
    def _start(cls, data: Any) -> Any:
        """A search for a stationary state begins with the mean-field state."""
        task = data.get("task")
        spins = isinstance(data.get("ansatz"), Rbm)
        spins &= levels_of(data.get("model")) == 2
        if "initial" not in data and isinstance(task, Stationary) and task.method == "continuation" and spins:
            return data | {"initial": MeanField(kind="mean-field")}
        return data

    @model_validator(mode="before")
    @classmethod
    def _safe_samples(cls, data: Any) -> Any:
        """Samples of an evolution run at |rho| and are blurred, unless something else is asked for."""
        sampling = data.get("sampling")
        if not isinstance(sampling, Metropolis) or not isinstance(data.get("task"), Evolve):
            return data
        missing = {k: v for k, v in EVOLUTION_DEFAULTS.items() if k not in sampling.model_fields_set}
        return data | {"sampling": sampling.model_copy(update=missing)}

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        refuse(_misfits(self))
        return self


def _misfits(config: Config) -> Iterator[Refusal]:
    """What does not fit together."""
    yield from _check_sizes(config)
    yield from _check_sites(config)
    yield from check_pulses(config)
    yield from check_fidelity(config)
    if isinstance(config.ansatz, PythonModule):
        yield from config.ansatz.check()
    if config.task.method == "correlators" and not isinstance(config.ansatz, StringNetwork):
        for key in ("rows", "metric"):
            if getattr(config.task, key) is not None:
                yield Refusal(f"task.{key}", "be left out without a network of correlators", "it is there")
    if isinstance(config.ansatz, StringNetwork):
        yield from _check_strings(config, config.ansatz)
    elif isinstance(config.ansatz, FITTED):
        yield from _check_start(config, config.ansatz.kind)
    network = config.ansatz
    if network is not None and getattr(network, "translations", False):
        yield from _check_translations(config, network)
    elif getattr(network, "point_group", False):
        yield Refusal("ansatz.point_group", "be false unless ansatz.translations = true", "it is true")


def _check_strings(config: Config, network: StringNetwork) -> Iterator[Refusal]:
    """What a network of correlators does not go with."""
    task = config.task
    if task.method not in WITHOUT_NETWORK:
        must = f'be "correlators" for ansatz.kind = "{network.kind}", whose networks are functions of operator strings'
        yield Refusal("task.method", must, f'it is "{task.method}"')
    if task.method == "correlators" and getattr(task, "closure", None) == "cumulants":
        yield Refusal("task.closure", "be left out where [ansatz] gives a network of correlators", "it is there")
    if getattr(network, "grow", False) and task.kind == "evolve":
        yield Refusal("ansatz.grow", 'be false for task.kind = "evolve": searches grow', "it is true")
    for number, part in enumerate(network.parts if isinstance(network, Combined) else ()):
        if getattr(part, "grow", False):
            yield Refusal(f"ansatz.parts.{number}.grow", "be false: parts have fixed sizes", "it is true")


def _check_start(config: Config, kind: str) -> Iterator[Refusal]:
    """What a network that holds no product state by construction may begin with."""
    if isinstance(config.initial, Product | Levels) and not config.initial.fit:
        must = f'be at least 1 for ansatz.kind = "{kind}", which is fitted to the product state (30 will often do)'
        yield Refusal("initial.fit", must, "it is 0")
    if isinstance(config.initial, State) and kind != "python":
        yield Refusal("initial.kind", f'be another one for ansatz.kind = "{kind}"', 'it is "state"')


def sites_of(lattice: Lattices) -> int:
    """Number of sites of a lattice."""
    if isinstance(lattice, Edges):
        return max(lattice.sites or 0, 1 + max((max(edge) for edge in lattice.edges), default=-1))
    return prod(lattice.shape)


def levels_of(model: Any) -> int:
    """Levels of one site of a model, d."""
    return getattr(model, "local_dim", 2)


def automatic_method(lattice: Lattices, model: Models, kind: str, initial: Any = None) -> tuple[str, str]:
    """The method of a problem that asks for none and has no network, and why: exact where that takes seconds."""
    count, most = levels_of(model) ** sites_of(lattice), EXACT_BY_ITSELF[kind]
    if isinstance(initial, Matrix):
        return "exact", "it begins with a density matrix that is not a product"
    if count <= most:
        return "exact", f"the system has {count} levels, and up to {most} the exact solution takes seconds"
    levels = f"{count} levels" if count < 10**6 else f"{count:.1e} levels"
    return "correlators", f"the system has {levels}, more than {most}, and correlators know the errors of their means"


def _check_sizes(config: Config) -> Iterator[Refusal]:
    count, task, d = config.sites, config.task, config.local_dim
    exact = task.method == "exact"

    def at_most(limit: int, what: str, remedy: str = "") -> Iterator[Refusal]:
        limit = int(limit * log(2) / log(d) + 1e-9)
        if count > limit:
            yield Refusal(
                "lattice",
                f"have at most {limit} sites for {what}",
                f"it has N = {count}{f' with d = {d}' if d != 2 else ''}{remedy and f'; {remedy}'}",
            )

    if isinstance(config.lattice, Edges) and config.lattice.sites is not None and config.lattice.sites < count:
        yield Refusal("lattice.sites", f"be at least {count}, which the edges need", f"it is {config.lattice.sites}")
    for key in ("ansatz", "sampling"):
        if getattr(config, key) is None and task.method not in WITHOUT_NETWORK:
            must = 'be a table of its own unless task.method is "exact" or another method without a network'
            yield Refusal(key, must, f'it is missing for "{task.method}"')
    if exact:
        remedy = "give a network and another task.method for more"
        yield from at_most(EXACT_SITES[task.kind], 'task.method = "exact"', remedy)
    elif isinstance(config.sampling, Enumeration):
        tied = getattr(config.ansatz, "translations", False)
        what = 'sampling.kind = "enumeration", which goes through all d^(2N) configurations'
        remedy = 'set sampling.kind = "metropolis" and sampling.samples for more'
        if not tied and isinstance(config.ansatz, Rbm) and _is_periodic(config):
            remedy += f", or ansatz.translations = true for up to {TIED_ENUMERATION_SITES}"
        yield from at_most(TIED_ENUMERATION_SITES if tied else ENUMERATION_SITES, what, remedy)
    if isinstance(config.ansatz, ExactTable) and not exact:
        what = 'ansatz.kind = "table", which holds all d^(2N) entries'
        yield from at_most(TABLE_SITES, what, 'set ansatz.kind = "rbm" for more')
    if not isinstance(config.ansatz, Rbm) and isinstance(config.initial, MeanField):
        yield Refusal("initial.kind", 'be another one unless ansatz.kind is "rbm" or "liouville"', 'it is "mean-field"')
    for key in ("exponent", "blur"):
        chooses = {"continuation", "projected", *WITHOUT_NETWORK}
        if getattr(config.sampling, key, None) == "auto" and task.method not in chooses:
            yield Refusal(f"sampling.{key}", f'be a number for method "{task.method}"', 'it is "auto"')
    sampled = task.method != "correlators" and not isinstance(config.sampling, Enumeration)
    if sampled and task.metric not in (None, 1):
        must = 'be 1 unless sampling.kind = "enumeration": the depolarised norm mixes configurations, so all are summed'
        yield Refusal("task.metric", must, f"it is {task.metric:g}")
    if task.kind == "stationary" and not config.observables.certificate:
        yield Refusal("observables.certificate", "be true to find a stationary state", "it is false")
    if config.observables.momenta and isinstance(config.lattice, Edges):
        yield Refusal("observables.momenta", 'be false for lattice.kind = "edges", which has no momenta', "it is true")
    if isinstance(config.initial, Matrix) and not exact:
        yield Refusal("initial.kind", 'be another one unless task.method is "exact"', 'it is "matrix"')
    for pair in config.observables.pairs:
        if pair[0] == pair[1] or max(pair) >= count:
            must = f"hold pairs of different sites from 0 to {count - 1}"
            yield Refusal("observables.pairs", must, f"one is {list(pair)}")
    if config.observables.reference == "exact" and task.method not in WITHOUT_NETWORK:
        yield from at_most(ENUMERATION_SITES, 'observables.reference = "exact"', 'set it to "auto" for more')
    if task.kind == "evolve" and "initial" not in config.model_fields_set:
        yield Refusal("initial", 'be a table of its own for task.kind = "evolve"', "it is missing")


def _check_sites(config: Config) -> Iterator[Refusal]:
    keys = ("decay", "pump", "dephasing", "transverse", "T1", "T2", "thermal", "detuning")
    per_site = {f"model.{key}": getattr(config.model, key, None) for key in keys}
    for key, value in per_site.items():
        yield from _check_length(key, value, config.sites)
    field = getattr(config.model, "field", None)
    if field is not None:
        yield from _check_length("model.field", None if isinstance(field[0], float) else field, config.sites)
    yield from _check_levels(config)
    if isinstance(config.initial, Product) and not isinstance(config.initial.bloch, str):
        bloch = config.initial.bloch
        vectors = [bloch] if isinstance(bloch[0], float) else bloch
        yield from _check_length("initial.bloch", None if vectors is not bloch else bloch, config.sites)
        for vector in vectors:
            if sum(c * c for c in vector) > 1 + 1e-9:  # pyright: ignore[reportOperatorIssue, reportGeneralTypeIssues]
                yield Refusal("initial.bloch", "lie in the unit ball, |r| <= 1", f"one vector is {shown(vector)}")


def _is_periodic(config: Config) -> bool:
    """Whether the lattice is periodic in every direction."""
    periodic = getattr(config.lattice, "periodic", False)
    return all(periodic if isinstance(periodic, tuple) else (periodic,))


def _check_translations(config: Config, network: Ansatzes) -> Iterator[Refusal]:
    """What a translation-invariant network needs; the Lindbladian is checked when it is built."""
    if not _is_periodic(config):
        unless = "unless the lattice is periodic in every direction"
        if isinstance(network, Convolution):
            yield Refusal("ansatz.kind", f"be another one {unless}", 'it is "convolution"')
        else:
            yield Refusal("ansatz.translations", f"be false {unless}", "it is true")
    if isinstance(network, Mpdo) and not isinstance(config.lattice, Chain):
        must = 'be false for ansatz.kind = "mpdo" unless lattice.kind = "chain"'
        yield Refusal("ansatz.translations", must, "it is true")
    for key in ("hidden", "mixing"):
        if getattr(network, key, 0) % config.sites:
            must = f"be a multiple of the {config.sites} sites where ansatz.translations = true"
            yield Refusal(f"ansatz.{key}", must, f"it is {getattr(network, key)}")
    if isinstance(config.initial, Levels):
        yield Refusal("initial.kind", "be another one where ansatz.translations = true", 'it is "levels"')
    bloch = getattr(config.initial, "bloch", "")
    different = bloch == "neel" if isinstance(bloch, str) else isinstance(bloch[0], tuple) and len(set(bloch)) > 1
    if different:
        yield Refusal("initial.bloch", "be the same on all sites where ansatz.translations = true", "it is not")


def _check_levels(config: Config) -> Iterator[Refusal]:
    """What depends on the number of levels of a site."""
    d, asked = config.local_dim, config.observables
    if isinstance(config.initial, Levels):
        yield from config.initial.check(config.sites, d)
    if d == 2:
        return
    if isinstance(config.initial, Product | MeanField):
        yield Refusal(
            "initial.kind",
            f'be "levels", "random" or "state" for sites of {d} levels',
            f'it is "{config.initial.kind}"',
        )
    for key in ("correlations", "structure", "momenta"):
        if getattr(asked, key):
            yield Refusal(
                f"observables.{key}", f"be false for sites of {d} levels: it is about Pauli matrices", "it is true"
            )


def _check_length(key: str, value: object, sites: int) -> Iterator[Refusal]:
    if isinstance(value, tuple) and len(value) != sites:
        yield Refusal(key, f"have one entry for each of the {sites} sites", f"it has {len(value)}")


KINDS: dict[str, dict[str, type[Table]]] = {
    name: {k: kind for kind in get_args(union) for k in get_args(kind.model_fields["kind"].annotation)}
    for name, union in {
        "lattice": Lattices,
        "model": Models,
        "ansatz": Ansatzes,
        "initial": Initials,
        "sampling": Samplings,
        "task": Tasks,
    }.items()
}


PLAIN: dict[str, type[Table]] = {"observables": Observables, "output": Output}
PULSES: dict[str, type[Table]] = {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(Pulse)}
NESTED: dict[type[Table], dict[str, type[Table] | dict[str, type[Table]]]] = {
    Combined: {"parts": PARTS},
    Custom: {"hamiltonian": Term, "jumps": JumpTerm},
    Matrices: {"hamiltonian": MatrixTerm, "jumps": MatrixJump},
    Processor: {"drives": Drive, "couplings": Coupling, "gates": Gate},
}
"""Keys that hold lists of tables, of one make or of one for each kind."""
