"""The oracle's process: compare, and write what was found."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from edgepack import plugins
from edgepack.errors import EdgepackError
from edgepack.original import imports


def main(origin: str, folder: str, result: str) -> None:
    """Write RESULT.json: the differences that were measured, or the error and its hint."""
    gc.disable()  # the imports make a million objects and no garbage, and looking for some takes a fifth of the time
    imports.import_transformers()
    check = plugins.load_module("edgepack.original.oracle.check")
    try:
        found = check.check(Path(origin), Path(folder))
    except EdgepackError as error:
        found = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
    Path(result).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
