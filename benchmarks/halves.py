"""Coverage of error bars by one half of some cases for rules that were chosen on the other half."""

import numpy as np


def halves(names, seed):
    """Names of cases to choose on and to judge on, drawn by the seed."""
    names = sorted(names)
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = {names[n] for n in order[: len(names) // 2]}
    return chosen, set(names) - chosen


def summary(cases, draws=2000):
    """Of a list of arrays (off, bar), one for each case: how many lie inside, with an interval of 90 % from drawing
    cases anew, and the median of bar/off.
    """
    pairs = np.concatenate(cases)
    inside = np.array([np.sum(case[:, 0] <= case[:, 1]) for case in cases])
    sizes = np.array([len(case) for case in cases])
    picks = np.random.default_rng(0).integers(len(cases), size=(draws, len(cases)))
    low, high = np.quantile(inside[picks].sum(axis=1) / sizes[picks].sum(axis=1), [0.05, 0.95])
    ratio = np.median(pairs[:, 1] / np.maximum(pairs[:, 0], 1e-12))
    return {"inside": int(inside.sum()), "of": int(sizes.sum()), "low": low, "high": high, "ratio": ratio}


def told(found):
    """A summary in one line."""
    share = found["inside"] / found["of"]
    return (
        f"{found['inside']} of {found['of']} inside ({share:.1%}, {found['low']:.0%} to {found['high']:.0%}), "
        f"median of bar/error {found['ratio']:.1f}"
    )
