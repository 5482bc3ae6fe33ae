"""Make the folder of text_folder.py for a pipeline of diffusers: its components, and what transformers makes of each
tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edgepack.documents import JsonDict
from edgepack.errors import ModelError
from edgepack.original import tokenizers
from edgepack.original.model_files import WEIGHTS, take
from edgepack.tasks import read_config
from edgepack.tasks._pipeline_folder import INDEX

_TAKEN = (".json", ".txt", ".model", ".safetensors", ".md")


def arrange(folder: Path, components: Mapping[str, str], to: Path) -> None:
    """Fill ``to`` with the pipeline of ``folder``, whose components have these classes. Raises ModelError."""
    take(folder, folder / INDEX, to / INDEX)
    for name in components:
        for file in sorted((folder / name).iterdir()):
            if file.is_file() and (file.suffix in _TAKEN or file.suffix in WEIGHTS[:1]):
                take(folder, file, to / name / file.name)
        if (folder / name / "tokenizer_config.json").is_file():
            _state_tokenizer(folder / name, to / name)


def _state_tokenizer(folder: Path, to: Path) -> None:
    tokenizer = tokenizers.opened(folder)
    if tokenizer.pad_token is None:
        raise ModelError(
            f"the tokenizer in {folder} has no padding token, with which prompts are padded",
            hint='name one in its tokenizer_config.json, for example "pad_token": "<|endoftext|>"',
        )
    if tokenizer.model_max_length >= tokenizers.UNBOUNDED:
        raise ModelError(
            f"the tokenizer in {folder} states no maximum prompt length",
            hint='write "model_max_length": 77 into its config',
        )
    tokenizers.save(tokenizer, read_config(to / "tokenizer_config.json"), to)
    _write_vocabulary(tokenizers.backend(tokenizer), to)


def _write_vocabulary(content: JsonDict, to: Path) -> None:
    """Write vocab.json and merges.txt, which transformers 4 and Apple's package read, where a folder has none."""
    model = content["model"]
    if model.get("type") != "BPE" or ((to / "vocab.json").is_file() and (to / "merges.txt").is_file()):
        return
    (to / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), "utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (to / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", "utf-8")
