"""Text that comes a token at a time: whole characters only, and never a part of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

_BROKEN = "\ufffd"  # what decoders write for bytes that are no character, or none yet
_CONTEXT = 8  # tokens before the first, which tell whether it opens with a space
_LONGEST = 8  # tokens that may wait for the rest of a character; four bytes make one


class Pieces:
    """``add(id)``: the text that one more token brings, "" while a character is incomplete.

    The pieces joined are the text that the tokenizer decodes ``prompt`` and the tokens to, less that of ``prompt``.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._before, self._text = _end(tokenizer, prompt)
        self._new: list[int] = []

    def add(self, token: int) -> str:
        """The piece that is complete with ``token``."""
        self._new.append(token)
        text = self._decoded()
        if text.endswith(_BROKEN) and len(self._new) < _LONGEST:
            return ""
        return self._given(text)

    def rest(self) -> str:
        """What was held back, when no token follows."""
        return self._given(self._decoded()) if self._new else ""

    def _given(self, text: str) -> str:
        """The end of ``text`` that is new; the new tokens become the context of the next ones."""
        piece = text[len(self._text) :]
        if piece:
            self._before, self._new = self._new, []
            self._text = self._decoded()
        return piece

    def _decoded(self) -> str:
        return str(self._tokenizer.decode(self._before + self._new, skip_special_tokens=True))


class Stops:
    """``add(text)``: ``text`` less what follows a stop string; a possible beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._held = tuple(stops), ""
        self.found = False

    def add(self, text: str) -> str:
        """What is sure to come before any stop string."""
        if not self._stops:
            return text
        text = self._held + text
        ends = [(place + len(stop), place) for stop in self._stops if (place := text.find(stop)) >= 0]
        self.found = bool(ends)  # the one that is complete first counts, however the text was cut
        safe = min(ends)[1] if ends else len(text) - max(_overlap(text, stop) for stop in self._stops)
        self._held = "" if ends else text[safe:]
        return text[:safe]

    def rest(self) -> str:
        """What was held back, when no text follows."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` begin ``stop``."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


def _end(tokenizer: Tokenizer, prompt: Sequence[int]) -> tuple[list[int], str]:
    """The last tokens of ``prompt``, as many as decode to whole characters, and their text."""
    size = _CONTEXT
    while True:
        end = list(prompt[-size:])
        text = str(tokenizer.decode(end, skip_special_tokens=True))
        if _BROKEN not in text or size >= len(prompt):
            return end, text
        size *= 4
