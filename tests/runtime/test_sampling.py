"""Sampling, compared with transformers' logits processors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from edgepack.runtime.sampling import Sampler, Sampling, distribution, penalized

_CLOSE = 1e-6  # probabilities, of float32 sums in another order
_SEEN = [3, 5, 5, 90]
_WIDTHS = {"peaked": 4.0, "usual": 1.5, "flat": 0.05}


def logits(width: str, size: int = 3000) -> np.ndarray:
    return np.random.default_rng(1).normal(0, _WIDTHS[width], size).astype(np.float32)


def transformers_s(scores: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Probabilities by the processors that ``generate`` would choose, in its order."""
    chosen = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    chosen.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chosen.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chosen.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        chosen.append(MinPLogitsWarper(sampling.min_p))
    kept = chosen(torch.tensor([_SEEN]), torch.from_numpy(scores.copy())[None])
    return np.asarray(kept[0].double().softmax(-1))


def ours(scores: np.ndarray, sampling: Sampling) -> np.ndarray:
    if sampling.repetition_penalty != 1:
        scores = penalized(scores, set(_SEEN), sampling.repetition_penalty)
    tokens, probabilities = distribution(scores, sampling)
    whole = np.zeros(len(scores))
    whole[tokens] = probabilities
    return whole


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize(
    "numbers", list(itertools.product([0.6, 1.7], [0, 7, 400], [1.0, 0.9, 0.2], [0.0, 0.05], [1.0, 1.4]))
)
def test_distributions_are_transformers(width: str, numbers: tuple[Any, ...]) -> None:
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    sampling, scores = Sampling(**dict(zip(names, numbers, strict=True))), logits(width)
    before = scores.copy()
    found = ours(scores, sampling)
    assert np.abs(found - transformers_s(scores, sampling)).max() < _CLOSE
    assert np.array_equal(scores, before)


def test_large_vocabularies() -> None:
    scores = logits("usual", 256_000)
    for sampling in (Sampling(temperature=1.0, top_k=50, top_p=0.9), Sampling(temperature=0.7, top_p=0.95, min_p=0.01)):
        assert np.abs(ours(scores, sampling) - transformers_s(scores, sampling)).max() < _CLOSE


def test_draws_follow_the_distribution() -> None:
    sampling, scores = Sampling(temperature=1.0, top_k=6), logits("usual", 50)
    tokens, probabilities = distribution(scores, sampling)
    sampler = Sampler(sampling, 0, [])
    count = 20_000
    drawn = np.bincount([sampler(scores) for _ in range(count)], minlength=50) / count
    assert np.flatnonzero(drawn).tolist() == sorted(tokens.tolist())
    # five standard deviations of a binomial
    assert (np.abs(drawn[tokens] - probabilities) < 5 * np.sqrt(probabilities / count)).all()


@pytest.mark.parametrize("numbers", [{}, {"temperature": 2.0, "top_k": 1}, {"temperature": 1e-9, "top_p": 0.5}])
def test_greedy(numbers: dict[str, Any]) -> None:
    scores = logits("flat")
    assert Sampler(Sampling(**numbers), None, [])(scores) == scores.argmax()


def test_the_penalty_holds_for_prompt_and_answer() -> None:
    scores = np.array([3.0, 2.9, 2.8, -1.0], np.float32)
    sampler = Sampler(Sampling(repetition_penalty=1.2), None, [0])
    assert [sampler(scores) for _ in range(3)] == [1, 2, 0]


def test_equals_stay_together() -> None:
    tokens, probabilities = distribution(np.zeros(8, np.float32), Sampling(temperature=1, top_k=3, top_p=0.3))
    assert len(tokens) == 8
    assert np.allclose(probabilities, 1 / 8)
