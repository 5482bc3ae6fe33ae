"""Each family's program against transformers, under both masks, in one call and token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.decoders.conftest import EXPERTS, FAMILIES, MORE

from edgepack.coreml import Package
from edgepack.errors import ShapeNotAllowed

from .conftest import CONTEXT, causal, zeros

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

_CLOSE = 1e-4  # of the largest logit: float32 sums in another order, and scales of scores that are float16
_HALF = 0.02  # the same with float16 products; these models are louder than real ones, Gemma's embedding most
_TIE = 1e-3  # of the largest logit: the original's two best tokens are as near as float16 rounds
_TOKENS, _PROMPT, _MADE = 24, 10, 8
Mask = Callable[[int, int], np.ndarray]
masks = pytest.mark.parametrize("mask", [causal, zeros])


def logits(package: Package, ids: np.ndarray, mask: Mask, **options: Any) -> np.ndarray:
    """Of the first tokens of a text."""
    feeds = {"inputIds": ids.astype(np.int32), "causalMask": mask(ids.shape[1], ids.shape[1])}
    return np.asarray(package(feeds, **options)["logits"], np.float32)


def steps(package: Package, ids: np.ndarray, mask: Mask, prompt: int) -> np.ndarray:
    """A prompt in one call, then each token in one."""
    state = package.state()
    found = [logits(package, ids[:, :prompt], mask, state=state)]
    for place in range(prompt, ids.shape[1]):
        feeds = {"inputIds": ids[:, place : place + 1].astype(np.int32), "causalMask": mask(1, place + 1)}
        found.append(np.asarray(package(feeds, state=state)["logits"], np.float32))
    return np.concatenate(found, axis=1)


def random(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, 160, (1, _TOKENS))


def transformers_logits(model: Any, ids: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(ids)).logits)


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        *((name, mask) for name in FAMILIES for mask in (causal, zeros)),
        # linear attention is what Core ML's targets refuse
        *((name, zeros) for name in MORE | EXPERTS if not name.startswith(("qwen3_5", "qwen3_next"))),
    ],
)
def test_logits(name: str, mask: Mask, family: Any, packages: Callable[[str], Package]) -> None:
    package, ids = packages(name), random()
    wanted = transformers_logits(family(name)[1], ids)
    most = np.abs(wanted).max()
    assert np.abs(logits(package, ids, mask, precision="float32") - wanted).max() <= _CLOSE * most
    whole, stepwise = logits(package, ids, mask), steps(package, ids, mask, _PROMPT)
    assert np.abs(whole - wanted).max() <= _HALF * most
    assert np.abs(stepwise - wanted).max() <= _HALF * most


@masks
@pytest.mark.parametrize("name", FAMILIES)
def test_greedy(name: str, mask: Mask, family: Any, packages: Callable[[str], Package]) -> None:
    package, model = packages(name), family(name)[1]
    text = random()[:, :_PROMPT]
    for _ in range(_MADE):
        text = np.append(text, transformers_logits(model, text)[:, -1].argmax(-1)[None], axis=1)
    wanted = transformers_logits(model, text)[0, _PROMPT - 1 : -1]
    made = steps(package, text, mask, _PROMPT)[0, _PROMPT - 1 : -1].argmax(-1)
    behind = wanted.max(axis=-1) - wanted[np.arange(_MADE), made]
    assert (behind <= _TIE * np.abs(wanted).max()).all()
    assert (behind > 0).sum() <= 1


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_a_cache_that_is_cut_back(name: str, packages: Callable[[str], Package]) -> None:
    package, state = packages(name), packages(name).state()
    logits(package, random(5), causal, state=state)
    ids = random(3)
    ids[0, :6] = random(5)[0, :6]  # they are known; what follows is written over
    feeds = {"inputIds": ids[:, 6:].astype(np.int32), "causalMask": causal(_TOKENS - 6, _TOKENS)}
    again = np.asarray(package(feeds, state=state)["logits"], np.float32)
    fresh = logits(package, ids, causal)[:, 6:]
    assert np.abs(again - fresh).max() <= _HALF * np.abs(fresh).max()


def test_a_mask_hides_more(packages: Callable[[str], Package]) -> None:
    package, ids = packages("llama"), random()
    hiding = causal(_TOKENS, _TOKENS)
    hiding[..., 4:, :4] = -np.inf
    apart = logits(package, ids[:, 4:], causal)  # rotary positions only measure distances
    together = logits(package, ids, lambda new, total: hiding)[:, 4:]
    assert np.abs(together - apart).max() <= _HALF * np.abs(apart).max()


def test_what_a_model_takes(packages: Callable[[str], Package]) -> None:
    package = packages("llama")
    assert [(spec.name, spec.dtype) for spec in package.inputs()] == [("inputIds", "int32"), ("causalMask", "float16")]
    assert [(spec.name, spec.dtype) for spec in package.outputs()] == [("logits", "float16")]
    cache = (3, 1, 2, CONTEXT, 16)
    assert {spec.name: spec.shape for spec in package.states()} == {"keyCache": cache, "valueCache": cache}
    said = package.metadata
    assert said["user_defined"]["co.huggingface.exporters.name"] == "someone/model"
    assert [said[part] for part in ("description", "author", "license", "version")] == [
        "a model",
        "someone",
        "mit",
        "1",
    ]
    assert {*said["features"]} == {"inputIds", "causalMask", "logits", "keyCache", "valueCache"}
    assert logits(package, random()[:, :1].repeat(CONTEXT, 1), causal).shape == (1, CONTEXT, 160)
    with pytest.raises(ShapeNotAllowed):
        logits(package, random()[:, :1].repeat(CONTEXT + 1, 1), causal)
