"""`neurho export`, `cite` and `problems`: what others can use."""

from pathlib import Path
from typing import Annotated

import typer

from neurho.cli.opened import double_precision, settings_of
from neurho.cli.options import Directory, Trust


def export(
    directory: Directory,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to [default: DIR/parameters.npz].")
    ] = None,
    trust: Trust = False,
) -> None:
    """Write the parameters of a run's last state as one .npz file."""
    from neurho import records
    from neurho.run import inheritance

    double_precision()
    path = file if file is not None else directory / "parameters.npz"
    records.save_parameters(path, inheritance.last_network(directory, trust=trust))
    print(path)


def cite(
    source: Annotated[
        str, typer.Argument(metavar="DIR|PROBLEM", help="A run directory or a problem.", show_default=False)
    ],
) -> None:
    """Print BibTeX of what a run rests on."""
    from neurho import config, records, report

    settings = settings_of(Path(source)) if records.is_run(source) else config.load(source)
    print(report.bibtex(settings), end="")


def problems() -> None:
    """List the shipped problems."""
    from neurho.config import shipped

    for name, line in shipped().items():
        print(f"{name:14} {line}")
