"""Settings that sentence-transformers hands to its transformer: ``sentence_bert_config.json`` and its older names.

A setting that changes the answers is read, or refused with its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from edgepack.documents import Json, JsonDict, JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.tasks import read_config

ENCODER, CROSS_ENCODER, SPARSE_ENCODER = "SentenceTransformer", "CrossEncoder", "SparseEncoder"
# where sentence-transformers looks, in this order
_FILES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# how the weights are loaded and computed, which does not change what is computed
_HARMLESS = {"torch_dtype", "dtype", "attn_implementation", "device_map", "low_cpu_mem_usage", "use_safetensors"}
_HUB = {"cache_dir", "revision", "token", "local_files_only", "trust_remote_code", "subfolder"}
_ARGUMENTS = ("tokenizer_args", "processor_kwargs")  # for opening the tokenizer, the later over the earlier
_KNOWN = {"max_seq_length", "do_lower_case", "unpad_inputs", *_ARGUMENTS}
CLASSIFIER, CAUSAL = "sequence-classification", "text-generation"  # what a CrossEncoder's transformer is
# by the kind of folder and the task of its transformer, the usual one first: the output and its name
_READ = {
    ENCODER: {"feature-extraction": ("last_hidden_state", "token_embeddings")},
    CROSS_ENCODER: {CLASSIFIER: ("logits", "scores"), CAUSAL: ("logits", "causal_logits")},
    SPARSE_ENCODER: {"fill-mask": ("logits", "token_embeddings")},
}
_FORMATS = ("flat", "structured")  # of a message in a chat template
_RENDERING = {"add_generation_prompt", "continue_final_message", "enable_thinking", "chat_template", "documents"}


@dataclass(frozen=True, kw_only=True)
class PairTemplate:
    """The chat template that pairs go through: how messages are written ("": not said), and its arguments."""

    form: str = ""
    arguments: JsonObject = field(default_factory=dict)


def read(folder: Path, kind: str) -> JsonDict:
    """Return the settings in ``folder``, of a ``kind`` of sentence-transformers.

    Raises ModelError for values that are none, UnsupportedModel for what would change the answers and is not read.
    """
    file, found = next(
        ((folder / name, content) for name in _FILES if (content := read_config(folder / name))), (folder, {})
    )
    if kind == CROSS_ENCODER and found.get("transformer_task") is None:
        raise ModelError(
            f"{file} names no transformer_task, without which CrossEncoder does not run",
            hint='write "transformer_task": "sequence-classification" into sentence_bert_config.json',
        )
    task = found.get("transformer_task") or next(iter(_READ[kind]))
    for key, value in found.items():
        if not _understood(key, value, kind, task):
            raise UnsupportedModel(f"{file.name} sets {key} to {json.dumps(value)}, {_why(key, value)}", hint=_HINT)
    _check_values(file, found)
    return found


def tokenizer_arguments(settings: JsonObject) -> JsonDict:
    """Return the arguments that a tokenizer is opened with."""
    stated = {key: value for name in _ARGUMENTS for key, value in (settings.get(name) or {}).items()}
    return {key: value for key, value in stated.items() if key not in _HUB and key != "use_fast"}


def pair_template(settings: JsonObject) -> PairTemplate | None:
    """Return the chat template that a CrossEncoder puts its pairs into; None where it takes them as they are."""
    message = (settings.get("modality_config") or {}).get("message")
    if message is None:
        return None
    stated = (settings.get("processing_kwargs") or {}).get("chat_template") or {}
    form = str(message.get("format", ""))
    return PairTemplate(form=form if form in _FORMATS else "", arguments=stated)


def count(file: Path, key: str, value: Json) -> int | None:
    """Return ``value`` of ``key``, a whole number from 1, or None. Raises ModelError for anything else."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ModelError(f"{file} sets {key} to {json.dumps(value)}", hint="give a whole number from 1")
    return value


_HINT = (
    "edgepack supports text that goes through a tokenizer and the model's forward(); of chat templates, those that a "
    "CrossEncoder puts pairs into"
)


def _why(key: str, value: Json) -> str:
    if key == "modality_config" and isinstance(value, dict) and "message" in value:
        return "which puts texts into a chat template: a bundle does not"
    return "which edgepack does not read"


def _understood(key: str, value: Json, kind: str, task: str) -> bool:
    output, name = _READ[kind].get(task, ("", ""))
    arguments = set(value) - _HUB if isinstance(value, dict) else set()
    if key in {"model_args", "model_kwargs"}:
        return arguments <= _HARMLESS
    if key == "processing_kwargs" and kind == CROSS_ENCODER:
        rendering = value.get("chat_template") or {} if isinstance(value, dict) else {}
        return arguments <= {"chat_template"} and isinstance(rendering, dict) and set(rendering) <= _RENDERING
    if key in {"config_args", "config_kwargs", "processing_kwargs"}:
        return not arguments
    if key == "modality_config":
        return _understood_modalities(value, output, kind)
    if key == "transformer_task":
        return value is None or value in _READ[kind]
    if key == "module_output_name":
        return value in (name, None)
    return value is None or key in _KNOWN


def _understood_modalities(value: Json, output: str, kind: str) -> bool:
    """Return whether texts go through forward(), those of a CrossEncoder in a chat template or not."""
    plain = {"method": "forward", "method_output_name": output}
    if not isinstance(value, dict) or value.get("text") != plain:
        return value is None
    message = value.get("message")
    template = {key: entry for key, entry in message.items() if key != "format"} if isinstance(message, dict) else None
    return set(value) == {"text"} or (kind == CROSS_ENCODER and set(value) == {"text", "message"} and template == plain)


def _check_values(file: Path, settings: JsonObject) -> None:
    count(file, "max_seq_length", settings.get("max_seq_length"))
    if not isinstance(settings.get("do_lower_case"), bool | None):
        raise ModelError(f"{file} sets do_lower_case to {json.dumps(settings['do_lower_case'])}", hint="true or false")
    for name in _ARGUMENTS:
        given = settings.get(name)
        if not isinstance(given, dict | None):
            raise ModelError(
                f"{file} sets {name} to {json.dumps(given)}", hint=f'for example "{name}": {{"model_max_length": 256}}'
            )
        count(file, f"{name}.model_max_length", (given or {}).get("model_max_length"))
