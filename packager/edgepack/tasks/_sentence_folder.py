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

from edgepack.arrays import Rows
from edgepack.containment import checked_name
from edgepack.documents import Json, JsonDict, JsonObject, read_json
from edgepack.errors import ModelError, UnsafeModel, UnsupportedModel
from edgepack.runtime.processing import Similarity
from edgepack.tasks import _sentence_settings, _supported, read_config
from edgepack.tasks._sentence_head import Layer, head, splade
from edgepack.tasks._sentence_settings import CAUSAL, CROSS_ENCODER, ENCODER, SPARSE_ENCODER, PairTemplate

_CONFIG = "config_sentence_transformers.json"
_OWN = "sentence_transformers."
_SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)
RANKING, _PAIRS = "text-ranking", "text-classification"  # of a CrossEncoder with one label, and with several
_TASKS = {ENCODER: "text-embedding", CROSS_ENCODER: _PAIRS, SPARSE_ENCODER: "sparse-embedding"}
_TRANSFORMERS = ("Transformer", "MLMTransformer")  # the second of a SparseEncoder before 5.4
# config.json's notes of a CrossEncoder that was saved without modules.json: of releases from 4.0 on, and before
_NOTED = ("sentence_transformers", "sbert_ce_default_activation_function")
_PROMPTS = {"query": "", "document": ""}  # that every SentenceTransformer has
_SCORE = "LogitScore"


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
    pairs: PairTemplate | None = None  # the chat template that a CrossEncoder puts its pairs into
    words: tuple[int, int | None] | None = None  # of LogitScore: the tokens whose logits' difference is the score


SPLADE = SentenceFolder(layers=({"kind": "splade", "pooling": "max", "activation": "relu"},), similarity="dot")


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
    if what == CROSS_ENCODER and (
        _logit_scores(folder) or _labels(read_config(folder / transformer(folder) / "config.json")) == 1
    ):
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
    said = read(folder) if own else SentenceFolder()
    default = said.prompts.get(said.default_prompt or "", "")
    if asked == _PAIRS and (said.pairs or said.words or default):
        what = "scores words" if said.words else "puts pairs into a chat template" if said.pairs else "has a prompt"
        raise UnsupportedModel(
            f"{folder.name} is a CrossEncoder that {what}, which a classifier of texts does not",
            hint=f"--task {RANKING}, where it has one label"
            + (f"; else remove default_prompt_name from {_CONFIG}" if default else ""),
        )


def read(folder: Path) -> SentenceFolder:
    """Return all of it. Raises ModelError, UnsupportedModel and UnsafeModel, naming the setting."""
    task(folder)
    what, stated, first = kind(folder), read_config(folder / _CONFIG), transformer(folder)
    behind = modules(folder)[1:]
    settings = _sentence_settings.read(folder / first, what)
    words = _words(folder, behind, settings) if what == CROSS_ENCODER else None
    layers = _HEADS[what](folder, behind) if what in _HEADS else ()
    prompts = _prompts(folder, stated, what)
    default = stated.get("default_prompt_name")
    _check_prompts(folder, prompts, default, layers)
    return SentenceFolder(
        transformer=first,
        layers=layers,
        prompts=prompts,
        default_prompt=default,
        truncate=_sentence_settings.count(folder / _CONFIG, "truncate_dim", stated.get("truncate_dim")),
        similarity=_similarity(folder, stated.get("similarity_fn_name"), "dot" if what == SPARSE_ENCODER else "cosine"),
        max_length=settings.get("max_seq_length"),
        lower=bool(settings.get("do_lower_case", False)),
        tokenizer=_sentence_settings.tokenizer_arguments(settings),
        pairs=_sentence_settings.pair_template(settings) if what == CROSS_ENCODER else None,
        words=words,
    )


_HEADS = {ENCODER: head, SPARSE_ENCODER: splade}


def _logit_scores(folder: Path) -> list[JsonDict]:
    return [entry for entry in modules(folder) if _kind(entry) == _SCORE]


def _words(folder: Path, behind: Rows, settings: JsonObject) -> tuple[int, int | None] | None:
    """Return the tokens of a CrossEncoder's LogitScore, None of a classifier. Raises ModelError, UnsupportedModel."""
    names = [_kind(entry) for entry in behind]
    causal = settings.get("transformer_task") == CAUSAL
    if names not in ([], [_SCORE]):
        raise UnsupportedModel(
            f"{folder.name} is a CrossEncoder with the module {', '.join(names)} behind its transformer, which edgepack"
            " does not support",
            hint="it supports those over a sequence classifier, and over a language model with LogitScore",
        )
    if causal != bool(names):
        raise ModelError(
            f"{folder.name} is a CrossEncoder over a {'language model' if causal else 'classifier'} "
            f"{'without' if causal else 'with'} the module {_SCORE}",
            hint="save it again with sentence-transformers: CrossEncoder(FOLDER).save_pretrained(OTHER)",
        )
    if not causal:
        return None
    file = folder / behind[0]["path"] / "config.json"
    stated = read_config(file)
    unread = set(stated) - {"true_token_id", "false_token_id", "module_input_name"}
    if unread or stated.get("module_input_name", "causal_logits") != "causal_logits":
        raise UnsupportedModel(
            f"{file} sets {min(unread, default='module_input_name')}, which edgepack does not read",
            hint=f"it reads true_token_id and false_token_id of a {_SCORE}",
        )
    true, false = stated.get("true_token_id"), stated.get("false_token_id")
    for number in (true, *(() if false is None else (false,))):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ModelError(f"{file} names the token {json.dumps(number)}", hint="give the number of a token")
    assert isinstance(true, int)  # checked above
    return true, false


def _prompts(folder: Path, stated: JsonObject, kind: str) -> dict[str, str]:
    given = stated.get("prompts", {})
    if not isinstance(given, dict) or not all(isinstance(text, str | None) for text in given.values()):
        raise ModelError(
            f"{folder / _CONFIG} sets prompts to {json.dumps(given)}", hint='give texts by name: {"query": "query: "}'
        )
    own = {} if kind == CROSS_ENCODER else _PROMPTS
    return {**own, **{name: text or "" for name, text in given.items()}}


def transformer(folder: Path) -> str:
    """Return the subfolder of the transformer: "", or for example "0_Transformer". Raises as ``read`` does."""
    listed = modules(folder)
    if not listed or _kind(listed[0]) not in _TRANSFORMERS:
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
    leaves_out = any(layer["kind"] == "pooling" and not layer["include_prompt"] for layer in layers)
    if leaves_out and any(prompts.values()):
        raise UnsupportedModel(
            f"{folder.name} leaves its prompts out of the pooling (include_prompt: false), which a bundle cannot do",
            hint="take a model with include_prompt: true, or without prompts",
        )


def _similarity(folder: Path, stated: str | None, usual: Similarity) -> Similarity:
    if stated is None:
        return usual
    found = next((name for name in _SIMILARITIES if name == stated), None)
    if found is None:
        raise ModelError(
            f"{folder.name}: similarity_fn_name {stated!r} is none of {', '.join(_SIMILARITIES)}",
            hint="correct it in config_sentence_transformers.json",
        )
    return found
