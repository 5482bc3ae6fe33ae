"""The licence that a model's card names, as the hub itself reads the card."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from edgepack.documents import Json
from edgepack.errors import ModelError

# huggingface_hub's repocard.REGEX_YAML_BLOCK; to import that takes ten times as long as to read a card
_FRONT_MATTER = re.compile(r"^(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(\r\n|\n|$))")


def licence(file: Path) -> str | None:
    """Read the licence in the front matter of ``file``, lower case; None where it names none.

    A licence that the hub has no name for ("other") goes by the card's own name for it; several are joined by "and".
    Raises ModelError for front matter that cannot be read, and with it the licence.
    """
    try:
        said = _front_matter(file)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())[:100]
        raise ModelError(
            f"{file} cannot be read, and its front matter names the licence: {line}",
            hint="correct it in a copy of the folder: UTF-8, and YAML between the two lines ---",
        ) from error
    found = said.get("license")
    if found == "other" and isinstance(said.get("license_name"), str):
        found = said["license_name"]
    named = [name.lower() for name in (found if isinstance(found, list) else [found]) if isinstance(name, str) and name]
    return " and ".join(named) or None


def _front_matter(file: Path) -> dict[str, Json]:
    """Read the table between the two lines ---; an empty one where there is none."""
    block = _FRONT_MATTER.search(file.read_text("utf-8-sig"))
    table = yaml.safe_load(block[2]) if block else None
    if table is not None and not isinstance(table, dict):
        raise ValueError("the front matter is not a mapping")
    return table or {}
