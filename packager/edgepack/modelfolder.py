"""A model's folder holds its own files: a stranger's link would put a private file of yours into a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgepack.containment import Holder, check_file, copy_file, open_file
from edgepack.errors import ModelError, UnsafeModel

# What edgepack reads of a model's folder, or copies.
_READ = (
    "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.safetensors", "README*", "LICEN[CS]E*", "NOTICE*",
)  # fmt: skip

_HINT = "replace the link with the file itself, if it belongs to the model"


def check(folder: Path, subfolders: Iterable[str] = ()) -> None:
    """Check that what is read in ``folder`` and ``subfolders`` are regular files of its own. Raises UnsafeModel,
    ModelError.

    The hub's cache keeps files by their hashes and has links to them in a model's folder: those are its own too.
    """
    holder = _holder(folder)
    for place in {folder, *(folder / name for name in subfolders)}:
        for file in (file for pattern in _READ for file in place.glob(pattern)):
            if not file.is_dir():
                check_file(file, folder, holder)


def copy(folder: Path, name: str, to: Path, model: Path | None = None) -> None:
    """Copy a file of a model to the path ``to``: what is copied is what is checked, whatever was there before.

    ``model`` is the model's own folder, where ``folder`` was arranged from it, with links to it. Raises UnsafeModel,
    ModelError, FileTrouble.
    """
    copy_file(folder, name, to, _holder(model or folder))


def read(folder: Path, name: str, model: Path | None = None) -> str:
    """Return the text of a file of a model, with bytes that are not UTF-8 replaced. Raises as ``copy`` does."""
    with open(open_file(folder, name, _holder(model or folder)), encoding="utf-8", errors="replace") as stream:
        return stream.read()


def _holder(folder: Path) -> Holder:
    return Holder(unsafe=UnsafeModel, missing=ModelError, within=homes(folder), hint=_HINT)


def homes(folder: Path) -> list[Path]:
    """Return where the files of a model's folder may lie: in it, and where the hub's cache keeps them."""
    return [folder, *_blobs(folder)]


def _blobs(folder: Path) -> Iterator[Path]:
    """Yield where the hub's cache keeps the files of a folder in it: models--org--name/snapshots/<commit>."""
    for place in (folder, *folder.parents):
        blobs = place.parent.parent / "blobs"
        if place.parent.name == "snapshots" and place.parent.parent.name.startswith("models--") and blobs.is_dir():
            yield blobs
