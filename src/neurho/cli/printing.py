"""Tables, sentences and numbers on a terminal."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurho.session.wording import duration, with_error

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from neurho.config import Config
    from neurho.records import Record
    from neurho.report import Deviation


def _table(*columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 else "right", no_wrap=True)
    return table


def _print(*things: "RenderableType") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=120)
    for thing in things:
        console.print(thing)


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """A table of names and numbers."""
    table = _table("", "")
    table.show_header = False
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _readable(name, value))
    _print(title, table)


def _readable(name: str, value: Any) -> str:
    if name.endswith("bytes"):
        return f"{value / 2**20:,.1f} MiB"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"{value}"


def print_summary(directory: Path, config: "Config", summary: "Record") -> None:
    """What `neurho show` prints."""
    from neurho.certificate import sentence
    from neurho.observables.names import error_name, parse

    search = config.task.kind == "stationary"
    goal = "stationary state" if search else f"evolution to t = {config.task.t_end:g}"
    # An evolution that came to its end may be wrong all the same: the verdict says so, and not this line.
    done = ("reached its goal", "has not reached its goal") if search else ("complete", "not complete")
    state = {True: done[0], False: done[1], None: "is not finished"}[summary["converged"]]
    at = (
        f"t = {summary['t']:g}, {summary['step']} steps, {duration(summary['wall_seconds'])}"
        if summary["snapshots"]
        else "no step"
    )
    _print(f"{directory}: {config.model.kind} on {config.lattice.kind}, N = {config.sites}, {goal}: {state} ({at})")
    averaged = summary["averaged"] > 1
    table = _table(
        "observable", f"mean of the last {summary['averaged']} outputs" if averaged else f"at t = {summary['t'] or 0:g}"
    )
    for name, value in summary["observables"].items():
        table.add_row(name, with_error(value["mean"], value["error"]))
        if "network" in value:
            plain = value["network"]
            table.add_row("  in the network", with_error(plain["mean"], plain["error"]))
    table.add_section()
    for name, value in summary.items():
        if isinstance(value, float) and name not in ("t", "wall_seconds") and not parse(name).error:
            error = summary.get(error_name(name))
            table.add_row(name, with_error(value, error) if error else f"{value:.4g}")
    judged = [line] if (line := sectors_line(summary)) else []
    if config.task.reason:
        judged.append(f"Method: {config.task.method}, chosen because {config.task.reason}.")
    judged += [line] if (line := sentence(summary)) else []
    _print(table, *judged, *summary["messages"])


def sectors_line(summary: "Record") -> str:
    """Which part of rho, by raised spins, most of ||L rho||^2 comes from, or ""."""
    parts = (summary.get("sectors") or {}).get("raised") or []
    whole = sum(part["norm2"] for part in parts)
    if not whole > 0:
        return ""
    most = max(parts, key=lambda part: part["norm2"])
    ess = f", on {most['ess']:.0f} effective samples" if "ess" in most else ""
    return (
        f"Most of ||L rho||^2, {most['norm2'] / whole:.0%}, comes from entries of rho with {most['raised']} raised "
        f"levels, which carry {most['share']:.2g} of the weight{ess}."
    )


def print_deviations(title: str, found: "Sequence[Deviation]") -> None:
    """The table of `neurho compare`."""
    table = _table("observable", "largest", "at t", "value", "reference", "rms", "largest/sigma", "rms/sigma")
    for row in found:
        sigmas = ["-" if s is None else f"{s:.2f}" if s < 100 else "> 100" for s in (row.max_sigma, row.rms_sigma)]
        at = "-" if row.at is None else f"{row.at:.4g}"
        table.add_row(
            row.name, f"{row.max:.2e}", at, f"{row.value:.6g}", f"{row.reference:.6g}", f"{row.rms:.2e}", *sigmas
        )
    _print(title, table)


def complain(sentence: str) -> None:
    """One sentence on standard error."""
    print(f"neurho: {sentence}", file=sys.stderr, flush=True)
