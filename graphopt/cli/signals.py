"""Stop when asked to: SIGINT and SIGTERM unwind the program, so that nothing half-written stays behind."""

from __future__ import annotations

import signal
import sys
from types import FrameType

_AGAIN_SECONDS = 0.1


class Terminated(BaseException):
    """Somebody sent SIGTERM."""


_KINDS: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


def unwind_on_signals() -> None:
    """Install the handlers; call it once, from the main thread.

    Python drops an exception raised inside a destructor or a weak reference's callback, and with it
    the request to stop. So a timer looks again until ``settle`` is called, and raises again unless the
    program is unwinding already.
    """
    asked: list[type[BaseException]] = []

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        asked.append(_KINDS[number])
        insist()

    def insist(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        if not _unwinding():
            raise asked[-1]

    for number in _KINDS:
        signal.signal(number, stop)
    signal.signal(signal.SIGALRM, insist)
    usual = sys.unraisablehook

    def hook(problem: sys.UnraisableHookArgs) -> None:
        if not issubclass(problem.exc_type, KeyboardInterrupt | Terminated):
            usual(problem)

    sys.unraisablehook = hook


def settle() -> None:
    """The request has been honoured: stop insisting."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _unwinding() -> bool:
    error: BaseException | None = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, KeyboardInterrupt | Terminated):
            return True
        error = error.__context__
    return False
