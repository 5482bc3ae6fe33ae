"""What the tests build is checked against the published schemas: that this can fail, and that nothing is left out.

Tasks, targets and recipes that no test built before are built here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests import diffusion_models
from tests.conftest import ROOT, check_schemas

from edgepack import plugins, targets
from edgepack.records import Bundle

Build = Callable[..., tuple[Bundle, ...]]
Built = set[tuple[str, str, str]]
TARGETS = {name: targets.load(name) for name in targets.names()}
RECIPES = sorted({(target.format, recipe) for target in TARGETS.values() for recipe in target.recipes})
STORYTELLER = ROOT / "samples" / "storyteller" / "model"


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


@pytest.mark.parametrize("task", plugins.names("tasks"))
def test_every_task_is_built(
    task: str, built: Built, build: Build, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    if task in {made[0] for made in built}:
        return
    if task == "text-to-image":
        diffusion_models.save("sd", tmp_path)
        model = tmp_path
    else:
        model = STORYTELLER if task == "text-generation" else tiny(task)
    (made,) = build(model, "rpi", recipes=("fp32",), allow_loss=True)
    assert made.source.task == task


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_built_for(target: str, built: Built, build: Build, tiny: Callable[[str], Path]) -> None:
    if target not in {made[1] for made in built}:
        build(tiny("text-embedding"), target, allow_loss=True)
    assert target in {made[1] for made in built}


@pytest.mark.parametrize(("format", "recipe"), RECIPES)
def test_every_recipe_is_built(
    format: str, recipe: str, built: Built, build: Build, tiny: Callable[[str], Path]
) -> None:
    names = [name for name, target in TARGETS.items() if target.format == format]
    if not any(made[1] in names and made[2] == recipe for made in built):
        asked = {"max_size": 10**6} if recipe == "mixed" else {"recipes": (recipe,)}
        task = (
            "image-classification" if recipe == "int8-static" else "text-embedding"
        )  # embeddings are not its business
        build(tiny(task), names[-1], allow_loss=True, **asked)
    assert any(made[1] in names and made[2] == recipe for made in built)
