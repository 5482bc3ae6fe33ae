"""Text that comes a token at a time: only what no later token changes, and never a part of a stop string."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenizers import Tokenizer

_BROKEN = "\ufffd"  # what decoders write for bytes that are no character, or none yet
_BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")
_CONTEXT = 4  # tokens that tell what comes before a piece: a space, or the first bytes of a character


class Detokenizer:
    """``add(id)``: the text that is certain with one more token, often "".

    The pieces joined are ``decode(prompt + tokens)[len(decode(prompt)):]``, whatever the tokens are. Incomplete bytes
    wait for the rest of their character; byte-fallback tokens (``<0xF0>``) wait for a token of text, because one bad
    byte among them turns all of them into replacement characters.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
        last = tokenizer.token_to_id("<0xFF>")
        self._falls_back = last is not None and tokenizer.decode([last]) == _BROKEN
        seen = list(filter(self._shows, prompt))
        start = max(len(seen) - _CONTEXT, 0)
        while start and self._is_byte(seen[start]):
            start -= 1
        self._ids = seen[start:]
        self._given = len(self._decoded())

    def add(self, token: int) -> str:
        """Return the text that nothing which follows ``token`` can change."""
        if not self._shows(token):
            return ""
        self._ids.append(token)
        if self._is_byte(token):
            return ""
        piece = _certain(self._decoded())[self._given :]
        if piece:
            self._ids = self._ids[-_CONTEXT:]
            self._given = len(_certain(self._decoded()))
        return piece

    def rest(self) -> str:
        """Return what was held back, when no token follows."""
        return self._decoded()[self._given :]

    def _shows(self, token: int) -> bool:
        return token not in self._special and self._tokenizer.id_to_token(token) is not None

    def _is_byte(self, token: int) -> bool:
        return self._falls_back and _BYTE.fullmatch(str(self._tokenizer.id_to_token(token))) is not None

    def _decoded(self) -> str:
        return str(self._tokenizer.decode(self._ids, skip_special_tokens=True))


def _certain(text: str) -> str:
    return text.removesuffix(_BROKEN)  # incomplete bytes make one of them


class StopSequences:
    """``add(text)``: ``text`` less what follows a stop string; a possible beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._held = tuple(stops), ""
        self.found = False

    def add(self, text: str) -> str:
        """Return what is sure to come before any stop string."""
        if not self._stops:
            return text
        text = self._held + text
        ends = [(place + len(stop), place) for stop in self._stops if (place := text.find(stop)) >= 0]
        self.found = bool(ends)  # the one that is complete first counts, however the text was cut
        safe = min(ends)[1] if ends else len(text) - max(_overlap(text, stop) for stop in self._stops)
        self._held = "" if ends else text[safe:]
        return text[:safe]

    def rest(self) -> str:
        """Return what was held back, when no text follows."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of ``text`` begin ``stop``."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
