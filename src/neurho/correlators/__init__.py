"""Correlators of operator strings and their equations of motion: the hierarchy, cut at strings of some weight."""

from neurho.correlators.basis import from_correlators, letters, operator_strings, product_letters, to_correlators
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
from neurho.correlators.starts import (
    Dense,
    Kept,
    Known,
    all_values,
    begin,
    dense,
    kept,
    moments_about,
    purity,
    shared_symmetry,
)
from neurho.correlators.strings import Strings, Symmetry, all_strings, from_dense, joined

__all__ = [
    "Dense",
    "Hierarchy",
    "Kept",
    "Known",
    "Measured",
    "Moments",
    "Rung",
    "StringTerms",
    "Strings",
    "Symmetry",
    "all_strings",
    "all_values",
    "begin",
    "blocks",
    "build_hierarchy",
    "dense",
    "expected_count",
    "from_correlators",
    "from_dense",
    "invariant_moves",
    "joined",
    "kept",
    "ladder",
    "letters",
    "measured",
    "moments_about",
    "operator_strings",
    "pair_strings",
    "product_letters",
    "propagate",
    "purity",
    "raw_means",
    "require_terms",
    "sector_signs",
    "shared_symmetry",
    "smallest_eigenvalue",
    "start",
    "stationary_state",
    "string_means",
    "string_terms",
    "to_correlators",
]
