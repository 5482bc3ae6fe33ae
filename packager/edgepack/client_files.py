"""The files of a bundle that other clients read: the tokenizer and the configs, saying what the bundle does.

transformers.js, optimum and transformers take the longest text from tokenizer_config.json, sentence-transformers from
sentence_bert_config.json too, fastembed from both that and special_tokens_map.json, and the tokenizers library (with it
Rust, Swift and Kotlin) from tokenizer.json's own sections. All of them get the length that the model was packed for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from edgepack import client_images, modelfolder
from edgepack.containment import checked_name
from edgepack.documents import JsonDict, JsonObject, read_json, read_object
from edgepack.errors import ModelError, UnsafeModel
from edgepack.runtime.processing import Image, Processing, Text
from edgepack.runtime.text import tokenizer

_KEPT = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json",
    "merges.txt", "preprocessor_config.json", "processor_config.json", "modules.json",
    "config_sentence_transformers.json", "generation_config.json", "chat_template.jinja",
    "tokenizer.model", "added_tokens.json",
)  # fmt: skip
_SENTENCE_SETTINGS = "sentence_*_config.json"
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def write(origin: Path, folder: Path, processing: Processing, model: Path | None = None) -> None:
    """Write those of the model in ``origin`` into a bundle's ``folder``, for ``processing``.

    ``model`` is the model's own folder, where ``origin`` was arranged from it. Raises UnsafeModel for a link out of it.
    """
    for file in _files(origin):
        name = file.relative_to(origin).as_posix()
        modelfolder.copy(origin, name, folder / name, model)
    if processing.max_length is not None:
        _limit(folder, processing.max_length)
        _rename_for_transformers_4(folder / "tokenizer_config.json")
        _write_sections(folder / "tokenizer.json", processing.text)
    if processing.image:
        _write_image_processor(folder, processing.image)
        _state_channels(folder / "config.json", processing.image.channels)
    if processing.text:
        _write_special_tokens(folder)
    elif processing.generation:
        _state_added_tokens(folder)


def _write_image_processor(folder: Path, image: Image) -> None:
    """Write preprocessor_config.json in full: transformers.js knows few classes and none of their defaults.

    Where plain settings cannot say it, the model's own file stays.
    """
    plain = client_images.preprocessor_config(image)
    if plain is not None:
        (folder / "processor_config.json").unlink(missing_ok=True)  # nested settings would go before
        _write(folder / "preprocessor_config.json", plain)


def _state_channels(config: Path, channels: int) -> None:
    """State the channels that the graph takes, where the model's own are stated: it may make grey of colours."""
    stated = _read(config)
    for table in (stated, stated.get("vision_config")):
        if isinstance(table, dict) and "num_channels" in table and table["num_channels"] != channels:
            table["num_channels"] = channels
            _write(config, stated)


def _files(origin: Path) -> Iterator[Path]:
    """Yield what is kept of the model's root, and the modules of sentence-transformers behind the transformer."""
    places = [origin / name for name in _KEPT]
    places += sorted(origin.glob(_SENTENCE_SETTINGS))
    listed = read_json(origin / "modules.json", ModelError) if (origin / "modules.json").is_file() else []
    for entry in listed:
        if entry.get("path"):
            checked_name(entry["path"], origin / "modules.json", UnsafeModel)
            places += [origin / entry["path"] / name for name in ("config.json", "model.safetensors")]
    yield from (file for file in places if file.is_file())


def _limit(folder: Path, longest: int) -> None:
    """Set the longest text, wherever it is stated."""
    config = folder / "tokenizer_config.json"
    stated = _read(config)
    # what tokenizers remember of the call that they were saved after
    forgotten = {"max_length", "stride", "truncation_strategy", "pad_to_multiple_of"}
    kept = {key: value for key, value in stated.items() if key not in forgotten}
    _write(config, {**kept, "model_max_length": longest})
    for settings in folder.glob(_SENTENCE_SETTINGS):
        stated = _read(settings)
        arguments = {
            name: {**stated[name], "model_max_length": longest}
            for name in ("tokenizer_args", "processor_kwargs")
            if "model_max_length" in stated.get(name, {})
        }
        _write(settings, {**stated, "max_seq_length": longest, **arguments})


def _rename_for_transformers_4(config: Path) -> None:
    """Rename what transformers 5 renamed back: it takes both names, transformers 4 (optimum) only the old one."""
    stated = _read(config)
    if stated.get("tokenizer_class") == "TokenizersBackend":
        stated["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(stated.get("extra_special_tokens"), list):  # a dictionary means names, in both
        stated["additional_special_tokens"] = stated.pop("extra_special_tokens")
    _write(config, stated)


def _write_sections(file: Path, text: Text | None) -> None:
    """Write tokenizer.json's own truncation and padding: those of ``text``, none for language models."""
    content = _read(file)
    sections = {"truncation": text and _truncation(text), "padding": text and _padding(text)}
    if any(content.get(name) != section for name, section in sections.items()):
        file.write_text(json.dumps({**content, **sections}, ensure_ascii=False), "utf-8")  # large: on one line


def _truncation(text: Text) -> JsonDict:
    return {
        "direction": text.truncation_side.capitalize(),
        "max_length": text.max_length,
        "strategy": "LongestFirst",
        "stride": 0,
    }


def _padding(text: Text) -> JsonDict:
    return {
        "strategy": {"Fixed": text.fixed_length} if text.fixed_length else "BatchLongest",
        "direction": text.padding_side.capitalize(),
        "pad_to_multiple_of": None,
        "pad_id": text.pad_id,
        "pad_type_id": text.pad_type_id,
        "pad_token": text.pad_token,
    }


def _write_special_tokens(folder: Path) -> None:
    """Write special_tokens_map.json, which transformers 5 no longer saves."""
    if (folder / "special_tokens_map.json").is_file():
        return
    stated = _read(folder / "tokenizer_config.json")
    tokens = {name: stated[name] for name in _SPECIAL if stated.get(name) is not None}
    _write(folder / "special_tokens_map.json", tokens)


def _state_added_tokens(folder: Path) -> None:
    """State what tokenizer.json puts around a text in the config, which transformers.js and transformers 4 go by."""
    marks = tokenizer(folder).encode("a").special_tokens_mask
    stated = _read(folder / "tokenizer_config.json")
    added = {"add_bos_token": bool(marks and marks[0]), "add_eos_token": bool(marks and marks[-1])}
    _write(folder / "tokenizer_config.json", {**stated, **added})


def _read(file: Path) -> JsonDict:
    return read_object(file, ModelError) if file.is_file() else {}


def _write(file: Path, content: JsonObject) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
