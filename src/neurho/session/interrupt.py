"""Ctrl-C and SIGTERM: never inside a save."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; `code` is the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = {signal.SIGINT: "Ctrl-C"}.get(signal.Signals(number), signal.Signals(number).name)
        self.code = 128 + number


class Signals:
    """Raises `Interrupted` on Ctrl-C and SIGTERM, but never inside a `shield`, where something is being saved.

    Where several processes work `together`, one that stopped by itself would leave the others waiting for ever: the
    first signal then stays `pending` until all of them ask. The second is answered at once.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self.shielded = False
        self.together = False

    def install(self) -> None:
        """Handle Ctrl-C and SIGTERM from here on, unless they are ignored already."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    @contextmanager
    def catching(self) -> Iterator[None]:
        """A block in which Ctrl-C is handled, as in a call from Python; afterwards all is as it was before."""
        before, kept = signal.getsignal(signal.SIGINT), (self.pending, self.shielded)
        mine = threading.current_thread() is threading.main_thread() and before not in (None, signal.SIG_IGN)
        self.pending, self.shielded = None, False
        if mine:
            signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            if mine:
                signal.signal(signal.SIGINT, before)
            self.pending, self.shielded = kept

    def _handle(self, number: int, _: object) -> None:
        waits = self.shielded or (self.together and self.pending is None)
        self.pending = number
        if not waits:
            raise Interrupted(number)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """A block that ends before a signal is answered."""
        self.shielded = True
        try:
            yield
        finally:
            self.shielded = False
        if self.pending is not None and not self.together:
            raise Interrupted(self.pending)

    def ignore(self) -> None:
        """From here on the run is being closed: it is too late to stop it."""
        self.shielded = True


signals = Signals()
