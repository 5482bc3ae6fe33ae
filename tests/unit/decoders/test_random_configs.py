"""Random configs of every family: what is read is what transformers computes, or the oracle tells, or it is refused.

EDGEPACK_EXAMPLES says how many configs a family gets (CI: a few, within 20 seconds in all).
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings

from edgepack import targets
from edgepack.decoders import model_types, read
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.formats.onnx.builder import Described
from edgepack.original.decoder import Reference
from edgepack.original.oracle import check, compare, models
from edgepack.runtime.engines import open_session

from .configs import CONFIGS, Config
from .conftest import FAMILIES

_EXAMPLES = os.environ.get("EDGEPACK_EXAMPLES")
_FIRST = {name.partition(":")[0] for name in FAMILIES}  # what the others have is tried with these, too
_CLOSE = 1e-4  # float32 sums in another order, relative to the largest logit
_LENGTH = 40
FLOAT = targets.recipe(targets.load("rpi"), "fp32", "text-generation")


def test_every_family_is_tried() -> None:
    assert set(CONFIGS) == set(model_types())


@pytest.mark.parametrize("family", CONFIGS)
def test_random_configs(family: str) -> None:
    @settings(
        max_examples=int(_EXAMPLES or (6 if family in _FIRST else 1)), deadline=None, derandomize=_EXAMPLES is None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(CONFIGS[family])
    def holds(config: Config) -> None:
        note(json.dumps(config))
        one_config(config)

    holds()


def one_config(config: Config) -> None:
    """Refused by edgepack or by transformers; else the oracle passes it, and the whole model is transformers' own."""
    try:
        reading = read(config)
    except ModelError:
        return
    try:
        difference = check.reading(config)
    except UnsupportedModel:  # transformers itself cannot make it
        return
    assert difference < _CLOSE
    model = models.random(config)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        models.save(model, folder)
        stated = json.loads((folder / "config.json").read_text())
        for decoder in (reading.decoder, read(stated).decoder):  # as it was written, and as transformers 5 saves it
            assert compare.logits(decoder, model, folder) < _CLOSE
        if not reading.unread:
            assert not read(stated).unread
        same_graph(Reference(Checkpoint(folder, reading.decoder)), folder)


def same_graph(reference: Reference, folder: Path) -> None:
    """The ONNX graph gives the logits of the description, unless its operators cannot."""
    d = reference.decoder
    context = min(d.context, _LENGTH)
    described = Described(reference=reference, model=folder, layout="onnx", context=context, opset=17, ir_version=9)
    try:
        graph = described.compress(folder / "model.onnx", FLOAT, ())
    except UnsupportedModel:
        return
    ids = np.random.default_rng(1).integers(2, d.vocabulary, (1, context))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "logits_from": np.array([0])}
    feeds |= {name: np.zeros((1, *shape), np.float32) for name, shape in d.states().items()}
    if any(spec.name == "position_ids" for spec in graph.inputs):
        feeds["position_ids"] = np.arange(context)[None]
    made, true = open_session(graph.path, "onnx", 1)(feeds, ["logits"])["logits"], reference.logits(ids)
    assert np.abs(made - true).max() < _CLOSE * np.abs(true).max()
