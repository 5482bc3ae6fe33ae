"""The files of a model's folder, copied or linked to where a folder is arranged from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgepack import modelfolder
from edgepack.tasks import _sentence_folder

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ckpt", ".gguf", ".npz")


def take(model: Path, file: Path, to: Path) -> None:
    """Copy a file of the folder ``model``, or link to it where it is large. Raises UnsafeModel for a link out of it."""
    if file.suffix in WEIGHTS:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.symlink_to(file.absolute())
    else:
        modelfolder.copy(model, file.relative_to(model).as_posix(), to)


def files(folder: Path) -> Iterator[Path]:
    """Yield the files beside the config, and those of sentence-transformers' modules."""
    yield from (file for file in sorted(folder.iterdir()) if file.is_file())
    if (folder / "modules.json").is_file():
        for entry in _sentence_folder.modules(folder):
            if entry["path"]:
                yield from (file for file in sorted((folder / entry["path"]).glob("*")) if file.is_file())
