"""The licence that a model's card names, as the hub itself reads the card."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import metadata_load
from yaml import YAMLError

from edgepack.errors import ModelError


def licence(file: Path) -> str | None:
    """Read the licence in the front matter of ``file``, lower case; None where it names none.

    A licence that the hub has no name for ("other") goes by the card's own name for it; several are joined by "and".
    Raises ModelError for front matter that cannot be read, and with it the licence.
    """
    try:
        said = metadata_load(file) or {}
    except (YAMLError, ValueError, RecursionError) as error:
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
