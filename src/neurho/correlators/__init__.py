"""Correlators of operator strings and their equations of motion: the hierarchy, cut at strings of some weight."""

from neurho.correlators.amplitudes import Solution, ordered_state
from neurho.correlators.basis import from_correlators, letters, operator_strings, product_letters, to_correlators
from neurho.correlators.cumulants import Cumulants, build_cumulants
from neurho.correlators.equations import StringTerms, invariant_moves, sector_signs, string_terms
from neurho.correlators.hierarchy import Hierarchy, build_hierarchy
from neurho.correlators.ordered import (
    Branch,
    Order,
    branch_moments,
    mean_field_moments,
    mean_field_order,
    ordered_branch,
)
from neurho.correlators.reading import (
    Measured,
    blocks,
    measured,
    pair_strings,
    smallest_eigenvalue,
    string_means,
)
from neurho.correlators.rows import Equations, Rows, all_rows, build_equations, drawn_rows
from neurho.correlators.rungs import MOST_WEIGHT, Rung, cumulant_ladder, ladder, require_terms, string_counts
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
from neurho.correlators.stepping import Place, flow_start, flow_step, residual, search_start, search_step
from neurho.correlators.strings import Strings, Symmetry, all_strings, from_dense, joined

__all__ = [
    "MOST_WEIGHT",
    "Branch",
    "Cumulants",
    "Dense",
    "Equations",
    "Hierarchy",
    "Kept",
    "Known",
    "Measured",
    "Moments",
    "Order",
    "Place",
    "Rows",
    "Rung",
    "Solution",
    "StringTerms",
    "Strings",
    "Symmetry",
    "all_rows",
    "all_strings",
    "all_values",
    "begin",
    "blocks",
    "branch_moments",
    "build_cumulants",
    "build_equations",
    "build_hierarchy",
    "cumulant_ladder",
    "dense",
    "drawn_rows",
    "flow_start",
    "flow_step",
    "from_correlators",
    "from_dense",
    "invariant_moves",
    "joined",
    "kept",
    "ladder",
    "letters",
    "mean_field_moments",
    "mean_field_order",
    "measured",
    "moments_about",
    "operator_strings",
    "ordered_branch",
    "ordered_state",
    "pair_strings",
    "product_letters",
    "propagate",
    "purity",
    "raw_means",
    "require_terms",
    "residual",
    "search_start",
    "search_step",
    "sector_signs",
    "shared_symmetry",
    "smallest_eigenvalue",
    "start",
    "stationary_state",
    "string_counts",
    "string_means",
    "string_terms",
    "to_correlators",
]
