"""Pairs in the frame of a chat template, as rerankers over language models take them."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.arrays import Array, Example
from edgepack.errors import InputError, UsageError
from edgepack.runtime.processing import Frame


def check_prompt(frame: Frame | None, prompt: str) -> None:
    """Raises UsageError for a prompt that the frame has no place for."""
    if prompt and frame is not None and frame.before_prompt is None:
        raise UsageError("this model's chat template has no place for a prompt", hint="leave it out")


def framed(frame: Frame, pair: Example, prompt: str = "") -> str:
    """Return the one text that a pair of texts becomes. Raises InputError for a single text, UsageError."""
    if isinstance(pair, str):
        raise InputError("this model takes pairs of texts", hint="give a text and a second one")
    check_prompt(frame, prompt)
    start = f"{frame.before_prompt}{prompt}{frame.behind_prompt}" if prompt else frame.before
    return f"{start}{pair[0]}{frame.between}{pair[1]}{frame.end}"


def close(frame: Frame, ids: Array, lengths: Sequence[int], *, longest: int, left: bool) -> None:
    """Write the frame's tail over the last tokens of the texts that were cut at ``longest`` tokens.

    ``ids`` int64 [batch, tokens] hold texts of ``lengths``, padded at the ``left`` or at the right.
    """
    kept = frame.tail[-longest:]
    for row, length in zip(ids, lengths, strict=True):
        if kept and length >= longest:
            end = len(row) if left else length
            row[end - len(kept) : end] = kept
