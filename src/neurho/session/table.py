"""A result as a table, in text and in HTML."""

from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite
from typing import NamedTuple

from neurho.certificate import sentence
from neurho.config import Config
from neurho.records import Record
from neurho.session.wording import duration, with_error


class Page(NamedTuple):
    """What is said of a result: a title, rows of name, value and error, and sentences."""

    title: str
    column: str
    rows: list[tuple[str, str, str]]
    sentences: list[str]

    def text(self) -> str:
        """As plain text."""
        return "\n".join([self.title, "", columns([("", self.column, "error"), *self.rows]), "", *self.sentences])

    def html(self) -> str:
        """As HTML, for notebooks."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in ("", self.column, "error"))
        body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in self.rows)
        said = "".join(f"<p>{escape(line)}</p>" for line in self.sentences)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<p><b>{escape(self.title)}</b></p>{table}{said}"


def page_of(config: Config, summary: Record) -> Page:
    """What is said of a run."""
    observables: Mapping[str, Mapping[str, float | None]] = summary["observables"]
    averaged = summary["averaged"]
    at = f"at t = {summary['t']:g}" if summary["t"] is not None else "value"
    stationary = config.task.kind == "stationary"
    column = f"mean of the last {averaged} outputs" if averaged > 1 else "stationary" if stationary else at
    rows = [(name, *cells(value["mean"], value["error"])) for name, value in observables.items()]
    return Page(_title(config, summary), column, rows, _sentences(config, summary))


def cells(mean: float | None, error: float | None) -> tuple[str, str]:
    """A number and its error, with as many digits as the error tells."""
    if mean is None or not isfinite(mean):
        return "-", "-"
    if not error or not isfinite(error):
        return f"{mean:.6g}", "0" if error == 0 else "?"
    shown = with_error(mean, error)
    return shown.partition("(")[0].partition(" ")[0], f"{error:.2g}"


def _title(config: Config, summary: Record) -> str:
    task = config.task
    goal = "Stationary state" if task.kind == "stationary" else f"Evolution to t = {task.t_end:g}"
    kind = config.lattice.kind
    where = "a graph" if kind == "edges" else f"a {kind} lattice" if kind != "chain" else "a chain"
    state = "finished" if summary["converged"] else "unfinished"
    if summary["t"] is not None and not summary["converged"]:
        state += f", t = {summary['t']:g}"
    return f"{goal} of {config.sites} sites on {where}, by {task.method}: {state} ({duration(summary['wall_seconds'])})"


def _sentences(config: Config, summary: Record) -> list[str]:
    task = config.task
    why = "asked for" if task.reason is None else f"chosen because {task.reason}"
    none = "Verdict: none is needed, the numbers are exact to rounding." if task.method == "exact" else "Verdict: none."
    return [sentence(summary) or none, f"Method: {task.method}, {why}.", *summary["messages"]]


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells in columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [[f"{cell:{'<' if k == 0 else '>'}{widths[k]}}" for k, cell in enumerate(line)] for line in lines]
    return "\n".join("  ".join(row).rstrip() for row in rows)
