"""Text, or a conversation, to what comes next, by @bundle@."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgepack_model._bundle import BUNDLE, opened

Messages = Sequence[Mapping[str, str]]  # {"role": "user", "content": "Hello"}


class TextGeneration:
    """@model@: prompt and answer together are at most @max_length@ tokens.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    def generate(
        self,
        prompt: str | Messages,
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Yield pieces of the text that follows ``prompt``: a text is continued, messages are answered.

        A ``temperature`` of 0 takes the likeliest token each time. It ends at the model's end token, before one of
        ``stop``, or after ``max_tokens``. Raises InputError for a prompt that is empty or too long.
        """
        options = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "stop": list(stop)}
        pieces: Iterator[str] = self._model.generate(prompt, seed=seed, **options)
        return pieces

    def tokens(self, prompt: str | Messages) -> list[int]:
        """Return the token ids of a prompt, as ``generate`` begins with. Raises InputError."""
        ids: list[int] = self._model.tokens(prompt)
        return ids
