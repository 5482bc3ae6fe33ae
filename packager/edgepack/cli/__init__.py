"""The command line: each command parses, calls and shows. The only place that prints or exits."""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType

from edgepack.cli.app import app
from edgepack.cli.show import fail
from edgepack.errors import DiskFull, EdgepackError, FileTrouble, Interrupted

__all__ = ["main"]


def main() -> None:
    """The entry point of the command ``edgepack``."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    code = 0
    try:
        app(standalone_mode=True)
    except EdgepackError as error:
        fail(error)
        code = error.exit_code
    except OSError as error:
        told = _trouble(error)
        fail(told)
        code = told.exit_code
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written: do not wait most of a second for PyTorch to take itself down


def _trouble(error: OSError) -> EdgepackError:
    """What the system says of a file, in one line."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("no space left on the disk", hint="free some, or choose another place")
    name = f": {error.filename}" if error.filename else ""
    return FileTrouble(f"{error.strerror or type(error).__name__}{name}", hint="choose another file or folder")


def _stop(number: int, frame: FrameType | None) -> None:
    """Ctrl-C and a polite kill leave through the same door as every other error, which cleans up."""
    raise Interrupted("stopped; nothing was left half done", hint="bundles that were finished before are in place")
