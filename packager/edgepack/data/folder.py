"""A folder of images: each sub-folder's name is the label of the images in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgepack.data.row import Row
from edgepack.errors import DataError

_KINDS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}


def rows(path: Path, *, headless: bool) -> Iterator[Row[str]]:
    """Yield ``image`` (a path) and ``label``, in the order of the names. Raises DataError."""
    found = False
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in _KINDS and file.is_file():
                found = True
                yield Row(str(file), {"image": str(file), "label": folder.name})
    if not found:
        raise DataError(f"{path} holds no images in sub-folders", hint="put them in one sub-folder per label")
