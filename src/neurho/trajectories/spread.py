"""Groups of trajectories on many processors: threads or devices of this process, or workers of a dask cluster.

A group is told by its numbers alone, and results are taken in the order of groups: how many work changes no bit.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeAlias

import jax
from jaxtyping import PyTree

from neurho._types import NeurhoError

Device: TypeAlias = Any
"""One of `jax.devices()`."""

Task: TypeAlias = PyTree
Found: TypeAlias = PyTree
"""What is to be done, and what it gives: arrays that travel between processes."""

Spread: TypeAlias = Callable[[Iterable[Task]], Iterator[Found]]
"""From tasks to their results, in order."""

Client: TypeAlias = Any
"""A `dask.distributed.Client`, which need not be installed."""

AHEAD = 2
"""Tasks for each worker of a cluster that are begun or wait there, so that none waits for the network."""


class Run(Protocol):
    """What is spread: a compiled run of trajectories."""

    def portable(self) -> "Run":
        """The same for another process."""
        ...

    def work(self, task: Task, device: Device) -> Found:
        """The result of one task."""
        ...


def spread(run: Run, client: Client = None) -> Spread:
    """How the tasks of a run are worked on: here, or by the workers of `client`, a `dask.distributed.Client`."""
    return partial(_here, run) if client is None else _Cluster(run, client)


def workers() -> list[Device]:
    """One device for each group that is worked on at the same time; a processor that is not divided serves all its
    cores, for programs of one vector register are not divided by XLA.
    """
    devices = jax.local_devices()
    if len(devices) == 1 and devices[0].platform == "cpu":
        return devices * len(os.sched_getaffinity(0))
    return devices


def _here(run: Run, tasks: Iterable[Task]) -> Iterator[Found]:
    """By threads, one for each device; the next tasks are begun ahead."""
    places = workers()
    if len(places) == 1:
        for task in tasks:
            yield run.work(task, places[0])
        return
    pending: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(len(places)) as pool:
        try:
            for number, task in enumerate(tasks):
                pending.append(pool.submit(run.work, task, places[number % len(places)]))
                if len(pending) == len(places):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


class _Cluster:
    """By the workers of a cluster. The run travels once to each; a worker that dies loses what it was at, and another
    one does that again.
    """

    def __init__(self, run: Run, client: Client) -> None:
        self.client = client
        self.run = client.scatter(run.portable(), broadcast=True, hash=False)

    def __call__(self, tasks: Iterable[Task]) -> Iterator[Found]:
        most = AHEAD * max(1, sum(self.client.nthreads().values()))
        pending: deque[Any] = deque()
        try:
            for task in tasks:
                pending.append(self.client.submit(_work, self.run, task, pure=False))
                if len(pending) >= most:
                    yield _result(pending.popleft())
            while pending:
                yield _result(pending.popleft())
        finally:
            self.client.cancel(list(pending))


def _result(future: "Future[Found]") -> Found:
    try:
        return future.result()
    except NeurhoError:
        raise
    except (Exception, CancelledError) as error:
        raise NeurhoError(f"The cluster has lost a group of trajectories: {type(error).__name__}: {error}") from None


def _work(run: Run, task: Task) -> Found:
    """One task on a worker."""
    jax.config.update("jax_enable_x64", val=True)
    return run.work(task, jax.local_devices()[0])
