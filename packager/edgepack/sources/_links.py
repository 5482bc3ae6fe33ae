"""A model's folder holds its own files: a stranger's link would put a private file of yours into a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgepack.containment import check_file
from edgepack.errors import ModelError, UnsafeModel

# What edgepack reads of a model's folder, or copies.
_READ = (
    "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.safetensors", "README*", "LICEN[CS]E*", "NOTICE*",
)  # fmt: skip


def check(folder: Path, subfolders: Iterable[str] = ()) -> None:
    """Check that what is read in ``folder`` and ``subfolders`` are regular files of its own. Raises UnsafeModel,
    ModelError.

    The hub's cache keeps files by their hashes and has links to them in a model's folder: those are its own too.
    """
    own = list(_blobs(folder))
    for place in {folder, *(folder / name for name in subfolders)}:
        for file in (file for pattern in _READ for file in place.glob(pattern)):
            if not file.is_dir():
                hint = "copy the file to where the link is, if it belongs to the model"
                check_file(file, folder, unsafe=UnsafeModel, missing=ModelError, within=own, hint=hint)


def _blobs(folder: Path) -> Iterator[Path]:
    """Yield where the hub's cache keeps the files of a folder in it: models--org--name/snapshots/<commit>."""
    for place in (folder, *folder.parents):
        blobs = place.parent.parent / "blobs"
        if place.parent.name == "snapshots" and place.parent.parent.name.startswith("models--") and blobs.is_dir():
            yield blobs
