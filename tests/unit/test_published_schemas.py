"""What the tests build is checked against the published schemas; here, that this can fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.conftest import check_schemas


def _named(table: dict[str, Any]) -> None:
    table["name"] = "../up"


def _unnamed(table: dict[str, Any]) -> None:
    del table["name"]


def _surprised(table: dict[str, Any]) -> None:
    table["surprise"] = 1


@pytest.mark.parametrize("spoil", [_named, _unnamed, _surprised])
def test_a_manifest_that_breaks_its_schema_is_seen(copied: Path, spoil: Callable[[dict[str, Any]], None]) -> None:
    check_schemas(copied)
    file = copied / "edgepack.json"
    table = json.loads(file.read_text("utf-8"))
    spoil(table)
    file.write_text(json.dumps(table), "utf-8")
    with pytest.raises(jsonschema.ValidationError):
        check_schemas(copied)
