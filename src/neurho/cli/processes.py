"""Settings of JAX before it starts, several processes of one run, and workers that share trajectories."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import typer

from neurho.session.interrupt import signals

if TYPE_CHECKING:
    from neurho.run.problem import Problem

T = TypeVar("T")


def configure_jax(devices: int | None, *, cache: bool) -> None:
    """Settings that JAX reads when it is imported; a program that has imported it keeps its own."""
    from neurho._jax.startup import configure

    if "jax" not in sys.modules or devices is not None:
        configure(devices=devices, cache=cache)


def join(processes: int | None, process: int | None, coordinator: str | None, *, distributed: bool) -> bool:
    """Become one of several processes if asked to; whether this one writes and speaks."""
    one_by_one = (processes, process, coordinator)
    if not distributed and one_by_one == (None, None, None):
        return True
    if distributed and one_by_one != (None, None, None):
        raise typer.BadParameter("it finds the others by itself", param_hint="--distributed")
    if not distributed and None in one_by_one:
        raise typer.BadParameter("it needs --process-id and --coordinator beside it", param_hint="--processes")
    if processes is not None and process is not None and process >= processes:
        raise typer.BadParameter(f"it must be below {processes}, but it is {process}", param_hint="--process-id")
    from neurho._jax import parallel

    parallel.join(processes=processes, process=process, coordinator=coordinator)
    signals.together = True
    signals.install()  # JAX has taken SIGTERM for itself
    return parallel.is_first()


def by_first(action: Callable[[], T], *, first: bool) -> T | None:
    """What only the first process does, and gets; where it fails, all end."""
    from neurho._jax import parallel
    from neurho._types import NeurhoError

    error = result = None
    if first:
        try:
            result = action()
        except NeurhoError as raised:
            error = raised
    if parallel.agree(error is not None):
        raise error or typer.Exit(1)
    return result


@contextmanager
def spread(built: "Problem", workers: int | None, scheduler: str) -> "Iterator[Problem]":
    """The problem as it is, or worked on by the processes that were asked for."""
    if workers is None and not scheduler:
        yield built
        return
    from neurho.cli.cluster import client_of

    with client_of(scheduler, workers or 1) as client:
        yield built.spread_over(client)


def refuse_workers(built: "Problem", workers: int | None, scheduler: str) -> None:
    """Say at once what no workers can share."""
    if workers is not None and scheduler:
        raise typer.BadParameter("it cannot stand beside --scheduler, which has workers", param_hint="--workers")
    if workers is not None or scheduler:
        built.spread_over(None)
