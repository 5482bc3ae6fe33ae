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
from typing import Any

from edgepack.errors import ModelError, UnsafeModel, UnsupportedModel
from edgepack.runtime.containment import checked_name
from edgepack.runtime.documents import read_json
from edgepack.tasks import table
from edgepack.tasks._sentence_head import Layer, head

# where sentence-transformers looks for the settings of its transformer, in this order
_SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_OWN = "sentence_transformers."
_SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
# how the weights are loaded and computed, which does not change what is computed
_HARMLESS = {"torch_dtype", "dtype", "attn_implementation", "device_map", "low_cpu_mem_usage", "use_safetensors"}
_HUB = {"cache_dir", "revision", "token", "local_files_only", "trust_remote_code", "subfolder"}
_KNOWN = {"max_seq_length", "do_lower_case", "unpad_inputs", "transformer_task", "module_output_name"}
_TEXT_ONLY = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}


@dataclass(frozen=True, kw_only=True)
class SentenceFolder:
    """What a sentence-transformers folder says beyond its transformer's own files."""

    transformer: str = ""  # the subfolder with config.json, weights and tokenizer; "" for the folder itself
    layers: tuple[Layer, ...] = ()  # what makes a vector of the token vectors, in order
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None  # the name of the one that is put in front of every text
    truncate: int | None = None  # how many numbers of the vector are kept
    similarity: str = "cosine"
    max_length: int | None = None  # tokens
    lower: bool = False
    tokenizer: Mapping[str, Any] = field(default_factory=dict)  # arguments for opening the tokenizer


def is_one(folder: Path) -> bool:
    """Whether sentence-transformers saved it, to make vectors."""
    stated = table(folder / "config_sentence_transformers.json").get("model_type", "SentenceTransformer")
    return (folder / "modules.json").is_file() and stated != "CrossEncoder"


def read(folder: Path) -> SentenceFolder:
    """All of it. Raises ModelError, UnsupportedModel and UnsafeModel, naming the setting."""
    stated = table(folder / "config_sentence_transformers.json")
    kind = stated.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise UnsupportedModel(
            f"{folder.name} is a {kind} of sentence-transformers, which gives no dense vectors",
            hint="choose a model that gives one dense vector per text",
        )
    entries = modules(folder)
    first = transformer(folder)
    layers = head(folder, [entry for entry in entries if entry["path"] != first or _kind(entry) != "Transformer"])
    prompts = {"query": "", "document": "", **{name: text or "" for name, text in stated.get("prompts", {}).items()}}
    default = stated.get("default_prompt_name")
    _check_prompts(folder, prompts, default, layers)
    settings = _settings(folder / first)
    return SentenceFolder(
        transformer=first,
        layers=layers,
        prompts=prompts,
        default_prompt=default,
        truncate=stated.get("truncate_dim"),
        similarity=_similarity(folder, stated.get("similarity_fn_name")),
        max_length=settings.get("max_seq_length"),
        lower=bool(settings.get("do_lower_case", False)),
        tokenizer=_tokenizer_arguments(settings),
    )


def transformer(folder: Path) -> str:
    """The subfolder of the transformer: "", or for example "0_Transformer". Raises as ``read`` does."""
    listed = modules(folder)
    if not listed or _kind(listed[0]) != "Transformer":
        kind = _kind(listed[0]) if listed else "nothing"
        raise UnsupportedModel(
            f"{folder.name} begins with the sentence-transformers module {kind}; edgepack packs those that begin with "
            "a Transformer",
            hint=_BEGINNINGS.get(kind, "choose a model whose modules.json begins with a Transformer"),
        )
    return str(listed[0]["path"])


_BEGINNINGS = {
    "StaticEmbedding": "a table of word vectors needs no runtime: average its rows in your app",
    "WordEmbeddings": "a table of word vectors needs no runtime: average its rows in your app",
    "BoW": "a bag of words needs no runtime: count the words in your app",
    "CLIPModel": "pack its vision model alone: edgepack build FOLDER/0_CLIPModel --task image-embedding",
    "Router": "save the route you need as a model of its own: SentenceTransformer(modules=list(model[0].…)).save(…)",
    "Asym": "save the route you need as a model of its own: SentenceTransformer(modules=list(model[0].…)).save(…)",
}


def modules(folder: Path) -> list[dict[str, Any]]:
    """The entries of modules.json, each with a ``type`` and a ``path``. Raises ModelError, UnsafeModel."""
    file = folder / "modules.json"
    try:
        listed = read_json(file, ModelError)
        entries = [{**entry, "path": str(entry.get("path") or ""), "type": str(entry["type"])} for entry in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{file} is no list of sentence-transformers modules",
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


def _kind(entry: Mapping[str, Any]) -> str:
    return str(entry["type"]).rsplit(".", 1)[-1]


def _check_prompts(folder: Path, prompts: Mapping[str, str], default: str | None, layers: tuple[Layer, ...]) -> None:
    if default is not None and default not in prompts:
        raise ModelError(
            f"{folder.name} has no prompt named {default!r}, which is its default_prompt_name",
            hint="correct config_sentence_transformers.json",
        )
    leaves_out = any(layer["kind"] == "pooling" and not layer["include_prompt"] for layer in layers)
    if leaves_out and any(prompts.values()):
        raise UnsupportedModel(
            f"{folder.name} leaves its prompts out of the pooling (include_prompt: false), which a bundle cannot do",
            hint="a model with include_prompt: true, or without prompts, can be packed",
        )


def _similarity(folder: Path, stated: str | None) -> str:
    if stated is not None and stated not in _SIMILARITIES:
        raise ModelError(
            f"{folder.name}: similarity_fn_name {stated!r} is none of {', '.join(_SIMILARITIES)}",
            hint="correct it in config_sentence_transformers.json",
        )
    return stated or "cosine"


def _settings(folder: Path) -> dict[str, Any]:
    """sentence_bert_config.json. Raises UnsupportedModel for what would change the vectors and is not read."""
    found = next((content for name in _SETTINGS if (content := table(folder / name))), {})
    for key, value in found.items():
        if not _understood(key, value):
            raise UnsupportedModel(
                f"sentence_bert_config.json sets {key} to {json.dumps(value)}, which edgepack does not read",
                hint="only text that goes through the model's forward() and its tokenizer can be packed",
            )
    return found


def _understood(key: str, value: Any) -> bool:
    arguments = set(value) - _HUB if isinstance(value, dict) else set()
    if key in {"model_args", "model_kwargs"}:
        return arguments <= _HARMLESS
    if key in {"config_args", "config_kwargs", "processing_kwargs"}:
        return not arguments
    if key == "modality_config":
        return bool(value == _TEXT_ONLY)
    if key in {"transformer_task", "module_output_name"}:
        return value in {"feature-extraction", "token_embeddings", None}
    return value is None or key in _KNOWN or key in {"tokenizer_args", "processor_kwargs"}


def _tokenizer_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    stated = {**settings.get("tokenizer_args", {}), **settings.get("processor_kwargs", {})}
    return {key: value for key, value in stated.items() if key not in _HUB and key != "use_fast"}
