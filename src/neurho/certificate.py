"""How far to trust a result: one word, the reasons for it, and every limit that decides.

The only place with thresholds. It knows numbers by name and nothing of where they come from, so that any method can
ask: networks, correlators, trajectories and matrix products alike. `docs/verdicts.md` shows the words beside the truth.
"""

from collections.abc import Iterable, Mapping
from math import hypot, isfinite
from types import MappingProxyType
from typing import NamedTuple

from neurho._types import Record
from neurho.observables.names import ENERGY, GLOBAL, parse

GOOD, USABLE, USELESS = WORDS = ("good", "usable", "do not use")
"""From best to worst. Good: means of one and two sites are meant to be within 0.02; usable: within 0.1."""


class Limit(NamedTuple):
    """Up to `good` (with `least`: from there on) a number allows the word "good", up to `usable` the word "usable"."""

    good: float
    usable: float
    meaning: str
    least: bool = False

    def word(self, value: float) -> str:
        """The best word that a value allows."""
        if not isfinite(value):
            return USELESS
        value, good, usable = (-v if self.least else v for v in (value, self.good, self.usable))
        return GOOD if value <= good else USABLE if value <= usable else USELESS

    def should(self) -> str:
        """What the value should be for a good result."""
        return f"{'>=' if self.least else '<='} {self.good:g}"

    def beyond(self, word: str, value: float) -> str:
        """A value of this word, in as many digits as tell it from the limit on the wrong side of which it lies."""
        limit = self.good if word == USABLE else self.usable
        digits = next((n for n in range(2, 17) if float(f"{value:.{n}g}") != limit), 17)
        return f"{value:.{digits}g} is {'below' if self.least else 'above'} {limit:g}"


ALWAYS = {
    "delta_rho": Limit(0.1, 0.3, "relative Frobenius distance to the exact state"),
    "trace_distance": Limit(0.05, 0.15, "trace distance to the exact state"),
    "r_hat": Limit(1.1, 1.3, "agreement of the chains of p(l, r)"),
    "r_hat_diagonal": Limit(1.1, 1.3, "agreement of the chains of q(l)"),
    "acceptance": Limit(0.002, 0.0, "accepted proposals of the chains of p(l, r)", least=True),
    "acceptance_diagonal": Limit(0.002, 0.0, "accepted proposals of the chains of q(l)", least=True),
    "ess": Limit(100.0, 10.0, "effective number of samples", least=True),
    "error_means": Limit(0.02, 0.1, "error to expect of means of one and two sites"),
    "negativity": Limit(3.0, 3.0, "by how many errors of means an eigenvalue of rho of two sites is negative"),
}
"""Limits of numbers that judge any result."""

EVOLUTION = {
    "error_estimate": Limit(0.15, 0.5, "what preparation and all steps have lost of rho, in the Hilbert-Schmidt norm"),
    "residual": Limit(0.5, 0.9, "the part of the motion that the network cannot follow"),
}
"""Those of an evolution, besides."""

STATIONARY = {
    "distance": Limit(0.02, 0.2, "||L rho||/||rho|| by the slowest rate of a site, zero in a stationary state"),
    "delta_L": Limit(0.01, 0.1, "mean |L_loc| (Eq. 18 of PRL 122, 250502) by that rate, zero in a stationary state"),
}
"""Those of a stationary state, besides, in units of the slowest rate at which a site relaxes."""

LIMITS = ALWAYS | EVOLUTION | STATIONARY

ERRORS = Limit(0.02, 0.1, "error of a mean")
"""Of the error of a mean as a share of its size or 1: what the words mean."""

SIGMAS = 2.0
"""Standard errors that count as the error of a mean."""

SHARE = 0.5
"""Share of `error_local`, the sum of what all steps have lost, that is found in the error of a mean: losses forget
themselves, and do not all point the same way.
"""

WHOLE = Limit(0.02, 0.1, "what has been lost of rho")
"""Of `error_estimate`, where a quantity is of all sites together and `error_means` says nothing of it."""

MOST = 3
"""Reasons that are given at most."""


class Merit(NamedTuple):
    """A figure of merit: its value, what it should be, and the best word that it allows."""

    name: str
    value: float
    should: str
    word: str
    meaning: str


class Certificate(NamedTuple):
    """A verdict: one of `WORDS` (None where nothing judges the result), why it is not a better one, the words of
    quantities that deserve a worse one, and all numbers that were asked, the worst first.
    """

    word: str | None
    reasons: tuple[str, ...] = ()
    words: Mapping[str, str] = MappingProxyType({})
    figures: tuple[Merit, ...] = ()


