"""Find the model: fetch it, refuse what is unsafe, and say what it is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from edgepack import cache, modelfolder, plugins, processors, sources, tasks, weights
from edgepack.documents import Json, JsonDict, JsonObject, read_object
from edgepack.errors import ModelNotFound, UnknownName
from edgepack.original import folder_kinds
from edgepack.original.folder_kinds import FolderKind
from edgepack.records import Source
from edgepack.sources import Fetched
from edgepack.tasks import _recognition, _sentence_folder
from edgepack.weights import foreign, lora, lora_file, single_file
from edgepack.weights.choice import ADAPTER

# Files beside the weights that shape a conversion, but for cards and logs.
_SHAPING = ("*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja")
_PLACES, _PLACE = "model-folders", "folders.json"  # of the cache
_CHUNK, _PART = 1 << 20, 1 << 26  # bytes


def _say_nothing(line: str) -> None:
    pass


def resolve(reference: str, *, task: str | None = None, adapters: Sequence[str] = ()) -> Source:
    """Return the model that ``reference`` names, fetched, looked through and ready to be read: ``find``, then
    ``arrange``.
    """
    return arrange(find(reference, task=task, adapters=adapters))


def find(
    reference: str, *, task: str | None = None, adapters: Sequence[str] = (), say: Callable[[str], None] = _say_nothing
) -> Source:
    """Return the model that ``reference`` names, fetched and looked through; to be arranged before it is read.

    ``reference`` is a folder, ``python:package/folder`` or a hub id, and so are ``adapters``, LoRAs to merge into it;
    ``task`` overrides what the files tell. Raises ModelError and its subclasses, UnknownName.
    """

    def fetch(named: str) -> Fetched:
        return sources.find(_place(named)).fetch(named, say)

    fetched = fetch(reference)
    folder = folder_kinds.kind_of(fetched.path)
    merged = folder.adapters(adapters, lambda named: fetch(named).path)
    _check_files(folder, merged)
    folder.check_adapters(merged)
    folders = folder.weight_folders
    single_file.check(folder.root)
    files = [file for name in folders for file in weights.files(folder.root / name)]
    config = folder.config()
    stored = [tensor for file in files for tensor in weights.tensors(file)]
    foreign.check(folder.root, config, stored)
    found = _task(fetched.path, config, task)
    shaping = [*files, *_shaping(folder), *_adapter_files(merged)]
    source = Source(
        model=fetched.name if _local(reference) else reference,
        name=fetched.name,
        path=fetched.path,
        origin=fetched.path,
        revision=fetched.revision,
        architecture=config["architectures"][0],
        model_type=str(config.get("model_type", "")),
        task=found,
        licence=_licence(fetched.path),
        parameters=sum(weights.values(tensor) for tensor in stored),
        weights_bytes=sum(file.stat().st_size for file in files),
        convolutional=_kernels(stored) > 0.5,
        sha256=_digest(shaping, fetched.path, merged),
        folders=folders,
        adapters=tuple(one.name if _local(named) else named for one, named in zip(merged, adapters, strict=True)),
        adapter_paths=tuple(merged),
    )
    _remember(source, {"model": [reference], "adapter": adapters})
    return source


def _check_files(folder: FolderKind, merged: Sequence[Path]) -> None:
    """Raises UnsafeModel where a file that is read or copied is a link out of its folder, or none."""
    modelfolder.check(folder.folder)  # modules.json too, before it is read
    modelfolder.check(folder.folder, folder.subfolders)
    for adapter in merged:
        if adapter.is_dir():
            modelfolder.check(adapter)


def arrange(source: Source) -> Source:
    """Return the source, of a model of texts in a folder with its tokenizer as transformers runs it (see
    text_folder.py).

    Raises ModelError, UnsupportedModel.
    """
    return replace(source, path=folder_kinds.kind_of(source.origin).arranged(tasks.load(source.task)))


def is_new(source: Source) -> bool:
    """Return whether arranging ``source`` has to ask transformers."""
    return not folder_kinds.kind_of(source.origin).is_arranged(tasks.load(source.task))


def references(named: JsonObject) -> tuple[str, tuple[str, ...]]:
    """Return what leads to the model and to the adapters that a manifest's "source" names. Raises ModelNotFound.

    Of a folder a bundle holds the name alone, so as not to tell where it lay; this machine's cache knows the place.
    """
    model, adapters = str(named["model"]), _listed(named.get("adapter"))
    folder = cache.find(_PLACES, {"model": model, "sha256": str(named["sha256"])})
    if folder is not None:
        places = read_object(folder / _PLACE)
        return places.get("model", model), _listed(places.get("adapter")) or adapters
    if named["revision"] or model.startswith("python:") or Path(model).is_absolute():
        return model, adapters
    raise ModelNotFound(
        f"{model} was a folder, and this machine does not know where", hint="give it with --original FOLDER"
    )


def _listed(adapter: Json) -> tuple[str, ...]:
    """Return the adapters of a manifest: none, one name, or a list of them."""
    return (adapter,) if isinstance(adapter, str) else tuple(adapter or ())


def _remember(source: Source, typed: Mapping[str, Sequence[str]]) -> None:
    """Note where the folders of ``typed`` references lie."""
    places = {key: _places(named) for key, named in typed.items() if any(map(_local, named))}
    if places:
        text, facts = json.dumps(places), {"model": source.model, "sha256": source.sha256}
        known = cache.find(_PLACES, facts)
        if known is None or (known / _PLACE).read_text("utf-8") != text:  # the cache may be one that is only read
            cache.store(_PLACES, facts, lambda folder: _write(folder / _PLACE, text))


def _places(named: Sequence[str]) -> str | list[str]:
    """Return where folders lie; ids stay as they are."""
    found = [str(Path(one).expanduser().resolve()) if _local(one) else one for one in named]
    return found if len(found) > 1 else found[0]


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")


def downloads(*references: str) -> bool:
    """Return whether one of the ``references`` lies on a hub."""
    return any(_place(reference) == "hub" for reference in references)


def _local(reference: str) -> bool:
    return _place(reference) == "folder"


def _place(reference: str) -> str:
    if reference.startswith("python:"):
        return "python"
    looks_local = reference.startswith((".", "/", "~")) or Path(reference).expanduser().exists()
    return "folder" if looks_local or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@.+)?", reference) else "hub"


def _adapter_files(merged: Sequence[Path]) -> list[Path]:
    folders = [adapter / file for adapter in merged if adapter.is_dir() for file in (ADAPTER, lora.FILE)]
    return folders + [lora_file.parse(adapter)[0] for adapter in merged if not adapter.is_dir()]


def _shaping(folder: FolderKind) -> list[Path]:
    """Return the files that shape a conversion, those of sentence-transformers' modules included."""
    own, subfolders = {folder.folder, folder.root}, {folder.folder / name for name in folder.subfolders}
    found = {file for place in own | subfolders for pattern in _SHAPING for file in place.glob(pattern)}
    weighed = {folder.root / name for name in folder.weight_folders}  # whose weights are taken as the model's
    heads = {file for place in subfolders - own - weighed for file in place.glob("*.safetensors")}
    return sorted(file for file in found | heads if not file.name.endswith(".safetensors.index.json"))


