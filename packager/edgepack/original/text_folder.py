"""A text model's folder with its tokenizer as transformers runs it, for every reader of the bundle.

``arranged(folder, task)`` is a folder in the cache with the same weights (linked) and configs, whose tokenizer.json is
the one that transformers ends with, and whose tokenizer_config.json states in full what transformers works out of
classes, defaults and other files: the longest text, the padding, the model's inputs. Clients that read tokenizer.json
as it is, as most do, then tokenize as transformers does. transformers and PyTorch are imported when it is made alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgepack import cache, child, errors, plugins
from edgepack.documents import JsonDict, read_object
from edgepack.errors import EdgepackError, ModelError
from edgepack.original.model_files import WEIGHTS, files, take
from edgepack.runtime.text import tokenizer
from edgepack.tasks import AnyTask, _pipeline_folder, read_config

_FOLDERS = "text-folders"  # of the cache
_AGAIN = (
    "save it again with a version of transformers that opens it: "
    "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
)


def arranged(folder: Path, task: AnyTask) -> Path:
    """Return the folder in the cache, made on first use. Raises ModelError, UnsupportedModel."""
    making = "edgepack.original.text_arrangement"
    made = _fetch(
        _FOLDERS, _facts(folder, task), lambda to: plugins.load_module(making).arrange(folder, task, to / folder.name)
    )
    return made / folder.name  # errors name it


def arranged_timm(folder: Path, task: AnyTask) -> Path:
    """Return the same for a model of timm: its config.json says what timm and transformers work out.

    Raises ModelError, UnsupportedModel, MissingExtra where timm is not installed.
    """

    def make(to: Path) -> None:
        plugins.load_module("edgepack.original.imports").import_timm()
        plugins.load_module("edgepack.original.timm_arrangement").arrange(folder, task, to / folder.name)

    facts = {**_facts(folder, task), "tools": plugins.versions(("timm", "transformers"))}
    return cache.fetch(_FOLDERS, facts, make) / folder.name


def arranged_pipeline(folder: Path) -> Path:
    """Return the same for a pipeline of diffusers: each of its tokenizers has a tokenizer.json. Raises ModelError."""
    parts = _pipeline_folder.components(folder)
    chosen = [file for name in ("", *parts) for file in sorted((folder / name).iterdir()) if file.is_file()]
    facts = {"model": folder.name, "folder": str(folder), "parts": parts, "files": _digest(chosen, folder)}
    making = "edgepack.original.pipeline_arrangement"
    made = _fetch(_FOLDERS, facts, lambda to: plugins.load_module(making).arrange(folder, parts, to / folder.name))
    return made / folder.name


def is_arranged(folder: Path, task: AnyTask) -> bool:
    """Return whether ``arranged`` finds it in the cache."""
    return cache.find(_FOLDERS, _with_tools(_facts(folder, task))) is not None


def arranged_language_model(folder: Path) -> Path:
    """Return the same for a language model; ``folder`` itself where its tokenizer.json says all that transformers does.

    transformers is asked in a process of its own. Where it is not installed, the folder is taken as it is, unless its
    files contradict each other. Raises ModelError, UnsupportedModel.
    """
    if importlib.util.find_spec("transformers") is None:
        _check_added_tokens(folder)
        return folder
    facts = {"model": folder.name, "files": _digest(_tokenizer_files(folder), folder), "config": _family(folder)}
    found = _fetch("tokenizers", facts, lambda fresh: _ask(folder, fresh))
    if not (found / "tokenizer.json").is_file():
        return folder
    facts = {"model": folder.name, "folder": str(folder), "files": _digest(files(folder), folder), "found": found.name}
    return _fetch(_FOLDERS, facts, lambda fresh: _overlay(folder, found, fresh / folder.name)) / folder.name


@contextmanager
def as_given() -> Iterator[None]:
    """Let errors name a model's files by its own folder, not by the copy in the cache in which they were read."""
    try:
        yield
    except EdgepackError as error:
        error.args = tuple(_as_given(str(said)) for said in error.args)
        error.hint = _as_given(error.hint)
        raise


def _as_given(text: str) -> str:
    root = cache.root() / _FOLDERS

    def own(copy: re.Match[str]) -> str:
        folder = cache.told(root / copy[1]).get("folder")
        return copy[0] if folder is None else f"{Path(str(folder)).parent}/"

    return re.sub(rf"{re.escape(str(root))}/([0-9a-f]+)/", own, text)


def _facts(folder: Path, task: AnyTask) -> JsonDict:
    return {"model": folder.name, "folder": str(folder), "task": task.NAME, "files": _digest(files(folder), folder)}


def _fetch(kind: str, facts: JsonDict, make: Callable[[Path], None]) -> Path:
    return cache.fetch(kind, _with_tools(facts), make)


def _with_tools(facts: JsonDict) -> JsonDict:
    return {**facts, "tools": plugins.versions(("transformers", "tokenizers"))}


def _ask(folder: Path, to: Path) -> None:
    """Ask language_tokenizer.py. Raises what it raised."""
    asked = child.run("edgepack.original.language_tokenizer", folder, to)
    if asked.code:
        line = asked.trouble or f"exit code {asked.code}"
        raise ModelError(f"transformers cannot open the tokenizer of {folder}: {line}", hint=_AGAIN)
    error = to / "error.json"
    if error.is_file():
        told = read_object(error, ModelError)
        raise getattr(errors, told["kind"])(told["message"], hint=told["hint"])


def _overlay(folder: Path, found: Path, to: Path) -> None:
    """Link the model's files, with those of ``found`` in their place."""
    for file in files(folder):
        take(folder, file, to / file.name)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(found / name, to / name)


def _tokenizer_files(folder: Path) -> list[Path]:
    return [file for file in files(folder) if file.suffix not in WEIGHTS and file.name != "config.json"]


def _family(folder: Path) -> JsonDict:
    """Return what of config.json decides on the tokenizer's class."""
    config = read_config(folder / "config.json")
    return {name: config.get(name) for name in ("model_type", "model_name", "tokenizer_class", "_name_or_path")}


def _check_added_tokens(folder: Path) -> None:
    """Raises ModelError where tokenizer_config.json asks for other tokens around a text than tokenizer.json adds."""
    stated = read_config(folder / "tokenizer_config.json")
    if not (folder / "tokenizer.json").is_file() or not {"add_bos_token", "add_eos_token"} & set(stated):
        return
    encoding = tokenizer(folder).encode("a")
    marks = encoding.special_tokens_mask
    for name, added in (("add_bos_token", bool(marks[0])), ("add_eos_token", bool(marks[-1]))):
        if name in stated and bool(stated[name]) != added:
            raise ModelError(
                f"tokenizer_config.json says {name}: {json.dumps(stated[name])}, and tokenizer.json does otherwise",
                hint="pip install 'edgepack[build]', which asks transformers, or correct one of the two files",
            )


def _digest(chosen: Iterable[Path], folder: Path) -> str:
    """Return SHA-256 of the files that are copied, and the names and sizes of those that are linked."""
    total = hashlib.sha256()
    for file in chosen:
        total.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        if file.suffix not in WEIGHTS:
            total.update(file.read_bytes())
    return total.hexdigest()
