"""The grammar of names: every name that a run writes is read and written back, with its dimensions and words."""

import pytest

from neurho.model.lattice import square
from neurho.observables import names, pauli_quantities
from neurho.observables.meanings import DRAWN, MEANINGS
from neurho.observables.names import Name, parse


def test_names_of_quantities_are_read_and_written_back():
    asked = {"correlations": True, "structure": True, "momenta": True}
    for quantity in pauli_quantities(square(2, 2, periodic=True), **asked):
        for name in (quantity.name, names.corrected(quantity.name), names.error_name(quantity.name)):
            assert str(parse(name)) == name
        assert parse(names.corrected(quantity.name)).plain == quantity.name
        assert parse(quantity.name).base in {*names.PAULI_NAMES, "structure_xx", "structure_yy", "structure_zz"}


@pytest.mark.parametrize("name", [*MEANINGS, *map(names.error_name, MEANINGS)])
def test_diagnostics_have_no_place(name):
    read = parse(name)
    assert str(read) == name
    assert (read.place, read.corrected) == ("", False)
    assert names.describe(name)[0].startswith("standard error of ") == (name not in MEANINGS)


def test_a_name_is_read_from_its_end():
    assert parse("sz_corrected_site_error") == Name("sz", "site", corrected=True, error=True)
    assert parse("structure_xx_k") == Name("structure_xx", "k")
    assert parse("delta_L_error") == Name("delta_L", error=True)
    assert parse("error_estimate") == Name("error_estimate")
    assert names.at(names.corrected("sz"), "site") == "sz_corrected_site"


def test_dimensions_and_words():
    assert names.dims("szsz_pair_error", 2) == ("site", "site_2")
    assert names.dims("structure_xx_k", 1) == ("k",)
    assert names.dims("n_each", 1) == ("n_each_0",)  # a list of operators that belongs to no sites or bonds
    assert names.dims("sz", 0) == ()
    assert names.describe("sz_corrected_site_error") == (
        "standard error of <sigma^z> of each site, corrected by the equation of motion",
        "1",
    )
    assert names.describe("norm2_raised")[1] == "gamma^2"
    assert names.describe("n_site") == ("n_site", "1")


def test_symbols():
    assert names.symbol("szsz") == r"$\sigma^z\sigma^z$"
    assert names.symbol("structure_xx") == r"$S^{xx}(k=0)$"
    assert names.symbol("structure_xx_k") == r"$S^{xx}(k)$"
    assert names.symbol("sz_corrected") == r"$\sigma^z$, corrected"
    assert names.symbol("n") == "n"
    assert DRAWN[0] == "delta_L"
    assert all(MEANINGS[name].symbol for name in DRAWN)


def test_what_is_taken():
    assert all(map(names.is_taken, ("sz", "sxsx", "p0", "p12", "energy", "purity", "reduced")))
    assert not any(map(names.is_taken, ("n", "sxsyn", "ps", "Sz")))
