"""The files of a pipeline's bundle that diffusers, optimum and Apple's package read beside its submodels."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from edgepack.tasks import _pipeline_folder
from edgepack.tasks._pipeline_folder import INDEX

_KEPT = (
    "scheduler_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt", "added_tokens.json", "preprocessor_config.json",
)  # fmt: skip
_VAE = {"vae": ("vae_decoder", "vae_encoder")}  # two submodels of one component


def write(origin: Path, folder: Path, submodels: Collection[str]) -> None:
    """Write those of the pipeline in ``origin`` into a bundle's ``folder``, each submodel's config.json beside it."""
    shutil.copyfile(origin / INDEX, folder / INDEX)
    for name in _pipeline_folder.components(origin):
        for file in (origin / name / kept for kept in _KEPT):
            if file.is_file():
                _copy(file, folder / name / file.name)
        for submodel in _VAE.get(name, (name,)):
            if submodel in submodels:
                _copy(origin / name / "config.json", folder / submodel / "config.json")


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)
