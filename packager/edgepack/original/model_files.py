"""The files of a model's folder, copied or linked to where a folder is arranged from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from edgepack.tasks import _sentence_folder

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ckpt", ".gguf", ".npz")


def take(file: Path, to: Path) -> None:
    """Copy a file, or link to it where it is large."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix in WEIGHTS:
        to.symlink_to(file.absolute())
    else:
        shutil.copyfile(file, to)


def files(folder: Path) -> Iterator[Path]:
    """Yield the files beside the config, and those of sentence-transformers' modules."""
    yield from (file for file in sorted(folder.iterdir()) if file.is_file())
    if (folder / "modules.json").is_file():
        for entry in _sentence_folder.modules(folder):
            if entry["path"]:
                yield from (file for file in sorted((folder / entry["path"]).glob("*")) if file.is_file())
