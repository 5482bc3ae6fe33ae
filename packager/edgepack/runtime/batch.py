"""Many examples in batches of similar length, results in the order they were given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from edgepack.arrays import Example
from edgepack.errors import InputError
from edgepack.runtime import arguments

E = TypeVar("E")
R = TypeVar("R")
BATCH = 8


def in_batches(
    examples: Sequence[E],
    size: int,
    step: Callable[[list[E]], Sequence[R]],
    length: Callable[[E], int] | None = None,
) -> list[R]:
    """Run ``step`` over batches of at most ``size``; with ``length``, alike ones share a batch and little is padded.

    Raises UsageError for another size than 1 or more.
    """
    size = arguments.whole("batch_size", size, 1)
    order = sorted(range(len(examples)), key=lambda i: length(examples[i])) if length else list(range(len(examples)))
    results: dict[int, R] = {}
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        results.update(zip(chosen, step([examples[i] for i in chosen]), strict=True))
    return [results[i] for i in range(len(examples))]


def text_length(text: Example) -> int:
    """Return how long a text or a pair of texts is, in characters. Raises InputError for anything else."""
    if isinstance(text, str):
        return len(text)
    if isinstance(text, tuple | list) and all(isinstance(part, str) for part in text):
        return sum(map(len, text))
    raise InputError(f"a text must be a str, not {type(text).__name__}")


def many(examples: Example) -> list[Example]:
    """Return a list of examples. Raises InputError for None and other things that are no sequence."""
    if isinstance(examples, list | tuple):
        return list(examples)
    raise InputError(f"expected one input or a list of inputs, not {type(examples).__name__}")
