"""The oracle's process: compare, and write what was found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgepack.errors import EdgepackError
from edgepack.original.oracle.check import check


def main(folder: str, result: str) -> None:
    """Write RESULT.json: the differences that were measured, or the error and its hint."""
    try:
        found = check(Path(folder))
    except EdgepackError as error:
        found = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
    Path(result).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
