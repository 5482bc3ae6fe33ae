"""What runs on the device: standard library, numpy, onnxruntime and tokenizers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from edgepack.errors import BundleError, UnknownName
from edgepack.runtime import archive, graphs, manifest
from edgepack.runtime.session import open_session

__all__ = ["load"]

_TASKS = (
    "text-embedding", "text-classification", "token-classification", "question-answering", "fill-mask",
    "image-classification", "image-embedding", "text-generation",
)  # fmt: skip


def load(bundle: str | Path, *, threads: int | None = None, verify: bool = True) -> Any:
    """Open a bundle (folder or ``.edgepack`` file): an object with its task's natural call, such as ``embed``.

    ``threads`` defaults to the target's, at most what this machine has; ``verify=False`` skips the hashing of every
    file. Raises BundleError and its subclasses.
    """
    listed = manifest.read(folder_of(bundle))
    if verify:
        manifest.verify(listed)
    run = open_session(graphs.generating(listed.model_file), threads or listed.threads)
    return model(listed.task, run, listed.folder, dict(listed.processing))


def folder_of(bundle: str | Path) -> Path:
    """The folder of a bundle; a ``.edgepack`` file is unpacked into the cache. Raises BundleError."""
    path = Path(bundle).expanduser()
    if path.is_file():
        return archive.opened(path)
    if not path.exists():
        raise BundleError(f"there is no bundle {bundle}", hint="edgepack build makes one")
    return path


def model(task: str, run: Any, folder: Path, processing: dict[str, Any]) -> Any:
    """The task's object around ``run``, which may be a session or the original model."""
    if task not in _TASKS:
        raise UnknownName("task", task, _TASKS)
    module = importlib.import_module(f"edgepack.runtime.tasks.{task.replace('-', '_')}")
    return module.Model(run, folder, processing)
