"""Chains of 16 and 100 sites by matrix products, against the shipped references and their bulk."""

from importlib import resources

import numpy as np
import pytest

import neurho as nr
from neurho import matrix_product
from neurho.observables import pauli_quantities

pytestmark = pytest.mark.slow


def stationary(sites, bond, tolerance, **arguments):
    chain = nr.chain(sites)
    quantities = pauli_quantities(chain, correlations=sites <= 16)
    model = nr.heisenberg(chain, **arguments)
    *_, end = matrix_product.stationary_state(model, quantities=quantities, bond=bond, tolerance=tolerance)
    return end


def reference(name):
    with (resources.files("neurho.reference") / f"{name}.npz").open("rb") as stream:
        return dict(np.load(stream))


@pytest.mark.parametrize(
    ("name", "bond", "one", "two", "arguments"),
    [
        ("fig3_chain16", 32, 1e-6, 1e-5, {"field": (0, 0, 10), "coupling": (1, 0, 0)}),
        ("ising16_g0.5", 40, 1e-5, 1e-5, {"field": (0.25, 0, 0), "coupling": (0, 0, 0.5)}),
    ],
)
def test_chains_of_sixteen(name, bond, one, two, arguments):
    end, wanted = stationary(16, bond, 1e-6, **arguments), reference(name)
    assert end.converged
    pairs = np.triu_indices(16, 1)
    for axis in "xyz":
        for key, values, atol in (
            (f"s{axis}_site", wanted[f"s{axis}"], one),
            (f"s{axis}s{axis}_pair", wanted[f"C{axis}{axis}"][pairs], two),
        ):
            estimate = end.observables[key]
            np.testing.assert_allclose(estimate.mean, values, rtol=0, atol=atol, err_msg=key)
            # the references have residuals of 5e-7 and 2e-7 themselves
            assert np.all(np.abs(estimate.mean - values) <= np.asarray(estimate.error) + 5e-7), key


def test_a_slowly_converging_chain_is_within_its_errors():
    """XYZ at bond 81: far from exact, and says so; the reference is good to 2e-5 for a site."""
    end = stationary(16, 81, 1e-3, field=(0, 0, 0.5), coupling=(0.9, 1.2, 1))
    wanted = reference("chain16_xyz")
    away = np.abs(end.observables["sz_site"].mean - wanted["sz"])
    error = np.asarray(end.observables["sz_site"].error)
    assert away.max() > 1e-4
    assert np.mean(away <= error) > 0.68
    assert np.all(away <= 2 * error)


def test_a_hundred_sites_have_the_bulk_of_sixteen():
    """The Ising chain: correlations are short, so that sites in the middle are those of the chain of 16."""
    end = stationary(100, 24, 1e-5, field=(0.25, 0, 0), coupling=(0, 0, 0.5))
    middle = np.asarray(end.observables["sz_site"].mean)[40:60]
    np.testing.assert_allclose(middle, reference("ising16_g0.5")["sz"][7], atol=1e-5)
