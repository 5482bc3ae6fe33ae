"""The command line: each command parses, calls and shows. The only place that prints or exits."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from edgepack.cli.app import app
from edgepack.cli.show import fail
from edgepack.errors import EdgepackError, Interrupted

__all__ = ["main"]


def main() -> None:
    """The entry point of the command ``edgepack``."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        app()
    except EdgepackError as error:
        fail(error)
        sys.exit(error.exit_code)


def _stop(number: int, frame: FrameType | None) -> None:
    """Ctrl-C and a polite kill leave through the same door as every other error, which cleans up."""
    raise Interrupted("stopped; nothing was left half done", hint="bundles that were finished before are in place")
