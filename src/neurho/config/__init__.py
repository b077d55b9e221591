"""The problem file: its schema, one sentence for everything wrong in it, and back to TOML with all defaults resolved.

The only place where physics and numerics are chosen by strings; no JAX here, so that `neurho run --check` can refuse
a bad file at once. Every value that a table does not give is filled in on loading: a `Config` says all that a run
depends on.
"""

from neurho.config.custom import Custom, JumpTerm, Levels, Term
from neurho.config.files import dumps, fingerprint, load, loads, problem_name, shipped
from neurho.config.grid import Grid, grid
from neurho.config.messages import shown
from neurho.config.modules import PythonModule, require_trust
from neurho.config.schema import ENUMERATION_SITES, EXACT_SITES, KINDS, PLAIN, TABLE_SITES, Config
from neurho.config.tables import REFERENCES, Enumeration, Metropolis, Observables, Output, Product, Random, State
from neurho.config.tasks import (
    ADAPTIVE,
    CHOSEN,
    FIXED,
    SOLVER_DEFAULTS,
    SOLVER_KEYS,
    WITHOUT_NETWORK,
    Evolve,
    Flow,
    Stationary,
    unused,
)
from neurho.config.validation import validate
from neurho.config.values import Table

__all__ = [
    "ADAPTIVE",
    "CHOSEN",
    "ENUMERATION_SITES",
    "EXACT_SITES",
    "FIXED",
    "KINDS",
    "PLAIN",
    "REFERENCES",
    "SOLVER_DEFAULTS",
    "SOLVER_KEYS",
    "TABLE_SITES",
    "WITHOUT_NETWORK",
    "Config",
    "Custom",
    "Enumeration",
    "Evolve",
    "Flow",
    "Grid",
    "JumpTerm",
    "Levels",
    "Metropolis",
    "Observables",
    "Output",
    "Product",
    "PythonModule",
    "Random",
    "State",
    "Stationary",
    "Table",
    "Term",
    "dumps",
    "fingerprint",
    "grid",
    "load",
    "loads",
    "problem_name",
    "require_trust",
    "shipped",
    "shown",
    "unused",
    "validate",
]
