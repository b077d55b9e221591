"""Each code in a process of its own, so that thread pools and flags of XLA do not meet."""

import multiprocessing
import traceback
from typing import Any


class Remote:
    """An object that lives in a child process; methods are called by name."""

    def __init__(self, kind: type, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far, kind, arguments), daemon=True)
        self._process.start()
        self._receive()

    def __call__(self, method: str, *arguments: Any) -> Any:
        self._pipe.send((method, arguments))
        return self._receive()

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()

    def _receive(self) -> Any:
        failed, value = self._pipe.recv()
        if failed:
            raise RuntimeError(value)
        return value


def _serve(pipe: Any, kind: type, arguments: tuple) -> None:
    try:
        served = kind(*arguments)
        pipe.send((False, None))
    except BaseException:
        pipe.send((True, traceback.format_exc()))
        raise
    while (message := pipe.recv()) is not None:
        method, arguments = message
        try:
            pipe.send((False, getattr(served, method)(*arguments)))
        except Exception:
            pipe.send((True, traceback.format_exc()))
