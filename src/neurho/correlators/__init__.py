"""Correlators of operator strings and their equations of motion: the hierarchy, cut at strings of some weight."""

from neurho.correlators.basis import letters, operator_strings, product_letters, to_correlators
from neurho.correlators.equations import StringTerms, invariant_moves, sector_signs, string_terms
from neurho.correlators.hierarchy import Hierarchy, build_hierarchy
from neurho.correlators.reading import (
    Measured,
    blocks,
    measured,
    pair_strings,
    smallest_eigenvalue,
    string_means,
)
from neurho.correlators.rungs import Rung, expected_count, ladder, require_terms
from neurho.correlators.solving import Moments, propagate, raw_means, start, stationary_state
from neurho.correlators.strings import Strings, Symmetry, all_strings, from_dense, joined

__all__ = [
    "Hierarchy",
    "Measured",
    "Moments",
    "Rung",
    "StringTerms",
    "Strings",
    "Symmetry",
    "all_strings",
    "blocks",
    "build_hierarchy",
    "expected_count",
    "from_dense",
    "invariant_moves",
    "joined",
    "ladder",
    "letters",
    "measured",
    "operator_strings",
    "pair_strings",
    "product_letters",
    "propagate",
    "raw_means",
    "require_terms",
    "sector_signs",
    "smallest_eigenvalue",
    "start",
    "stationary_state",
    "string_means",
    "string_terms",
    "to_correlators",
]
