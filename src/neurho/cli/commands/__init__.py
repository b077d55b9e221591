"""The commands: one file for each group of them."""

import sys
from typing import Annotated

import typer

from neurho.cli.commands.exports import cite, export, problems
from neurho.cli.commands.results import compare, plot, report_command, show, watch
from neurho.cli.commands.run import resume, run_command
from neurho.cli.commands.sweep import sweep
from neurho.cli.printing import complain
from neurho.session.interrupt import Interrupted, signals

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Neural density matrices: dynamics and stationary states of open quantum many-body systems.",
)

app.command("run")(run_command)
for command in (resume, watch, show, plot):
    app.command()(command)
app.command("report")(report_command)
for command in (export, cite, compare, sweep, problems):
    app.command()(command)


def main() -> None:
    """Entry point of the command: turns errors and signals into a sentence and an exit code."""
    signals.install()
    try:
        app()
    except Interrupted as stop:
        complain("stopped; there was nothing to save.")
        sys.exit(stop.code)
    except Exception as error:
        from neurho._types import NeurhoError

        if not isinstance(error, NeurhoError):
            raise
        complain(f"error: {error}")
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"neurho {installed('neurho')}")
        raise typer.Exit
