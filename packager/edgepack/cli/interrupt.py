"""Ctrl-C and SIGTERM: one exception, which leaves by the door of all errors and cleans up, and which nothing swallows.

A signal may come while a library runs a function of ours, imports something or finalizes an object, where exceptions
are dropped or renamed. A timer therefore asks again and again whether the exception is still on its way, and raises it
again if it is not. While a module is being imported nothing is raised: native code that runs Python at its import, as
protobuf's does, may not survive an exception there. The timer raises it when the import is over.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from edgepack.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK = 0.2  # seconds between two looks
_TIMED = hasattr(signal, "setitimer")  # not on Windows
_IMPORT = "<frozen importlib._bootstrap>"  # the file of the functions that import modules, as their frames name it
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


def check(error: BaseException | None = None) -> None:
    """Raise Interrupted if a signal came: ``error``, which follows it, may be its disguise."""
    if _asked:
        raise _error() from error


def _error() -> Interrupted:
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
    if not _on_its_way() and not (_TIMED and _importing(frame)):
        raise _error()


def _on_its_way() -> bool:
    """Return whether the program is cleaning up behind the exception, which a second signal is not to break off."""
    found = sys.exception()
    while found is not None and not isinstance(found, Interrupted):
        found = found.__context__
    return found is not None


def _importing(frame: FrameType | None) -> bool:
    """Return whether ``frame`` runs on behalf of an import statement."""
    while frame is not None and frame.f_code.co_filename != _IMPORT:
        frame = frame.f_back
    return frame is not None
