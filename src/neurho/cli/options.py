"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.", show_default=False)]

Directories = Annotated[
    list[Path], typer.Argument(metavar="DIR...", help="One run directory, or several.", show_default=False)
]

Devices = Annotated[
    int | None, typer.Option("--devices", metavar="N", help="Split the processor into N devices [default: 1].")
]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, metavar="N", help="This is one of N processes of one run.")
]
ProcessId = Annotated[
    int | None, typer.Option("--process-id", min=0, metavar="K", help="The number of this process, from 0.")
]
Coordinator = Annotated[
    str | None, typer.Option("--coordinator", metavar="HOST:PORT", help="Where process 0 listens to the others.")
]
Distributed = Annotated[
    bool, typer.Option("--distributed", help="One of several processes, which SLURM or Open MPI has started.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, metavar="N", help="Spread trajectories over N processes here.")
]
Scheduler = Annotated[
    str,
    typer.Option("--scheduler", metavar="ADDRESS", help="Spread trajectories over the workers of a dask scheduler."),
]
Cache = Annotated[bool, typer.Option(help="Keep compiled programs in the user's cache directory.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON for each output, on standard output.")]
Reference = Annotated[bool, typer.Option(help="Draw the exact or shipped reference where there is one.")]
Spectrum = Annotated[
    bool, typer.Option("--spectrum", help="Also the spectrum of S at the last state, from new samples.")
]
Trust = Annotated[bool, typer.Option("--trust", help='Run the code in the file of ansatz.kind = "python".')]
Plainly = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="The same as after --set.", show_default=False)
]
Wall = Annotated[
    str, typer.Option(metavar="TIME", help="Stop after so long with all saved: 3600, 90m, 12h [default: no limit].")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the problem, as in task.t=1.0; repeatable."),
]
Ending = Annotated[str, typer.Option("--format", metavar="png|pdf|svg", help="One format [default: png and pdf].")]
