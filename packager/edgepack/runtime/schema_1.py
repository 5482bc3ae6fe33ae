"""Bundles of manifest schema 1, which have one model: their manifest in the form of schema 2."""

from __future__ import annotations

from pathlib import Path

from edgepack.documents import JsonDict, JsonObject
from edgepack.runtime import graphs, processing_1
from edgepack.runtime.submodel import MODEL

VERSION = 1


def upgraded(table: JsonObject) -> JsonDict:
    """Return a manifest that keeps schema 1 in the form of schema 2.

    The model and its golden vectors become the submodel ``model``. Its files are those whose names begin with its own:
    a package's, external weights, and a language model's graph for the last token. For ``processing`` see
    processing_1.py.
    """
    made: JsonDict = {}
    for key, value in table.items():
        if key == "model":
            made["models"] = {MODEL: {**value, "files": _files(table), "golden": table["golden"]}}
        elif key != "golden":
            made[key] = value
    processing = processing_1.upgraded(table["task"], table["processing"])
    return {**made, "processing": processing, "schema": VERSION + 1}


def _files(table: JsonObject) -> list[str]:
    file = str(table["model"]["file"])
    beginnings = (file, graphs.last(Path(file)).as_posix())
    return [name for name in table["files"] if name.startswith(beginnings)] or [
        file
    ]  # which is then found to be unlisted
