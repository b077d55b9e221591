"""One HTML page that holds all of a run: results, certificate, figures, problem, versions, citations."""

import base64
from collections.abc import Mapping
from importlib import resources

import jinja2
from matplotlib.figure import Figure

from neurho.certificate import Merit, sentence
from neurho.config import Config
from neurho.records import Record
from neurho.report.captions import captions
from neurho.report.citations import bibtex, citations
from neurho.report.panels import image


def certificate(summary: Record) -> list[Merit]:
    """What tells how far to trust a run, each with its limit, the worst first."""
    return [Merit(**merit) for merit in summary.get("certificate") or ()]


def page(
    name: str,
    config: Config,
    summary: Record,
    provenance: Record,
    problem: str,
    figures: Mapping[str, Figure],
) -> str:
    """The page as self-contained HTML: no script, no link that it needs, figures as SVG inside.

    **Arguments**

    - `summary`, `provenance`, `problem`: what the run directory holds under these names.
    - `figures`: by name, in the order in which they appear.
    """
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
        figures_of_merit=certificate(summary),
        verdict=sentence(summary),
        sessions=provenance.get("sessions", []),
        seed=provenance.get("seed"),
        problem=problem,
        figures={title: base64.b64encode(image(figure, "svg")).decode() for title, figure in figures.items()},
        captions=captions(config, summary),
        references=citations(config),
        bibtex=bibtex(config),
    )
