"""Workers of dask: processes of this machine, or those of a scheduler that runs somewhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client


@contextmanager
def client_of(scheduler: str, workers: int) -> "Iterator[Client]":
    """A client of the given scheduler, or of a cluster of processes on this machine.

    xarray would ask its scheduler for a lock of every file that this process writes.
    """
    from neurho._types import NeurhoError

    try:
        from dask.config import set as configured
        from distributed import Client, LocalCluster
    except ImportError:
        raise NeurhoError("Workers need dask.distributed: install it with `pip install neurho[sweep]`.") from None
    if scheduler:
        try:
            client = Client(scheduler, timeout=20)
        except (OSError, TimeoutError, ValueError) as error:
            raise NeurhoError(f"There is no dask scheduler at `{scheduler}`: {error}.") from None
        with client, configured(scheduler="synchronous"):
            yield client
        return
    here: Any = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with (
        LocalCluster(**here, silence_logs=logging.CRITICAL) as cluster,  # workers that are stopped at their work say so
        Client(cluster) as client,
        configured(scheduler="synchronous"),
    ):
        yield client
