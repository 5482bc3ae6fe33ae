"""Prompts to what the UNet is conditioned on: hidden states of one or two text encoders, and one vector of all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgepack.arrays import Array, Run
from edgepack.errors import BundleDamaged, UsageError
from edgepack.runtime.processing import PromptEncoder
from edgepack.runtime.text import checked, encoded, telling, tokenizer

INPUT = "input_ids"
_SHOWN = 200  # characters of what was cut


class Condition(NamedTuple):
    """The conditions that prompts make: hidden states, float32 [batch, tokens, width], and pooled, [batch, width]."""

    hidden: Array
    pooled: Array | None

    def repeated(self, count: int) -> Condition:
        """Return the same for a batch of ``count``, of one prompt."""
        pooled = None if self.pooled is None else np.repeat(self.pooled, count, axis=0)
        return Condition(np.repeat(self.hidden, count, axis=0), pooled)

    def behind(self, other: Condition) -> Condition:
        """Return the batch of ``other`` with this one's behind it."""
        pooled = None
        if self.pooled is not None and other.pooled is not None:
            pooled = np.concatenate([other.pooled, self.pooled])
        return Condition(np.concatenate([other.hidden, self.hidden]), pooled)

    def zeros(self) -> Condition:
        """Return a condition of the same shape that says nothing."""
        return Condition(np.zeros_like(self.hidden), None if self.pooled is None else np.zeros_like(self.pooled))


class PromptInput:
    """Token ids of prompts, int64 [1, max_length], for one encoder."""

    def __init__(self, folder: Path, encoder: PromptEncoder) -> None:
        self._length, self._pad = encoder.max_length, encoder.pad_id
        self._tokenizer = tokenizer(folder / encoder.tokenizer)
        self._tokenizer.no_padding()
        with telling("the manifest's numbers do not suit the tokenizer", BundleDamaged):
            self._tokenizer.enable_truncation(self._length)

    def ids(self, prompt: str) -> tuple[Array, str]:
        """Return the ids, and the text that they have no room for. Raises InputError."""
        prompt = checked(prompt)
        encoding = encoded(self._tokenizer, prompt)
        ids = np.full((1, self._length), self._pad, np.int64)
        ids[0, : len(encoding.ids)] = encoding.ids
        left = [start for part in encoding.overflowing for start, end in part.offsets if end]
        return ids, prompt[min(left) :] if left else ""


class Prompts:
    """Conditions of prompts, by ``encoders`` whose runs are looked up when they are needed, one after the other."""

    def __init__(self, folder: Path, encoders: Sequence[PromptEncoder]) -> None:
        self._encoders = [(encoder, PromptInput(folder, encoder)) for encoder in encoders]

    def conditions(self, runs: Mapping[str, Run], prompts: Sequence[str], clip_skip: int = 0) -> list[Condition]:
        """Return a condition of a batch of one for each prompt.

        ``clip_skip`` leaves out as many more of the last layers for the first prompt, as diffusers does: for the
        negative one, which follows, never. Warns of what is cut. Raises InputError, UsageError.
        """
        parts: list[list[Array]] = [[] for _ in prompts]
        pooled: list[Array | None] = [None for _ in prompts]
        for encoder, words in self._encoders:
            run = runs[encoder.submodel]
            for index, prompt in enumerate(prompts):
                outputs = run({INPUT: self._told(words, prompt, "negative prompt" if index else "prompt")})
                parts[index].append(outputs[_output(encoder, 0 if index else clip_skip)])
                if encoder.pooled is not None:
                    pooled[index] = outputs[encoder.pooled]
            del run  # so that it can be closed before the next is opened
        return [Condition(np.concatenate(part, axis=-1), one) for part, one in zip(parts, pooled, strict=True)]

    def _told(self, words: PromptInput, prompt: str, name: str) -> Array:
        ids, cut = words.ids(prompt)
        if cut:
            warnings.warn(
                f"the {name} is longer than the {ids.shape[1]} tokens that the model reads; this is cut: "
                f"{cut[:_SHOWN]!r}{'…' if len(cut) > _SHOWN else ''}",
                stacklevel=4,
            )
        return ids


def _output(encoder: PromptEncoder, clip_skip: int) -> str:
    """Return the name of the output of hidden states. Raises UsageError."""
    if clip_skip > len(encoder.skipping):
        allowed = f"0 to {len(encoder.skipping)}" if encoder.skipping else "0: the bundle gives its last layer alone"
        raise UsageError(f"clip_skip is {clip_skip}", hint=f"this bundle can do {allowed}")
    return encoder.skipping[clip_skip - 1] if clip_skip else encoder.hidden
