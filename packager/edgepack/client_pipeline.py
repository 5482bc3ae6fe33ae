"""The files of a pipeline's bundle that diffusers, optimum and Apple's package read beside its submodels."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from edgepack import modelfolder
from edgepack.tasks import _pipeline_folder, _schedule
from edgepack.tasks._pipeline_folder import INDEX

_KEPT = (
    "scheduler_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt", "added_tokens.json", "preprocessor_config.json",
)  # fmt: skip
_VAE = {"vae": ("vae_decoder", "vae_encoder")}  # two submodels of one component


def write(origin: Path, folder: Path, submodels: Collection[str], model: Path | None = None) -> None:
    """Write those of the pipeline in ``origin`` into a bundle's ``folder``, each submodel's config.json beside it.

    ``model`` is the pipeline's own folder, where ``origin`` was arranged from it. Raises UnsafeModel for a link out of
    it.
    """
    modelfolder.copy(origin, INDEX, folder / INDEX, model)
    for name in _pipeline_folder.components(origin):
        for kept in _KEPT:
            if (origin / name / kept).is_file():
                modelfolder.copy(origin, f"{name}/{kept}", folder / name / kept, model)
                if kept == _schedule.FILE:
                    own = folder / name / kept
                    own.write_text(_schedule.plain(own.read_text("utf-8")), "utf-8")
        for submodel in _VAE.get(name, (name,)):
            if submodel in submodels:
                modelfolder.copy(origin, f"{name}/config.json", folder / submodel / "config.json", model)
