"""The status of a run as a line or a panel: for the live view, for files, and for `neurho watch`."""

from typing import TYPE_CHECKING

from neurho.session.wording import duration, with_error

if TYPE_CHECKING:
    from rich.console import RenderableType

    from neurho.records import Status

BLOCKS = "▁▂▃▄▅▆▇█"
SHOWN = ("dt", "delta_L", "residual", "ridge", "acceptance", "r_hat", "ess")


def as_line(status: "Status", *, measured: bool = True) -> str:
    """The status in one plain line; what belongs to the last output only where it was `measured` just now."""
    if status["state"] == "compiling":
        return "Compiling and starting ..."
    parts = [_progress(status)]
    for name in ("dt", "delta_L", "residual", "ridge", "acceptance") if measured else ("dt",):
        if status["diagnostics"].get(name) is not None and (name, status["diagnostics"][name]) != ("dt", 0):
            parts.append(f"{name} {status['diagnostics'][name]:.3g}")
    so_far = status.get("so_far", False)
    if (measured or so_far) and status["main"] in status["observables"]:
        parts.append(
            f"{status['main']} {with_error(*status['observables'][status['main']])}{' so far' if so_far else ''}"
        )
    if status["left_seconds"]:
        parts.append(f"{'at most ' if status['at_most'] else ''}{duration(status['left_seconds'])} left")
    return "  ".join(parts)


def _progress(status: "Status") -> str:
    if status["t_end"] is None:
        most = f" of at most {status['steps']}" if status["steps"] else ""
        return f"step {status['step']}{most}  t = {status['t']:.4g}"
    return f"t = {status['t']:.4g}/{status['t_end']:g}  step {status['step']}"


def as_panel(status: "Status", title: str) -> "RenderableType":
    """The status as a panel for a terminal, with a sparkline of the main observable."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3))
    left = status["left_seconds"]
    clock = duration(status["seconds"])
    if left:
        clock += f", {'at most ' if status['at_most'] else ''}{duration(left)} left"
    table.add_row("time", _progress(status))
    table.add_row("clock", f"{clock}, memory {status['memory_bytes'] / 2**20:,.0f} MiB")
    shown = [(n, status["diagnostics"][n]) for n in SHOWN if status["diagnostics"].get(n) is not None]
    if shown:
        table.add_row("quality", "  ".join(f"{name} {value:.3g}" for name, value in shown))
    for name, (mean, error) in list(status["observables"].items())[:8]:
        curve = sparkline(status["history"]) if name == status["main"] else ""
        table.add_row(name, Text(f"{with_error(mean, error):16} {curve}"))
    if status["message"]:
        table.add_row("note", Text(status["message"], overflow="fold"))
    return Panel(table, title=f"{title}: {status['state']}", title_align="left", expand=False)


def sparkline(values: "list[float]", width: int = 40) -> str:
    """The course of a number in a row of blocks."""
    last = values[-width:]
    if not last:
        return ""
    low, high = min(last), max(last)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in last)
