"""config.json as transformers reads it, without the settings that change how an answer is computed and not the answer.

What transformers refuses is an error that names the key: the first without which it reads the file.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from edgepack.documents import JsonDict, JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.original.library import PretrainedConfig
from edgepack.tasks import read_config

_FILE = "config.json"
# Feed-forward layers in chunks give the same numbers, and fail at lengths that are no multiple; a tuple is the same
# outputs without their names; hidden states and attentions are outputs beside the answer.
_PLAIN = {"chunk_size_feed_forward": 0, "return_dict": True, "output_hidden_states": False, "output_attentions": False}
# CLIPModel gives both of its encoders the width that stands beside their own settings, and none that stands in them
_SHARED = "projection_dim"
_SHOWN = 60  # characters of a value


def opened(folder: Path, kind: PretrainedConfig = None) -> PretrainedConfig:
    """Return the config object of ``folder``, as the class ``kind`` (None: as its model_type says).

    One encoder's, of a folder that holds two, has the width that both share.
    Raises UnsupportedModel for a model_type that transformers does not know, ModelError for a setting that it refuses.
    """
    stated = read_config(folder / _FILE)
    family = stated.get("model_type")
    if kind is None and family not in CONFIG_MAPPING:
        raise UnsupportedModel(
            f"{folder.name}: model_type {family!r} is not one that transformers {transformers.__version__} knows",
            hint="see docs/supported.md",
        )
    kind = kind or CONFIG_MAPPING[family]
    try:
        config = kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # validation by transformers, huggingface_hub and the class itself
        raise refused(folder, error, lambda table: kind.from_dict(dict(table))) from error
    if getattr(kind, "base_config_key", "") in stated and _SHARED in stated:
        setattr(config, _SHARED, stated[_SHARED])
    for part in (config, config.get_text_config()):
        for key, value in _PLAIN.items():
            setattr(part, key, value)
    config._attn_implementation = None  # of one attention: transformers takes the best that it has here
    return config


def refused(folder: Path, error: Exception, attempt: Callable[[JsonObject], object]) -> ModelError:
    """Return the error for a config.json that ``attempt(content)`` fails over with ``error``: it names the key."""
    stated = read_config(folder / _FILE)
    tried = () if _passes(attempt, stated) else [key for key in stated if key != "model_type"]
    key = next((key for key in tried if _passes(attempt, _without(stated, key))), None)
    what = f"{key} is {json.dumps(stated[key])[:_SHOWN]}, which" if key else "a model that"
    return ModelError(
        f"{folder.name}/{_FILE}: {what} transformers {transformers.__version__} refuses: {line(error)}",
        hint="correct it in a copy of the folder, so that AutoConfig.from_pretrained(FOLDER) and the model open",
    )


def line(error: Exception) -> str:
    """Return what an exception says, as one line: the last one where the first only announces it, by a colon."""
    if isinstance(error, KeyError):
        return f"it knows no {error}"
    if isinstance(error, TypeError) and "unsupported operand" in str(error):
        return "a value in it is not of the type that is computed with, such as null for a number"
    lines = [text.strip() for text in str(error).splitlines() if text.strip()] or [type(error).__name__]
    return lines[-1] if lines[0].startswith("Validation error") or lines[0].endswith(":") else lines[0]


def _passes(attempt: Callable[[JsonObject], object], stated: JsonObject) -> bool:
    try:
        attempt(copy.deepcopy(stated))  # which transformers changes
    except Exception:  # as above
        return False
    return True


def _without(stated: JsonObject, key: str) -> JsonDict:
    return {name: value for name, value in stated.items() if name != key}
