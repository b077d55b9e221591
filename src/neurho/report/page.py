"""One HTML page that holds all of a run: results, certificate, figures, problem, versions, citations."""

import base64
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import jinja2
from matplotlib.figure import Figure

from neurho.config import Config
from neurho.report.captions import captions
from neurho.report.citations import bibtex, citations
from neurho.report.panels import image


class Judgement(NamedTuple):
    """A figure of merit: its value, what it should be, whether it is so ("good", "bad" or "" for no limit)."""

    name: str
    value: float
    should: str
    verdict: str
    meaning: str


_MERITS: tuple[tuple[str, float, str, str], ...] = (
    ("delta_L", 0.0, "", "mean |L_loc|, zero in a stationary state (Eq. 18 of PRL 122, 250502)"),
    ("lindblad_norm2", 0.0, "", "||L rho||^2/||rho||^2, zero in a stationary state"),
    ("residual", 0.5, "<", "the part of the motion that the network cannot follow"),
    ("r_hat", 1.1, "<", "agreement of the chains of p(l, r)"),
    ("r_hat_diagonal", 1.1, "<", "agreement of the chains of q(l)"),
    ("acceptance", 0.002, ">", "accepted proposals of the chains of p(l, r)"),
    ("acceptance_diagonal", 0.002, ">", "accepted proposals of the chains of q(l)"),
    ("ess", 100.0, ">", "effective number of samples"),
    ("delta_rho", 0.0, "", "relative Frobenius distance to the exact state"),
    ("trace_distance", 0.0, "", "trace distance to the exact state"),
)


def certificate(summary: Mapping[str, Any], config: Config) -> list[Judgement]:
    """What tells how far to trust a run, from its summary, each with its limit where there is one."""
    goal = getattr(config.task, "delta_L", None)
    found = []
    for name, limit, sign, meaning in _MERITS:
        value = summary.get(name)
        if value is None:
            continue
        if name == "delta_L" and goal is not None:
            limit, sign = goal, "<="
        good = value <= limit if sign.startswith("<") else value > limit
        should = f"{sign} {limit:g}" if sign else ""
        found.append(Judgement(name, value, should, ("good" if good else "bad") if sign else "", meaning))
    return found


def page(
    name: str,
    config: Config,
    summary: Mapping[str, Any],
    provenance: Mapping[str, Any],
    problem: str,
    figures: Mapping[str, Figure],
) -> str:
    """The page as self-contained HTML: no script, no link that it needs, figures as SVG inside.

    **Arguments**

    - `summary`, `provenance`, `problem`: what the run directory holds under these names.
    - `figures`: by name, in the order in which they appear.
    """
    judgements = certificate(summary, config)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(
        resources.files("neurho.report").joinpath("templates", "report.html").read_text(encoding="utf-8")
    )
    return template.render(
        name=name,
        config=config,
        summary=summary,
        judgements=judgements,
        bad=[j.name for j in judgements if j.verdict == "bad"],
        sessions=provenance.get("sessions", []),
        seed=provenance.get("seed"),
        problem=problem,
        figures={title: base64.b64encode(image(figure, "svg")).decode() for title, figure in figures.items()},
        captions=captions(config, summary),
        references=citations(config),
        bibtex=bibtex(config),
    )
