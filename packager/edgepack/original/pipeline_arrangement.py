"""Make the folder of text_folder.py for a pipeline of diffusers: its components, and what transformers makes of each
tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgepack.errors import ModelError
from edgepack.original import tokenizers
from edgepack.original.model_files import WEIGHTS, take
from edgepack.tasks import read_config
from edgepack.tasks._pipeline_folder import INDEX

_TAKEN = (".json", ".txt", ".model", ".safetensors", ".md")


def arrange(folder: Path, components: Mapping[str, str], to: Path) -> None:
    """Fill ``to`` with the pipeline of ``folder``, whose components have these classes. Raises ModelError."""
    take(folder / INDEX, to / INDEX)
    for name in components:
        for file in sorted((folder / name).iterdir()):
            if file.is_file() and (file.suffix in _TAKEN or file.suffix in WEIGHTS[:1]):
                take(file, to / name / file.name)
        if (folder / name / "tokenizer_config.json").is_file():
            _state_tokenizer(folder / name, to / name)


def _state_tokenizer(folder: Path, to: Path) -> None:
    tokenizer = tokenizers.opened(folder)
    if tokenizer.pad_token is None:
        raise ModelError(
            f"the tokenizer in {folder} has no padding token, which fills a prompt up",
            hint='name one in its tokenizer_config.json, for example "pad_token": "<|endoftext|>"',
        )
    if tokenizer.model_max_length >= tokenizers.UNBOUNDED:
        raise ModelError(
            f"the tokenizer in {folder} names no longest prompt", hint='write "model_max_length": 77 into its config'
        )
    tokenizers.save(tokenizer, read_config(to / "tokenizer_config.json"), to)
