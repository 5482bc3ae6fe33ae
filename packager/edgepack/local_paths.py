"""Paths of the machine that built it, kept out of what a bundle ships.

transformers and trainers write into configs where a model or a tokenizer lay: ``_name_or_path``, ``tokenizer_file``;
and into model cards too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from edgepack.documents import Json, read_json

_NAMES, _PLACES = "name_or_path", ("_file", "_path", "_dir")  # endings of the keys

# In prose, where "/v1/embeddings" is no file: what people's and services' files lie under.
_ROOTS = (
    "home|Users|root|mnt|media|data|content|kaggle|tmp|var|opt|srv|private|Volumes|workspaces?|work|scratch|storage|"
    "nfs|gpfs|lustre|export|dbfs|fsx|efs|raid\\w*"
)
_PART = r"[^\s/\\()\[\]<>{}\"'`,;:|]+"
_PLACE = re.compile(
    rf"https?://[\w.-]+//{_PART}(?:/{_PART})*/?"  # a trainer's link to a base model that lay here
    rf"|(?<![\w/.~-])/(?:{_ROOTS})(?:/{_PART})+/?"
    rf"|(?<!\w)[A-Za-z]:(?:[\\/]{_PART})+[\\/]?"
)


def remove_from_text(file: Path) -> None:
    """Leave of each place in a text the last part, the file's or the folder's own name."""
    text = file.read_text("utf-8")
    file.write_text(_PLACE.sub(lambda found: PureWindowsPath(found[0]).name, text), "utf-8")


def remove(configs: list[Path], name: str) -> None:
    """Remove local paths from JSON files: a model's becomes its ``name``, a file's the file's own name."""
    for file in configs:
        table = read_json(file)
        cleaned = _cleaned(table, name)
        if cleaned != table:
            file.write_text(json.dumps(cleaned, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _cleaned(value: Json, name: str) -> Json:
    if isinstance(value, list):
        return [_cleaned(one, name) for one in value]
    if isinstance(value, dict):
        return {key: _named(str(key), one, name) if _local(one) else _cleaned(one, name) for key, one in value.items()}
    return value


def _named(key: str, place: str, name: str) -> str:
    if key.endswith(_NAMES):
        return name
    return PureWindowsPath(place).name if key.endswith(_PLACES) else place


def _local(value: Json) -> bool:
    """Return whether it is an absolute path, of any system."""
    if not isinstance(value, str):
        return False
    return value.startswith("~") or PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()
