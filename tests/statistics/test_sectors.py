"""What parts of configuration space carry, against literal sums, and the sentences on what was hardly seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from neurho.cli.printing import sectors_line
from neurho.matrix_elements.estimation.strata import Parts, Sectors, doubts, named_parts, sectors_of
from neurho.matrix_elements.sampling import Draw
from neurho.records.summary import summarise


@pytest.mark.parametrize("dim", [2, 3])
def test_parts_are_literal_sums(dim):
    rng, sites = np.random.default_rng(0), 2
    x = rng.integers(0, dim**2, size=(5, 7, sites)).astype(np.int32)
    weight, size = rng.dirichlet(np.ones(35)).reshape(5, 7), rng.exponential(size=(5, 7))
    found = jax.jit(sectors_of, static_argnums=2)(
        jnp.asarray(size), Draw(x=jnp.asarray(x), weight=jnp.asarray(weight)), dim
    )
    levels = [[divmod(int(label), dim) for label in one] for one in x.reshape(-1, sites)]
    keys = {
        "differing": [sum(l != r for l, r in one) for one in levels],
        "raised": [sum((l != dim - 1) + (r != dim - 1) for l, r in one) for one in levels],
    }
    for name, parts in zip(Sectors._fields, found, strict=True):
        assert len(parts.share) == (sites + 1 if name == "differing" else 2 * sites + 1)
        for k in range(len(parts.share)):
            w, l2 = (a.ravel()[np.array(keys[name]) == k] for a in (weight, weight * size**2))
            assert parts.share[k] == pytest.approx(w.sum())
            assert parts.norm2[k] == pytest.approx(l2.sum())
            assert parts.ess[k] == pytest.approx(w.sum() ** 2 / np.sum(w**2) if len(w) else 0.0)


def parts(share, norm2, ess):
    return Parts(*(np.array(a, dtype=float) for a in (share, norm2, ess)))


FINE = parts([0.9, 0.1], [1.0, 0.2], [900, 100])


def test_sentences():
    assert doubts(Sectors(FINE, FINE)) == ""
    few = parts([0.9, 0.1, 0.0], [1.0, 0.2, 0.0], [900, 7, 0])
    assert "The part of rho with 1 raised levels carries 0.1 of its weight on 7.0 effective" in doubts(
        Sectors(FINE, few)
    )
    hidden = parts([0.995, 0.005], [0.1, 0.9], [900, 60])
    assert "1 sites on which rows and columns differ has 0.005 of its weight and 0.9 of" in doubts(
        Sectors(hidden, FINE)
    )
    assert doubts(Sectors(parts([0.995, 0.005], [0.9, 0.1], [900, 6]), FINE)) == "", "neither weight nor residual"


def test_summary_and_line():
    tables = named_parts(Sectors(FINE, parts([0.9, 0.0, 0.1], [0.1, 0.0, 0.3], [900, 0, 50])), exact=False)
    series = xr.Dataset(
        {name: (("t", name.partition("_")[2]), np.stack([0 * v, v])) for name, v in tables.items()},
        coords={"t": [0.0, 1.0]},
    )
    series["step"] = ("t", [0, 1])
    result = summarise(series)
    assert [part["raised"] for part in result["sectors"]["raised"]] == [0, 2], "empty parts are left out"
    assert result["sectors"]["raised"][1] == pytest.approx({"raised": 2, "share": 0.1, "norm2": 0.3, "ess": 50.0})
    expected = (
        "75%, comes from entries of rho with 2 raised levels, which carry 0.1 of the weight, on 50 effective samples."
    )
    assert expected in sectors_line(result)
    assert sectors_line({"sectors": {}}) == sectors_line({}) == ""
