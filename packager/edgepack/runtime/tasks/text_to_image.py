"""Prompts to images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgepack.arrays import Run
from edgepack.runtime.processing import Processing

SUBMODELS = ("text_encoder", "unet", "vae_decoder", "vae_encoder")


class Model:
    """A diffusion pipeline around its submodels, which take what the loop makes: none prepares inputs of its own."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        self.runs = runs
        self.submodels = dict.fromkeys(SUBMODELS)
