"""The command line: each command parses, calls and shows. The only place that prints or exits."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from contextlib import suppress

from edgepack.cli import interrupt
from edgepack.errors import DiskFull, DoesNotFit, EdgepackError, FileTrouble, Interrupted, MissingExtra

__all__ = ["main"]

_DRAWING = ("rich.", "typer.", "edgepack.cli.")  # the modules that write to standard output
_UNLOADED = ("failed to map segment", "bad_alloc")  # the system's and C++'s words where a library finds no memory
_UNREAD = 141  # as shells say it of a program whose reader left: 128 + SIGPIPE


def main() -> None:
    """Run the command ``edgepack``: its entry point."""
    _open_streams()
    try:
        interrupt.install()
        code = _run()
        interrupt.ignore()
    except Interrupted as stopped:
        interrupt.ignore()
        _say(stopped)  # what draws may not be imported yet
        code = stopped.exit_code
    code = _flushed(code)
    with suppress(OSError):  # nobody reads it any more
        sys.stderr.flush()
    os._exit(code)  # everything is written: do not wait most of a second for PyTorch to take itself down


def _run() -> int:
    """Return the exit code. Raises Interrupted."""
    try:
        # only now, since these take a while in which Ctrl-C may come
        commands = importlib.import_module("edgepack.cli.app")
        interrupt.check()
        commands.app(standalone_mode=True)
    except EdgepackError as error:
        return _failed(error)
    except BrokenPipeError:
        interrupt.check()
        return _UNREAD
    except SystemExit as ended:
        interrupt.check()  # a signal that nobody had looked at yet
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except Exception as error:
        try:
            told = _trouble(error)
        except MemoryError:  # too little to say what else it was
            told = _no_memory()
        return _failed(told)
    interrupt.check()
    return 0


def _failed(error: EdgepackError) -> int:
    """Say what went wrong. Raises Interrupted where a library has made this error, or another, of it."""
    interrupt.check(error)
    try:
        importlib.import_module("edgepack.cli.show").fail(error)
    except (ImportError, MemoryError):  # what draws cannot be loaded
        _say(error)
    return error.exit_code


def _say(error: EdgepackError | Interrupted) -> None:
    sys.stderr.write(f"error: {error}\n hint: {error.hint}\n")


def _open_streams() -> None:
    """Open the standard streams that are missing; what the terminal has no letters for is written as escapes."""
    # Python has none in the place of a stream that was closed
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (as long as the process)
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flushed(code: int) -> int:
    """Return the exit code once all is written: another one where standard output takes no more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads it any more
        return code
    except OSError as error:
        return code or _failed(_unwritten(error))
    return code


def _unwritten(error: OSError) -> EdgepackError:
    return FileTrouble(f"the output cannot be written: {error.strerror}", hint="send it to another file or disk")


def _no_memory() -> EdgepackError:
    return DoesNotFit("there is not enough memory for this", hint="choose a smaller model or input")


def _is_of_output(error: OSError) -> bool:
    """Return whether what draws was told so: of a file, the system's word has its name or comes to who writes it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__"))
    return error.filename is None and name.startswith(_DRAWING)


def _trouble(error: Exception) -> EdgepackError:
    """Return what stopped a command, in one line: the system's word on a file, or a mistake of ours.

    Raises Interrupted.
    """
    if isinstance(error, OSError):
        if _is_of_output(error):
            return _unwritten(error)
        if error.errno == errno.EFBIG:
            return FileTrouble(
                "a file grew beyond the size limit for this process", hint="ulimit -f shows the limit, and sets another"
            )
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFull("no space left on the disk", hint="free some, or choose another place")
        if isinstance(error, PermissionError) and error.filename:
            return FileTrouble(
                f"{error.filename} cannot be opened: {error.strerror}",
                hint="change its permissions, or choose another file or folder",
            )
        name = f": {error.filename}" if error.filename else ""
        return FileTrouble(f"{error.strerror or type(error).__name__}{name}", hint="choose another file or folder")
    unloaded = isinstance(error, ImportError) and any(sign in str(error) for sign in _UNLOADED)
    if isinstance(error, MemoryError) or unloaded:
        return _no_memory()
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return FileTrouble(f"a name is not UTF-8: {error.object[:100]!r}", hint="rename the file or folder")
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("edgepack"):
        return MissingExtra(error.name.split(".")[0], "")
    interrupt.check()  # a library has made another exception of it
    told: EdgepackError = importlib.import_module("edgepack.cli.unexpected").told(error, sys.argv[1:])
    return told
