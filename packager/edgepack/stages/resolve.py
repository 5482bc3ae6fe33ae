"""Find the model: fetch it, refuse what is unsafe, and say what it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgepack import plugins, tasks, weights
from edgepack.errors import ModelError, UnknownName, UnsafeModel, UnsupportedModel
from edgepack.records import Source
from edgepack.tasks import _sentence_folder

# Files beside the weights that shape a conversion, but for cards and logs.
_SHAPING = ("*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja")
_CHUNK, _PART = 1 << 20, 1 << 26  # bytes


def resolve(reference: str, *, task: str | None = None, say: Callable[[str], None] = lambda line: None) -> Source:
    """The model that ``reference`` names, fetched and looked through.

    ``reference`` is a folder, ``python:package/folder`` or a hub id; ``task`` overrides what the files tell.
    Raises ModelError and its subclasses, UnknownName.
    """
    fetched = plugins.load("sources", _place(reference)).fetch(reference, say)
    root = _root(fetched.path)
    config = _config(root)
    files = weights.files(root)
    stored = [tensor for file in files for tensor in weights.tensors(file)]
    found = _task(fetched.path, config, task)
    return Source(
        model=reference,
        name=fetched.name,
        path=_arranged(fetched.path, found),
        origin=fetched.path,
        revision=fetched.revision,
        architecture=config["architectures"][0],
        model_type=str(config.get("model_type", "")),
        task=found,
        licence=_licence(fetched.path),
        parameters=sum(tensor.parameters for tensor in stored if tensor.dtype not in {"I64", "I32"}),
        weights_bytes=sum(file.stat().st_size for file in files),
        convolutional=_kernels(stored) > 0.5,
        sha256=_digest([*files, *_shaping(fetched.path, root)], fetched.path),
    )


def _place(reference: str) -> str:
    if reference.startswith("python:"):
        return "python"
    looks_local = reference.startswith((".", "/", "~")) or Path(reference).expanduser().is_dir()
    return "folder" if looks_local or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@.+)?", reference) else "hub"


def _root(folder: Path) -> Path:
    """Where config.json and the weights lie: in the folder, or in a subfolder that sentence-transformers names."""
    return folder / _sentence_folder.transformer(folder) if _sentence_folder.is_one(folder) else folder


def _arranged(folder: Path, task: str) -> Path:
    """The folder, for models of texts that are exported with its tokenizer as transformers runs it."""
    module = plugins.load("tasks", task)
    if not module.AUTO or "image" in module.INPUTS:
        return folder
    path: Path = plugins.load_module("edgepack.original.text_folder").arranged(folder, module)
    return path


def _shaping(folder: Path, root: Path) -> list[Path]:
    """The files that shape a conversion, those of sentence-transformers' modules included."""
    modules = _sentence_folder.modules(folder) if _sentence_folder.is_one(folder) else []
    places = {folder, root, *(folder / entry["path"] for entry in modules)}
    found = {file for place in places for pattern in _SHAPING for file in place.glob(pattern)}
    heads = {file for place in places - {folder, root} for file in place.glob("*.safetensors")}
    return sorted(file for file in found | heads if not file.name.endswith(".safetensors.index.json"))


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{folder} has no config.json", hint="give the folder that holds config.json and safetensors")
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(config, dict) or not config.get("architectures"):
        raise ModelError(
            f"{file} names no architectures, so it is unclear what the model is",
            hint='add for example "architectures": ["BertModel"]',
        )
    if config.get("auto_map") and str(config.get("model_type")).replace("_", "-") not in plugins.names("decoders"):
        raise UnsafeModel(
            f"{folder.name} brings its own code (auto_map in config.json), which edgepack does not run",
            hint="remove auto_map from a copy of the folder if transformers itself knows the architecture",
        )
    if config.get("quantization_config"):
        raise UnsupportedModel(
            f"{folder.name} is already quantized ({config['quantization_config'].get('quant_method', 'unknown')})",
            hint="start from the original weights",
        )
    return config


def _task(folder: Path, config: dict[str, Any], asked: str | None) -> str:
    if asked is None:
        return tasks.find(folder, config)
    if asked not in plugins.names("tasks"):
        raise UnknownName("task", asked, plugins.names("tasks"))
    return asked


def _licence(folder: Path) -> str | None:
    """What the model card's front matter says."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    front = re.match(r"\A---\n(.*?)\n---", card.read_text("utf-8", errors="replace"), re.DOTALL)
    found = re.search(r"^license:\s*['\"]?([\w.+-]+)", front[1], re.MULTILINE) if front else None
    return found[1].lower() if found else None


def _kernels(stored: list[weights.Stored]) -> float:
    """The share of the parameters that lie in convolutions' kernels, which have four dimensions."""
    total = sum(tensor.parameters for tensor in stored)
    return sum(tensor.parameters for tensor in stored if len(tensor.shape) == 4) / max(total, 1)


def _digest(files: list[Path], root: Path) -> str:
    """SHA-256 over the names, the sizes and the parts' digests of ``files``; absent ones count as absent.

    Parts are read side by side: the weights of a large model take as long as one thread needs for all of them.
    """
    there = [file for file in files if file.is_file()]
    parts = [(file, start) for file in there for start in range(0, file.stat().st_size, _PART)]
    total = hashlib.sha256()
    for file in there:
        total.update(f"{file.relative_to(root)}\0{file.stat().st_size}\0".encode())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for digest in pool.map(_part_digest, parts):
            total.update(digest)
    return total.hexdigest()


def _part_digest(part: tuple[Path, int]) -> bytes:
    file, start = part
    total = hashlib.sha256()
    with file.open("rb") as stream:
        stream.seek(start)
        for _ in range(_PART // _CHUNK):
            total.update(stream.read(_CHUNK))
    return total.digest()
