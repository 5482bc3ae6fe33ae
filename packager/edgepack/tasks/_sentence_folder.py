"""Read a folder of sentence-transformers: its modules, its prompts and what it tells its transformer.

Formats: ``modules.json`` lists the modules and their subfolders; ``sentence_bert_config.json`` beside the transformer
has its lengths and arguments; ``config_sentence_transformers.json`` has prompts and the similarity
(sentence-transformers 2 to 5.7). A setting that changes the vectors is read, or refused with its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from edgepack.containment import checked_name
from edgepack.documents import Json, JsonDict, JsonObject, read_json
from edgepack.errors import ModelError, UnsafeModel, UnsupportedModel
from edgepack.runtime.processing import Similarity
from edgepack.tasks import _sentence_settings, _supported, read_config
from edgepack.tasks._sentence_head import Layer, head
from edgepack.tasks._sentence_settings import CROSS_ENCODER, ENCODER

_CONFIG = "config_sentence_transformers.json"
_OWN = "sentence_transformers."
_SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)
RANKING, _PAIRS = "text-ranking", "text-classification"  # of a CrossEncoder with one label, and with several
_TASKS = {ENCODER: "text-embedding", CROSS_ENCODER: _PAIRS}
# config.json's notes of a CrossEncoder that was saved without modules.json: of releases from 4.0 on, and before
_NOTED = ("sentence_transformers", "sbert_ce_default_activation_function")
_PROMPTS = {"query": "", "document": ""}  # that every SentenceTransformer has


@dataclass(frozen=True, kw_only=True)
class SentenceFolder:
    """The settings of a sentence-transformers folder beyond its transformer's own files."""

    transformer: str = ""  # the subfolder with config.json, weights and tokenizer; "" for the folder itself
    layers: tuple[Layer, ...] = ()  # what makes a vector of the token vectors, in order; none of a CrossEncoder
    prompts: Mapping[str, str] = field(default_factory=lambda: dict(_PROMPTS))
    default_prompt: str | None = None  # the name of the one that is put in front of every text
    truncate: int | None = None  # how many numbers of the vector are kept
    similarity: Similarity = "cosine"
    max_length: int | None = None  # tokens
    lower: bool = False
    tokenizer: JsonObject = field(default_factory=dict)  # arguments for opening the tokenizer


def is_one(folder: Path) -> bool:
    """Return whether sentence-transformers saved it."""
    return (folder / "modules.json").is_file()


def kind(folder: Path) -> str:
    """Return what it is for sentence-transformers: "SentenceTransformer", "CrossEncoder", …; "" for other folders."""
    return str(read_config(folder / _CONFIG).get("model_type", ENCODER)) if is_one(folder) else ""


def task(folder: Path) -> str:
    """Return the task that honours what it says, "" for a folder of others. Raises UnsupportedModel for other kinds."""
    what = kind(folder)
    if what and what not in _TASKS:
        raise UnsupportedModel(
            f"{folder.name} is a {what} of sentence-transformers, which edgepack does not support",
            hint=f"it supports {' and '.join(_TASKS)}; a copy of the folder without modules.json is its bare model",
        )
    if what == CROSS_ENCODER and _labels(read_config(folder / transformer(folder) / "config.json")) == 1:
        return RANKING
    return _TASKS[what] if what else ""


def reranks(folder: Path, config: JsonObject) -> bool:
    """Return whether a folder without modules.json is a CrossEncoder's that gives a pair one score, as it notes."""
    return not is_one(folder) and any(name in config for name in _NOTED) and _labels(config) == 1


def _labels(config: JsonObject) -> int:
    """Return how many labels a classifier's config.json has: two where it does not say."""
    stated = config.get("id2label")
    return len(stated) if isinstance(stated, Mapping) and stated else int(config.get("num_labels", 2))


def check(folder: Path, asked: str) -> None:
    """Raises what ``read`` does, and UnsupportedModel where the task ``asked`` for would leave unread what it says."""
    own = task(folder)
    if own and asked not in (own, *([_PAIRS] if own == RANKING else [])) and asked in _supported.TABLE:
        raise UnsupportedModel(
            f"{folder.name} is a {kind(folder)} of sentence-transformers, which is for {own}, not {asked}",
            hint=f"for {asked} with the bare model, give a copy of the folder without modules.json",
        )
    if own:
        read(folder)


