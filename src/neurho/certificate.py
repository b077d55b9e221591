"""How far to trust a result: one word, the reasons for it, and every limit that decides. The only place with thresholds.

It knows numbers by name and nothing of where they come from, so that any method can ask: networks, correlators,
trajectories and matrix products alike. `docs/verdicts.md` shows the words beside the truth.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

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

    def beyond(self, word: str) -> str:
        """The limit on the wrong side of which a value of this word lies."""
        return f"{'below' if self.least else 'above'} {self.good if word == USABLE else self.usable:g}"


ALWAYS = {
    "preparation": Limit(0.02, 0.15, "distance of the prepared state from the one asked for"),
    "delta_rho": Limit(0.1, 0.3, "relative Frobenius distance to the exact state"),
    "trace_distance": Limit(0.05, 0.15, "trace distance to the exact state"),
    "r_hat": Limit(1.1, 1.3, "agreement of the chains of p(l, r)"),
    "r_hat_diagonal": Limit(1.1, 1.3, "agreement of the chains of q(l)"),
    "acceptance": Limit(0.002, 0.0, "accepted proposals of the chains of p(l, r)", least=True),
    "acceptance_diagonal": Limit(0.002, 0.0, "accepted proposals of the chains of q(l)", least=True),
    "ess": Limit(100.0, 10.0, "effective number of samples", least=True),
}
"""Limits of numbers that judge any result."""

EVOLUTION = {
    "error_local": Limit(0.05, 0.2, "what all steps have lost in means of one and two sites"),
    "error_estimate": Limit(0.15, 0.5, "what all steps have lost of rho, in the Hilbert-Schmidt norm"),
    "residual": Limit(0.5, 0.9, "the part of the motion that the network cannot follow"),
}
"""Those of an evolution, besides."""

STATIONARY = {
    "distance": Limit(0.02, 0.2, "||L rho||/||rho||, zero in a stationary state"),
    "delta_L": Limit(0.01, 0.1, "mean |L_loc|, zero in a stationary state (Eq. 18 of PRL 122, 250502)"),
}
"""Those of a stationary state, besides, in units of the slowest rate at which a site relaxes."""

LIMITS = ALWAYS | EVOLUTION | STATIONARY

STATISTICAL = Limit(0.01, 0.05, "standard error, as a share of the mean or of 1, whichever is larger")
"""Of each mean."""

WHOLE = Limit(0.02, 0.1, "what all steps have lost of rho")
"""Of `error_estimate`, where a quantity is of all sites together and `error_local` says nothing of it."""

GLOBAL = ("purity", "renyi2")


class Figure(NamedTuple):
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
    figures: tuple[Figure, ...] = ()


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

    - `figures`: numbers by the names of `ALWAYS`, `EVOLUTION` and `STATIONARY`, of each the worst of the whole run;
      others are left out, and what is not known need not be there.
    - `kind`: "evolve" or "stationary".
    - `errors`: standard errors of the means by name, each as a share of its mean or of 1, whichever is larger.
    - `reached`: whether the run came to its end or its goal; None while it goes on.
    - `began`: whether it has taken a step at all.
    """
    limits = ALWAYS | (STATIONARY if kind == "stationary" else EVOLUTION)
    found = [_figure(name, figures[name], limit) for name, limit in limits.items() if name in figures]
    found.sort(key=lambda figure: -WORDS.index(figure.word))
    known = bool(found) or any(errors.values())
    if not known and began and reached is not False:
        return Certificate(word=None)
    said = [(f.word, f"{f.name} = {f.value:.2g} ({limits[f.name].beyond(f.word)})") for f in found if f.word != GOOD]
    if not began:
        said.insert(0, (USELESS, "it has not taken a step"))
    elif reached is False:
        sentence = "it has not reached its goal" if kind == "stationary" else "it has not come to its end"
        said.append((USABLE, sentence))
    word = _worst(w for w, _ in said)
    own = {name: STATISTICAL.word(error) for name, error in errors.items()}
    if "error_estimate" in figures and kind != "stationary":
        own |= {name: _worst([own[name], WHOLE.word(figures["error_estimate"])]) for name in GLOBAL if name in own}
    return Certificate(
        word=word,
        reasons=tuple(sentence for w, sentence in said if w == word),
        words={name: w for name, w in own.items() if WORDS.index(w) > WORDS.index(word)},
        figures=tuple(found),
    )


def sentence(summary: Mapping[str, Any]) -> str:
    """The verdict of a summary with its reasons, or ""; the same words everywhere."""
    word = summary.get("verdict")
    if word is None:
        return ""
    why = "; ".join(summary.get("reasons") or ())
    worse = ", ".join(f"{name}: {own}" for name, own in (summary.get("verdicts") or {}).items())
    return f"Verdict: {word}{', because ' + why if why else ''}." + (f" Worse are {worse}." if worse else "")


def _figure(name: str, value: float, limit: Limit) -> Figure:
    return Figure(name, value, limit.should(), limit.word(value), limit.meaning)


def _worst(words: Iterable[str]) -> str:
    """The worst of some words; good for none."""
    return max(words, key=WORDS.index, default=GOOD)
