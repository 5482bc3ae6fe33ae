"""The command line: each command parses, calls and shows. The only place that prints or exits."""

from __future__ import annotations

import errno
import importlib
import os
import sys

from edgepack.cli import interrupt
from edgepack.errors import DiskFull, EdgepackError, FileTrouble, Interrupted

__all__ = ["main"]


def main() -> None:
    """The entry point of the command ``edgepack``."""
    try:
        interrupt.install()
        code = _run()
        interrupt.ignore()
    except Interrupted as stopped:
        interrupt.ignore()
        sys.stderr.write(f"error: {stopped}\n hint: {stopped.hint}\n")  # what draws may not be imported yet
        code = stopped.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written: do not wait most of a second for PyTorch to take itself down


def _run() -> int:
    """The exit code. Raises Interrupted."""
    try:
        # only now, since these take a while in which Ctrl-C may come
        importlib.import_module("edgepack.cli.app").app(standalone_mode=True)
    except EdgepackError as error:
        return _failed(error)
    except OSError as error:
        return _failed(_trouble(error))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except Exception:
        if interrupt.asked():  # a library has made another exception of it
            raise interrupt.error() from None
        raise
    return 0


def _failed(error: EdgepackError) -> int:
    """Say what went wrong. Raises Interrupted where a library has made this error of it."""
    if interrupt.asked():
        raise interrupt.error() from error
    importlib.import_module("edgepack.cli.show").fail(error)
    return error.exit_code


def _trouble(error: OSError) -> EdgepackError:
    """What the system says of a file, in one line."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("no space left on the disk", hint="free some, or choose another place")
    name = f": {error.filename}" if error.filename else ""
    return FileTrouble(f"{error.strerror or type(error).__name__}{name}", hint="choose another file or folder")
