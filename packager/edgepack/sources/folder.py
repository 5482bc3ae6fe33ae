"""A model in a local folder."""

from __future__ import annotations

from pathlib import Path

from edgepack.errors import ModelNotFound
from edgepack.progress import Say
from edgepack.sources import Fetched, named
from edgepack.weights import single_file


def fetch(reference: str, say: Say) -> Fetched:
    """Return the folder itself. Raises ModelNotFound, and ModelError or a subclass that says what a file is."""
    path = Path(reference).expanduser()
    if path.is_file():
        raise single_file.refusal(path)
    if not path.is_dir():
        raise ModelNotFound(
            f"there is no folder {reference}", hint="give a model folder, a hub id or python:package/folder"
        )
    return Fetched(path.resolve(), named(path.resolve(), path.resolve().parent.name))
