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

# Files beside the weights that shape a conversion.
_SHAPING = (
    "config.json", "modules.json", "sentence_bert_config.json", "preprocessor_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt",
    "generation_config.json", "chat_template.jinja",
)  # fmt: skip
_CHUNK, _PART = 1 << 20, 1 << 26  # bytes


def resolve(reference: str, *, task: str | None = None, say: Callable[[str], None] = lambda line: None) -> Source:
    """The model that ``reference`` names, fetched and looked through.

    ``reference`` is a folder, ``python:package/folder`` or a hub id; ``task`` overrides what the files tell.
    Raises ModelError and its subclasses, UnknownName.
    """
    fetched = plugins.load("sources", _place(reference)).fetch(reference, say)
    config = _config(fetched.path)
    files = weights.files(fetched.path)
    stored = [tensor for file in files for tensor in weights.tensors(file)]
    return Source(
        model=reference,
        name=fetched.name,
        path=fetched.path,
        revision=fetched.revision,
        architecture=config["architectures"][0],
        model_type=str(config.get("model_type", "")),
        task=_task(fetched.path, config, task),
        licence=_licence(fetched.path),
        parameters=sum(tensor.parameters for tensor in stored if tensor.dtype not in {"I64", "I32"}),
        weights_bytes=sum(file.stat().st_size for file in files),
        convolutional=_kernels(stored) > 0.5,
        sha256=_digest([*files, *(fetched.path / name for name in _SHAPING)], fetched.path),
    )


def _place(reference: str) -> str:
    if reference.startswith("python:"):
        return "python"
    looks_local = reference.startswith((".", "/", "~")) or Path(reference).expanduser().is_dir()
    return "folder" if looks_local or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@.+)?", reference) else "hub"


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
