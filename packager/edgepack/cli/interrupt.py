"""Ctrl-C and SIGTERM: one exception, which leaves by the door of all errors and cleans up, and which nothing swallows.

A signal may come while a library runs a function of ours, imports something or finalizes an object, where exceptions
are dropped or renamed. A timer therefore asks again and again whether the exception is still on its way, and raises it
again if it is not. While a module is being imported nothing is raised: native code that runs Python at its import, as
protobuf's does, may not survive an exception there; nor while an object is finalized, where it would be dropped with a
trace on the screen. The timer raises it afterwards.

Python looks at signals between its own instructions alone. Where native code does not come back to it, the same signal
once more ends the process as if edgepack had never asked for it.
"""

from __future__ import annotations

import ctypes
import platform
import signal
import sys
import weakref
from types import FrameType

from edgepack.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK = 0.05  # seconds between two looks
_TIMED = hasattr(signal, "setitimer")  # not on Windows
_IMPORT = "<frozen importlib._bootstrap>"  # the file of the functions that import modules, as their frames name it
_FINALIZERS = {weakref.__file__, sys.modules["_weakrefset"].__file__}  # whose functions run when an object goes
# where struct sigaction has its flags, behind the handler and the mask, and the flag of a handler that is called once
_MASK, _RESET = {"linux": (128, 0x80000000), "darwin": (4, 0x4)}.get(sys.platform, (0, 0))
_KNOWN = platform.machine() in ("x86_64", "aarch64", "arm64", "armv7l")
_asked = False


def install() -> None:
    """Let both signals raise Interrupted."""
    if _TIMED:
        signal.signal(signal.SIGALRM, _raise)
    for number in _SIGNALS:
        _listen(number)


def ignore() -> None:
    """Let neither signal disturb what is said at the end."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if _TIMED:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _listen(number: int) -> None:
    """Call ``_stop`` at the next signal; where another follows before Python comes to that, the system ends us."""
    signal.signal(number, _stop)
    if _RESET and _KNOWN:
        library, action = ctypes.CDLL(None), ctypes.create_string_buffer(512)
        if library.sigaction(number, None, action) == 0:
            flags = ctypes.c_uint.from_buffer(action, ctypes.sizeof(ctypes.c_void_p) + _MASK)
            flags.value |= _RESET
            library.sigaction(number, action, None)


def check(error: BaseException | None = None) -> None:
    """Raise Interrupted if a signal came: ``error``, which follows it, may be its disguise."""
    if _asked:
        raise _error() from error


def _error() -> Interrupted:
    """Return what is said of it."""
    return Interrupted(
        "stopped", hint="what is finished stays; what is not is deleted, at the latest by the next build"
    )


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    _listen(number)
    if _TIMED:
        signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
    _raise(number, frame)


def _raise(number: int, frame: FrameType | None) -> None:
    if not _on_its_way() and not (_TIMED and _is_dropped(frame)):
        raise _error()


def _on_its_way() -> bool:
    """Return whether the program is cleaning up behind the exception, which a second signal is not to break off."""
    found = sys.exception()
    while found is not None and not isinstance(found, Interrupted):
        found = found.__context__
    return found is not None


def _is_dropped(frame: FrameType | None) -> bool:
    """Return whether ``frame`` runs on behalf of an import statement or of an object that goes."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _IMPORT or code.co_name == "__del__" or code.co_filename in _FINALIZERS:
            return True
        frame = frame.f_back
    return False