def read(folder: Path) -> SentenceFolder:
    """Return all of it. Raises ModelError, UnsupportedModel and UnsafeModel, naming the setting."""
    task(folder)
    what, stated, first = kind(folder), read_config(folder / _CONFIG), transformer(folder)
    behind = [entry for entry in modules(folder) if entry["path"] != first or _kind(entry) != "Transformer"]
    if what == CROSS_ENCODER and behind:
        names = ", ".join(_kind(entry) for entry in behind)
        raise UnsupportedModel(
            f"{folder.name} is a CrossEncoder with the module {names} behind its transformer, which edgepack does not "
            "support",
            hint="it supports those over a sequence classifier, whose modules.json lists a Transformer alone",
        )
    settings = _sentence_settings.read(folder / first, what)
    layers = head(folder, behind) if what == ENCODER else ()
    prompts = _prompts(folder, stated)
    default = stated.get("default_prompt_name")
    _check_prompts(folder, prompts, default, layers)
    return SentenceFolder(
        transformer=first,
        layers=layers,
        prompts=prompts,
        default_prompt=default,
        truncate=_sentence_settings.count(folder / _CONFIG, "truncate_dim", stated.get("truncate_dim")),
        similarity=_similarity(folder, stated.get("similarity_fn_name")),
        max_length=settings.get("max_seq_length"),
        lower=bool(settings.get("do_lower_case", False)),
        tokenizer=_sentence_settings.tokenizer_arguments(settings),
    )


def _prompts(folder: Path, stated: JsonObject) -> dict[str, str]:
    given = stated.get("prompts", {})
    if not isinstance(given, dict) or not all(isinstance(text, str | None) for text in given.values()):
        raise ModelError(
            f"{folder / _CONFIG} sets prompts to {json.dumps(given)}", hint='give texts by name: {"query": "query: "}'
        )
    return {**_PROMPTS, **{name: text or "" for name, text in given.items()}}


def transformer(folder: Path) -> str:
    """Return the subfolder of the transformer: "", or for example "0_Transformer". Raises as ``read`` does."""
    listed = modules(folder)
    if not listed or _kind(listed[0]) != "Transformer":
        kind = _kind(listed[0]) if listed else "nothing"
        raise UnsupportedModel(
            f"{folder.name} begins with the sentence-transformers module {kind}; edgepack supports folders that begin "
            "with a Transformer",
            hint=_BEGINNINGS.get(kind, "choose a model whose modules.json begins with a Transformer"),
        )
    return str(listed[0]["path"])


_BEGINNINGS = {
    "StaticEmbedding": "a table of word vectors needs no runtime: average its rows in your app",
    "WordEmbeddings": "a table of word vectors needs no runtime: average its rows in your app",
    "BoW": "a bag of words needs no runtime: count the words in your app",
    "CLIPModel": "edgepack build FOLDER/0_CLIPModel builds its two encoders, for images with labels and their vectors",
    "Router": "save the route you need as a model of its own: SentenceTransformer(modules=list(model[0].…)).save(…)",
    "Asym": "save the route you need as a model of its own: SentenceTransformer(modules=list(model[0].…)).save(…)",
}


def modules(folder: Path) -> list[JsonDict]:
    """Return the entries of modules.json, each with a ``type`` and a ``path``. Raises ModelError, UnsafeModel."""
    file = folder / "modules.json"
    try:
        listed = read_json(file, ModelError)
        entries = [{**entry, "path": str(entry.get("path") or ""), "type": str(entry["type"])} for entry in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{file} is not a list of sentence-transformers modules",
            hint="copy the file again, or save the model with sentence-transformers",
        ) from error
    for entry in entries:
        if not entry["type"].startswith(_OWN):
            raise UnsafeModel(
                f"{folder.name} has the module {entry['type']}, which is code of its own: edgepack runs none",
                hint="choose a model whose modules.json names modules of sentence-transformers alone",
            )
        if entry["path"]:
            checked_name(entry["path"], file, UnsafeModel)
        if not (folder / entry["path"]).resolve().is_relative_to(folder.resolve()):
            raise UnsafeModel(
                f"{file} names a folder outside of it: {entry['path']!r}",
                hint="copy the modules into the folder, and name them there",
            )
    return entries


def _kind(entry: JsonObject) -> str:
    return str(entry["type"]).rsplit(".", 1)[-1]


def _check_prompts(folder: Path, prompts: Mapping[str, str], default: Json, layers: tuple[Layer, ...]) -> None:
    if default is not None and (not isinstance(default, str) or default not in prompts):
        raise ModelError(
            f"{folder.name} has no prompt named {default!r}, which is its default_prompt_name",
            hint="correct config_sentence_transformers.json",
        )
    if default is not None and prompts[default] and not layers:
        raise UnsupportedModel(
            f"{folder.name} puts its default prompt {prompts[default]!r} in front of each first text, which a bundle "
            "of a CrossEncoder does not",
            hint=f"remove default_prompt_name from {_CONFIG}, and put the prompt in front of the texts in your app",
        )
    leaves_out = any(layer["kind"] == "pooling" and not layer["include_prompt"] for layer in layers)
    if leaves_out and any(prompts.values()):
        raise UnsupportedModel(
            f"{folder.name} leaves its prompts out of the pooling (include_prompt: false), which a bundle cannot do",
            hint="take a model with include_prompt: true, or without prompts",
        )


def _similarity(folder: Path, stated: str | None) -> Similarity:
    if stated is None:
        return "cosine"
    found = next((name for name in _SIMILARITIES if name == stated), None)
    if found is None:
        raise ModelError(
            f"{folder.name}: similarity_fn_name {stated!r} is none of {', '.join(_SIMILARITIES)}",
            hint="correct it in config_sentence_transformers.json",
        )
    return found