def _task(folder: Path, config: JsonDict, asked: str | None) -> str:
    if asked is not None and asked not in plugins.names("tasks"):
        raise UnknownName("task", asked, plugins.names("tasks"))
    if asked is not None:
        _recognition.check(asked, config)
    found = _recognition.find(folder, config) if asked is None else asked
    _sentence_folder.check(folder, found)
    return found


def _licence(folder: Path) -> str | None:
    """Return what the model card's front matter says. Raises ModelError."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    found: str | None = plugins.load_module("edgepack.licences.card").licence(card)
    return found


def _kernels(stored: list[weights.Stored]) -> float:
    """Return the share of the parameters that lie in convolutions' kernels, which have four dimensions."""
    total = sum(tensor.parameters for tensor in stored)
    return sum(tensor.parameters for tensor in stored if len(tensor.shape) == 4) / max(total, 1)


def _digest(files: list[Path], root: Path, merged: Sequence[Path]) -> str:
    """Return SHA-256 over the names, the sizes and the parts' digests of ``files``; absent ones count as absent.

    Parts are read side by side: the weights of a large model take as long as one thread needs for all of them.
    """
    there = [file for file in files if file.is_file()]
    parts = [(file, start) for file in there for start in range(0, file.stat().st_size, _PART)]
    total = hashlib.sha256()
    for file in there:
        name = file.relative_to(root) if file.is_relative_to(root) else file.name  # an adapter's lie elsewhere
        total.update(f"{name}\0{file.stat().st_size}\0".encode())
    with ThreadPoolExecutor(processors.count()) as pool:
        for digest in pool.map(_part_digest, parts):
            total.update(digest)
    for adapter in merged:
        if not adapter.is_dir():
            total.update(f"scale {lora_file.parse(adapter)[1]}".encode())
    return total.hexdigest()


def _part_digest(part: tuple[Path, int]) -> bytes:
    file, start = part
    total = hashlib.sha256()
    with file.open("rb") as stream:
        stream.seek(start)
        for _ in range(_PART // _CHUNK):
            total.update(stream.read(_CHUNK))
    return total.digest()