def certify(
    figures: Mapping[str, float],
    kind: str,
    *,
    errors: Mapping[str, float] = MappingProxyType({}),
    reached: bool | None = None,
    began: bool = True,
) -> Certificate:
    """The verdict on a result.

    **Arguments**

    - `figures`: numbers by the names of `LIMITS`, of each the worst of the whole run; of an evolution also
      `preparation`, the distance at the start, and `error_local`, what steps have lost in means of one and two sites.
      Methods that estimate the errors of means themselves give `error_means`. What is not known need not be there,
      and other names are left out.
    - `kind`: "evolve" or "stationary".
    - `errors`: standard errors by name of what was measured, each as a share of its mean or of 1, whichever is larger.
    - `reached`: whether the run came to its end or its goal; None while it goes on.
    - `began`: whether it has taken a step at all.
    """
    if kind != "stationary":
        figures = dict(figures) | _error_of_means(figures)
    limits = ALWAYS | (STATIONARY if kind == "stationary" else EVOLUTION)
    found = [_merit(name, figures[name], limit) for name, limit in limits.items() if name in figures]
    found.sort(key=lambda merit: -WORDS.index(merit.word))
    own = {name: _own_word(name, error, figures, kind) for name, error in errors.items()}
    if not found and not any(errors.values()) and began and reached is not False:
        return Certificate(word=None)
    said = [(m.word, f"{m.name} = {limits[m.name].beyond(m.word, m.value)} ({m.meaning})") for m in found]
    if not began:
        said.insert(0, (USELESS, "it has not taken a step"))
    elif reached is False:
        goal = "reached its goal" if kind == "stationary" else "come to its end"
        said.insert(0, (USABLE, f"it has not {goal}"))
    lost = ERRORS.word(figures.get("error_means", 0.0))
    scattered = [name for name, w in own.items() if _counts(name) and WORDS.index(w) > WORDS.index(lost)]
    said += [(own[name], f"{name} has a standard error of {errors[name]:.2g}") for name in scattered]
    word = _worst(w for w, _ in said)
    return Certificate(
        word=word,
        reasons=tuple(sentence for w, sentence in said if w == word != GOOD)[:MOST],
        words={name: w for name, w in own.items() if WORDS.index(w) > WORDS.index(word)},
        figures=tuple(found),
    )


def _own_word(name: str, error: float, figures: Mapping[str, float], kind: str) -> str:
    """The word of a quantity for itself, from its standard error and what is lost of it."""
    lost = 0.0 if kind == "stationary" else figures.get("error_means", 0.0)
    word = ERRORS.word(hypot(lost, SIGMAS * error))
    if name in GLOBAL and kind != "stationary" and "error_estimate" in figures:
        return _worst([word, WHOLE.word(figures["error_estimate"])])
    return word


def _counts(name: str) -> bool:
    """Whether a quantity counts for the whole: means over sites and bonds do. Single places, of which some one is
    always far off, and sums over all sites speak for themselves.
    """
    return name not in GLOBAL | {ENERGY} and not parse(name).place


def _error_of_means(figures: Mapping[str, float]) -> dict[str, float]:
    """The error to expect of means of one and two sites, from what the start and the steps have lost; nothing where
    nothing is known. Where means were not followed by themselves, all that is lost of rho may be lost in them.
    """
    if not figures.keys() & {"preparation", "error_local", "error_estimate"}:
        return {}
    begun = figures.get("preparation", 0.0)
    if "error_local" in figures:
        return {"error_means": begun + SHARE * figures["error_local"]}
    return {"error_means": max(begun, figures.get("error_estimate", 0.0))}


def sentence(summary: Record) -> str:
    """The verdict of a summary with its reasons, or ""; the same words everywhere."""
    word = summary.get("verdict")
    if word is None:
        return ""
    why = "; ".join(summary.get("reasons") or ())
    worse = ", ".join(f"{name}: {own}" for name, own in (summary.get("verdicts") or {}).items())
    return f"Verdict: {word}{', because ' + why if why else ''}." + (f" Worse are {worse}." if worse else "")


def _merit(name: str, value: float, limit: Limit) -> Merit:
    return Merit(name, value, limit.should(), limit.word(value), limit.meaning)


def _worst(words: Iterable[str]) -> str:
    """The worst of some words; good for none."""
    return max(words, key=WORDS.index, default=GOOD)
