"""A folder of images or sounds: each sub-folder's name is the label of the files in it."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path

from edgepack.data.row import Row
from edgepack.errors import DataError

_KINDS = {**dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"), "image"), ".wav": "audio"}


def rows(path: Path, *, headless: bool) -> Iterator[Row[str]]:
    """Yield ``image`` or ``audio`` (a path) and ``label``, in the order of the names. Raises DataError."""
    found = False
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
        for file in sorted(folder.iterdir()):
            kind = _KINDS.get(file.suffix.lower())
            if not file.is_file() or (kind is None and not _is_media(file)):
                continue  # notes and the like
            if kind is None:
                raise DataError(
                    f"{file} is no WAV file and no image that is read ({', '.join(sorted(set(_KINDS) - {'.wav'}))})",
                    hint="convert it, or move it out of the folder",
                )
            found = True
            yield Row(str(file), {kind: str(file), "label": folder.name})
    if not found:
        raise DataError(
            f"{path} holds no images and no WAV files in sub-folders", hint="put them in one sub-folder per label"
        )


def _is_media(file: Path) -> bool:
    """Return whether the name is that of an image, a sound or a film."""
    kind, _ = mimetypes.guess_type(file.name)
    return kind is not None and kind.partition("/")[0] in ("image", "audio", "video")
