"""Make a bundle's code of a template: names take the place of placeholders, and what is not about it is left out.

A template is code that runs as it is. Three things in it are read:

- EdgepackModel, edgepackModel, edgepack_model and edgepack-model, anywhere and in names of files, become the bundle's
  name, and the task's type of app.toml its name in the first form;
- ``@width@`` and the other facts, in comments and texts;
- lines between one that ends in ``edgepack:if WORD …`` and one with ``edgepack:end``, in comments of any language, stay
  where one of the words is true of the bundle: a task, a form, a target, a format or a part of the processing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edgepack.embed.names import Names
from edgepack.errors import TargetError

_BEGIN = re.compile(r"edgepack:if ((?:[a-z0-9_.-]+ ?)+?)\s*(?:\*/|-->|#\})?\s*$")
_END = re.compile(r"edgepack:end\b")
_FACT = re.compile(r"@([a-z][a-z_]*)@")


@dataclass(frozen=True, kw_only=True)
class Filling:
    """The bundle's side of a template."""

    names: Names
    type: str  # of the task, in the template
    facts: Mapping[str, str | None]
    words: Collection[str]  # that are true of the bundle
    known: Collection[str]  # that can be true of one

    def path(self, name: str) -> str:
        """Return the path that a file of the template has in the app."""
        return self._named(name)

    def text(self, text: str, place: str) -> str:
        """Return the text of the template's file ``place`` for this bundle.

        Raises TargetError for a fact or a word that is none, for a fact that the bundle does not have, and for a block
        that does not end.
        """
        kept = self._kept(text, place)
        return _FACT.sub(lambda match: self._fact(match[1], place), self._named(kept))

    def _named(self, text: str) -> str:
        return re.sub(rf"\b{self.type}\b", self.names.pascal, self.names.filled(text))

    def _fact(self, name: str, place: str) -> str:
        value = self.facts.get(name)
        if value is None:
            told = "a bundle of this task does not have" if name in self.facts else "is none"
            raise TargetError(f"{place}: the fact {name!r} {told}", hint=f"facts: {', '.join(sorted(self.facts))}")
        return value

    def _kept(self, text: str, place: str) -> str:
        """Return the lines that are about this bundle."""
        kept, inside, stays = [], False, True
        for number, line in enumerate(text.splitlines(keepends=True), 1):
            if begin := _BEGIN.search(line):
                if inside:
                    raise TargetError(f"{place}, line {number}: a block inside of another", hint="end the first one")
                inside, stays = True, self._holds(begin[1].split(), f"{place}, line {number}")
            elif _END.search(line):
                inside, stays = False, True
            elif stays:
                kept.append(line)
        if inside:
            raise TargetError(f"{place}: a block has no edgepack:end")
        return "".join(kept)

    def _holds(self, words: Collection[str], place: str) -> bool:
        strange = sorted(set(words) - set(self.known))
        if strange:
            raise TargetError(f"{place}: no word {strange[0]!r}", hint=f"words: {', '.join(sorted(self.known))}")
        return not set(words).isdisjoint(self.words)
