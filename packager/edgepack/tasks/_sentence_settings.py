"""Settings that sentence-transformers hands to its transformer: ``sentence_bert_config.json`` and its older names.

A setting that changes the answers is read, or refused with its name.
"""

from __future__ import annotations

import json
from pathlib import Path

from edgepack.documents import Json, JsonDict, JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.tasks import read_config

ENCODER, CROSS_ENCODER = "SentenceTransformer", "CrossEncoder"
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
# by the kind of folder: the task, the output and its name
_READ = {
    ENCODER: ("feature-extraction", "last_hidden_state", "token_embeddings"),
    CROSS_ENCODER: ("sequence-classification", "logits", "scores"),
}


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
    for key, value in found.items():
        if not _understood(key, value, kind):
            raise UnsupportedModel(f"{file.name} sets {key} to {json.dumps(value)}, {_why(key, value)}", hint=_HINT)
    _check_values(file, found)
    return found


def tokenizer_arguments(settings: JsonObject) -> JsonDict:
    """Return the arguments that a tokenizer is opened with."""
    stated = {key: value for name in _ARGUMENTS for key, value in (settings.get(name) or {}).items()}
    return {key: value for key, value in stated.items() if key not in _HUB and key != "use_fast"}


def count(file: Path, key: str, value: Json) -> int | None:
    """Return ``value`` of ``key``, a whole number from 1, or None. Raises ModelError for anything else."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ModelError(f"{file} sets {key} to {json.dumps(value)}", hint="give a whole number from 1")
    return value


_HINT = "edgepack supports text that goes through a tokenizer and the model's forward(), without a chat template"


def _why(key: str, value: Json) -> str:
    if key == "modality_config" and isinstance(value, dict) and "message" in value:
        return "which puts texts into a chat template: a bundle does not"
    return "which edgepack does not read"


def _understood(key: str, value: Json, kind: str) -> bool:
    task, output, name = _READ[kind]
    arguments = set(value) - _HUB if isinstance(value, dict) else set()
    if key in {"model_args", "model_kwargs"}:
        return arguments <= _HARMLESS
    if key in {"config_args", "config_kwargs", "processing_kwargs"}:
        return not arguments
    if key == "modality_config":
        return bool(value == {"text": {"method": "forward", "method_output_name": output}})
    if key in {"transformer_task", "module_output_name"}:
        return value in (task if key == "transformer_task" else name, None)
    return value is None or key in _KNOWN


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
