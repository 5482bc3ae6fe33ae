"""The name of a bundle in an app's code, in the forms that languages write names in."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from edgepack.errors import UsageError

_GIVEN = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LONGEST = 60
_HINT = "--name gives it another one: letters, digits and dashes, a letter first, for example SentenceSearch"


@dataclass(frozen=True, kw_only=True)
class Names:
    """One name: SentenceSearch, sentenceSearch, sentence_search and sentence-search."""

    text: str  # of which ``given`` makes the same again
    pascal: str
    camel: str
    snake: str
    kebab: str

    @property
    def placeholders(self) -> dict[str, str]:
        """The texts that stand for the name in templates, each an identifier where such a name is one."""
        return {
            "EdgepackModel": self.pascal,
            "edgepackModel": self.camel,
            "edgepack_model": self.snake,
            "edgepack-model": self.kebab,
        }

    def filled(self, text: str) -> str:
        """Return ``text`` with the name in the place of each placeholder."""
        for placeholder, name in self.placeholders.items():
            text = text.replace(placeholder, name)
        return text


def given(text: str, reserved: Collection[str] = ()) -> Names:
    """Return the forms of a name as a user types it. Raises UsageError where languages could not have it."""
    if not _GIVEN.fullmatch(text) or len(text) > _LONGEST:
        raise UsageError(f"{text[:_LONGEST]!r} is not a name that code can have", hint=_HINT)
    return _named(text, re.split("[-_]", text) if re.search("[-_]", text) else _humps(text), reserved)


def derived(bundle: str, target: str, reserved: Collection[str] = ()) -> Names:
    """Return the forms of a ``bundle``'s name without its ``target`` and what follows. Raises UsageError."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", bundle.rpartition(f"-{target}")[0] or bundle) if word]
    text = "-".join(words)
    if not _GIVEN.fullmatch(text) or len(text) > _LONGEST:
        raise UsageError(f"the bundle's name {bundle[:_LONGEST]!r} makes no name that code can have", hint=_HINT)
    return given(text, reserved)


def _humps(text: str) -> list[str]:
    """Part SentenceSearch2 into words; digits stay with the word before."""
    words: list[str] = []
    for part in _HUMPS.findall(text):
        if part.isdigit() and words:
            words[-1] += part
        else:
            words.append(part)
    return words


def _named(text: str, words: list[str], reserved: Collection[str]) -> Names:
    pascal = "".join(word[0].upper() + word[1:] for word in words)
    lower = [word.lower() for word in words]
    made = Names(
        text=text,
        pascal=pascal,
        camel=lower[0] + "".join(word[0].upper() + word[1:] for word in words[1:]),
        snake="_".join(lower),
        kebab="-".join(lower),
    )
    taken = sorted({made.pascal, made.camel, made.snake, made.kebab}.intersection(reserved))
    if taken:
        raise UsageError(f"{taken[0]!r} is a word that the app's language keeps for itself", hint=_HINT)
    return made
