"""The check of signatures that is at work in all tests can fail, and lets sentences through."""

import numpy as np
import pytest

import neurho
from neurho._types import NeurhoError, require
from signatures import SignatureError, checked


def double(number: int, *, names: tuple[str, ...] = ()) -> list[int]:
    require(number != 3, "number", "not be 3", "it is")
    return [2 * number, *map(len, names)] if number else (0,)  # a tuple is no list


def test_what_hints_do_not_allow_is_found():
    tested = checked(double)
    assert tested(2, names=("a",)) == [4, 1]
    for wrong in (lambda: tested(0), lambda: tested(1.0), lambda: tested(2, names=["a"])):
        with pytest.raises(SignatureError):
            wrong()
    with pytest.raises(NeurhoError, match="must not be 3"):
        tested(3, names=["a"])


def test_public_functions_are_checked():
    assert hasattr(neurho.xyz, "__wrapped__")
    assert hasattr(neurho.solve, "__wrapped__")
    assert neurho.model.models.xyz is neurho.xyz
    with pytest.raises(NeurhoError, match="Argument"):
        neurho.chain(np.array([1, 2]))
