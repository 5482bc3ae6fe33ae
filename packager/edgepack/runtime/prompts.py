"""The prompts that a model was trained to find in front of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgepack.errors import UnknownName, UsageError
from edgepack.runtime import arguments
from edgepack.runtime.text import checked


@dataclass(frozen=True)
class Prompts:
    """Prompts ``by_name``, and the name of the one that is taken where none is asked for."""

    by_name: Mapping[str, str]
    default: str | None

    def chosen(self, name: str | None, text: str | None) -> str:
        """Return ``text``, or the prompt ``name``, or the default one; "" for none.

        Raises UsageError where both are given, UnknownName for another name.
        """
        if name is not None and text is not None:
            raise UsageError("a prompt is given by its name or as a text, not both")
        if text is not None:
            return checked(arguments.text("prompt", text))
        asked = self.default if name is None else arguments.text("prompt_name", name)
        if asked is None:
            return ""
        if asked not in self.by_name:
            raise UnknownName("prompt", asked, self.by_name)
        return self.by_name[asked]
