"""Core ML packages of small random models of every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.decoders.conftest import config_of, make

from edgepack.coreml import Package
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.coreml.builder import EXPORTER, Described
from edgepack.formats.coreml.builder.program import About
from edgepack.original.decoder import Reference
from edgepack.records import Artifact, Recipe

CONTEXT = 32  # phi3:long was trained on 32 tokens; beyond it takes other factors
FP16 = Recipe(name="fp16", scheme="fp16", weight_bits=16, embedding_bits=16)
Build = Callable[..., Artifact]


def described(folder: Path, context: int = CONTEXT) -> Described:
    """The model at ``folder``."""
    reference = Reference(Checkpoint(folder, describe(config_of(folder))))
    about = About(title="a model", author="someone", licence="mit", version="1", told={EXPORTER: "someone/model"})
    return Described(reference=reference, about=about, context=context, opset=18)


def halved(name: str, folder: Path) -> tuple[Path, Any]:
    """A family whose weights are float16 but for its norms, as they are stored: then only the program can differ."""
    folder, model = make(name, folder)
    with torch.no_grad():
        for path, weight in model.named_parameters():
            if "norm" not in path and "ln_" not in path:
                weight.copy_(weight.half().float())
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """The folder and the transformers model of a family."""
    made: dict[str, tuple[Path, Any]] = {}

    def get(name: str) -> tuple[Path, Any]:
        if name not in made:
            made[name] = halved(name, tmp_path_factory.mktemp("family") / name.replace(":", "-"))
        return made[name]

    return get


@pytest.fixture(scope="session")
def packages(
    family: Callable[[str], tuple[Path, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Package]:
    """The fp16 package of a family, opened."""
    made: dict[str, Package] = {}

    def get(name: str) -> Package:
        if name not in made:
            out = tmp_path_factory.mktemp("packed") / "model.mlpackage"
            described(family(name)[0]).compress(out, FP16, [])
            made[name] = Package(out)
        return made[name]

    return get


def causal(new: int, total: int) -> np.ndarray:
    """A proper mask, float16 [1, 1, new, total]."""
    places = np.arange(total - new, total)[:, None]
    return np.where(np.arange(total) > places, np.float16(-3e4), np.float16(0))[None, None]


def zeros(new: int, total: int) -> np.ndarray:
    """What swift-transformers 1.3 feeds (LanguageModel.swift): never causal, a slot too long."""
    return np.zeros((1, 1, 1, total + 1), np.float16)
