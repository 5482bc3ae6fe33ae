"""A text model's folder with its tokenizer as transformers runs it, for every reader of the bundle.

``arranged(folder, task)`` is a folder in the cache with the same weights (linked) and configs, whose tokenizer.json is
the one that transformers ends with, and whose tokenizer_config.json states in full what transformers works out of
classes, defaults and other files: the longest text, the padding, the model's inputs. Clients that read tokenizer.json
as it is, as most do, then tokenize as transformers does. transformers and PyTorch are imported when it is made alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from edgepack import cache, plugins
from edgepack.tasks import _sentence_folder

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ckpt", ".gguf", ".npz")


def arranged(folder: Path, task: ModuleType) -> Path:
    """The folder in the cache, made on first use. Raises ModelError, UnsupportedModel."""
    facts = {
        "model": folder.name,
        "folder": str(folder),
        "task": task.NAME,
        "files": _digest(folder),
        "tools": plugins.versions(("transformers", "tokenizers")),
    }
    making = "edgepack.original.text_arrangement"
    return cache.fetch("texts", facts, lambda fresh: plugins.load_module(making).arrange(folder, task, fresh))


def files(folder: Path) -> Iterator[Path]:
    """The files beside the config, and those of sentence-transformers' modules."""
    yield from (file for file in sorted(folder.iterdir()) if file.is_file())
    if (folder / "modules.json").is_file():
        for entry in _sentence_folder.modules(folder):
            if entry["path"]:
                yield from (file for file in sorted((folder / entry["path"]).glob("*")) if file.is_file())


def _digest(folder: Path) -> str:
    """SHA-256 of the files that are copied, and the names of those that are linked."""
    total = hashlib.sha256()
    for file in files(folder):
        total.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        if file.suffix not in WEIGHTS:
            total.update(file.read_bytes())
    return total.hexdigest()
