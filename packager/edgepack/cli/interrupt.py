"""Ctrl-C and SIGTERM: one exception, which leaves by the door of all errors and cleans up, and which nothing swallows.

A signal may come while a library runs a function of ours, imports something or finalizes an object, where exceptions
are dropped or renamed. A timer therefore asks once a second whether the exception is still on its way, and raises it
again if it is not.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from edgepack.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK = 1.0  # seconds between two looks
_TIMED = hasattr(signal, "setitimer")  # not on Windows
_asked = False


def install() -> None:
    """Let both signals raise Interrupted."""
    if _TIMED:
        signal.signal(signal.SIGALRM, _raise)
    for number in _SIGNALS:
        signal.signal(number, _stop)


def ignore() -> None:
    """Let neither signal disturb what is said at the end."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if _TIMED:
        signal.setitimer(signal.ITIMER_REAL, 0)


def asked() -> bool:
    """Return whether a signal came: an error that follows may be its disguise."""
    return _asked


def error() -> Interrupted:
    """Return what is said of it."""
    return Interrupted(
        "stopped", hint="finished bundles are in place; what was begun is gone, or goes with the next build"
    )


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    if _TIMED:
        signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
    _raise(number, frame)


def _raise(number: int, frame: FrameType | None) -> None:
    if not _on_its_way():
        raise error()


def _on_its_way() -> bool:
    """Return whether the program is cleaning up behind the exception, which a second signal is not to break off."""
    found = sys.exception()
    while found is not None and not isinstance(found, Interrupted):
        found = found.__context__
    return found is not None
