"""Operators written as text: `"0.5 * sx(i) * sx(j)"` on every bond, `"sm(i)"` on every site.

The text is parsed by Python's own grammar and read node by node; nothing is ever executed.
"""

from neurho.model.text.coefficients import Moving
from neurho.model.text.places import PLACES, RESERVED, operators_on, rates_on
from neurho.model.text.reader import OPERATORS, parse_number, parse_operator

__all__ = ["OPERATORS", "PLACES", "RESERVED", "Moving", "operators_on", "parse_number", "parse_operator", "rates_on"]
