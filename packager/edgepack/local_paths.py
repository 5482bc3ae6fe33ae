"""Paths of the machine that built it, kept out of what a bundle ships.

transformers and trainers write into configs where a model or a tokenizer lay: ``_name_or_path``, ``tokenizer_file``.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

_NAMES, _PLACES = "name_or_path", ("_file", "_path", "_dir")  # endings of the keys


def remove(configs: list[Path], name: str) -> None:
    """From JSON files: of a model the place becomes its ``name``, of a file the file's own name. Others stay as is."""
    for file in configs:
        table = json.loads(file.read_text("utf-8"))
        cleaned = _cleaned(table, name)
        if cleaned != table:
            file.write_text(json.dumps(cleaned, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _cleaned(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_cleaned(one, name) for one in value]
    if isinstance(value, dict):
        return {key: _named(str(key), one, name) if _local(one) else _cleaned(one, name) for key, one in value.items()}
    return value


def _named(key: str, place: str, name: str) -> str:
    if key.endswith(_NAMES):
        return name
    return PureWindowsPath(place).name if key.endswith(_PLACES) else place


def _local(value: Any) -> bool:
    """Whether it is an absolute path, of any system."""
    if not isinstance(value, str):
        return False
    return value.startswith("~") or PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()
