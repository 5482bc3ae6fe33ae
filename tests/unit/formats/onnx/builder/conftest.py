"""Small language models written as graphs, without a build around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from tests.unit.decoders.conftest import config_of, make

from edgepack import targets
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.onnx.builder import Described
from edgepack.original.decoder import Reference
from edgepack.records import Artifact, Recipe
from edgepack.runtime.engines import open_session
from edgepack.runtime.engines.onnx import Session

CONTEXT = 48


@dataclass(frozen=True)
class Written:
    """A graph with what it was made of."""

    artifact: Artifact
    reference: Reference

    @property
    def graph(self) -> onnx.GraphProto:
        return onnx.load(self.artifact.path, load_external_data=False).graph

    @property
    def data(self) -> Path:
        return self.artifact.path.with_name(f"{self.artifact.path.name}_data")

    def session(self) -> Session:
        return open_session(self.artifact.path, "onnx", 1)

    def feeds(self, ids: np.ndarray, **more: np.ndarray) -> dict[str, np.ndarray]:
        """Whole sequences, nothing cached."""
        states = self.reference.decoder.states().items()
        past = {name: np.zeros((len(ids), *shape), np.float32) for name, shape in states}
        facts = {"attention_mask": np.ones_like(ids), "position_ids": np.tile(np.arange(ids.shape[1]), (len(ids), 1))}
        return {"input_ids": ids, **facts, **past, **more}

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Of every token."""
        return self.session()(self.feeds(ids, logits_from=np.array([0])), ["logits"])["logits"]


Write = Callable[..., Written]


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's small random model."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = make(name, tmp_path_factory.mktemp(name.replace(":", "-")))[0]
        return made[name]

    return get


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(folder, recipe, calibration=…)``: the graph of the model in a folder of its own."""

    def run(
        folder: Path,
        recipe: Recipe,
        calibration: Sequence[np.ndarray] = (),
        layout: str = "flat",
        denied: tuple[str, ...] = (),
    ) -> Written:
        reference = Reference(Checkpoint(folder, describe(config_of(folder))))
        described = Described(
            reference=reference, model=folder, layout=layout, context=CONTEXT, opset=17, ir_version=9, denied=denied
        )
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}-{recipe.name}"
        out.mkdir()
        return Written(
            described.compress(out / "model.onnx", recipe, [{"input_ids": x} for x in calibration]), reference
        )

    return run


def recipe(name: str) -> Recipe:
    """A built-in recipe, with its numbers for language models."""
    return targets.recipe(targets.load("rpi"), name, "text-generation")


def random_model(config: transformers.PretrainedConfig, folder: Path) -> Path:
    """A causal model of ``config``, as loud as those of the families."""
    model = transformers.AutoModelForCausalLM.from_config(config)
    torch.manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.25).add_(0.5 if weight.ndim == 1 else 0)
    model.save_pretrained(folder)
    return folder


def llama(folder: Path, **numbers: Any) -> Path:
    """A random LLaMA of these sizes."""
    facts = {"vocab_size": 160, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    return random_model(transformers.LlamaConfig(**facts | numbers), folder)


def ids_of(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, 160, shape)
