"""What a recipe asks of Core ML, and of which system."""

from __future__ import annotations

import pytest

from edgepack import targets
from edgepack.errors import UsageError
from edgepack.formats.coreml import _requirements as requirements
from edgepack.formats.coreml import builder, export
from edgepack.records import Recipe

NEEDS = {
    "fp32": 16, "fp16": 16, "int8": 16, "int8-blocks": 18, "palette8": 16, "palette6": 16, "palette4": 18,
    "palette4-int8": 18, "palette3": 18, "palette2": 18, "int4": 18, "sparse": 16, "sparse-int8": 18,
    "sparse-palette4": 18, "mixed": 16,
}  # fmt: skip
WRITTEN = {"fp16", "int8", "int8-blocks", "palette6", "palette4", "int4"}


def recipe(scheme: str = "palette", **numbers: object) -> Recipe:
    return Recipe(name="mine", scheme=scheme, **{"weight_bits": 4, "embedding_bits": 4, **numbers})


@pytest.mark.parametrize("name", NEEDS)
def test_what_each_recipe_needs(name: str) -> None:
    target = targets.load("iphone")
    assert target.recipes.keys() == NEEDS.keys()
    assert requirements.opset(target, target.recipes[name]) == NEEDS[name]
    assert requirements.opset(targets.load("iphone:ios18"), target.recipes[name]) == 18
    if NEEDS[name] > 17:
        with pytest.raises(UsageError, match=rf"the recipe {name} needs iOS 18") as told:
            requirements.opset(targets.load("iphone:ios17"), target.recipes[name])
        assert told.value.hint == (
            "--target iphone, or one of the recipes fp32, fp16, int8, palette8, palette6, sparse"
        )


@pytest.mark.parametrize(
    ("numbers", "opset"),
    [
        ({}, 16),
        ({"embedding_bits": 3}, 18),
        ({"block_size": 8}, 18),
        ({"table_bits": 8}, 18),
        ({"sparsity": 0.1}, 18),
        ({"scheme": "channels", "weight_bits": 8}, 16),
        ({"scheme": "sparse", "sparsity": 0.5}, 16),
        ({"scheme": "fp16", "lengths": (64, 128)}, 18),
    ],
)
def test_numbers_decide(numbers: dict[str, object], opset: int) -> None:
    assert requirements.oldest(recipe(**numbers)) == opset


@pytest.mark.parametrize("name", NEEDS)
def test_which_recipes_language_models_have(name: str) -> None:
    found = targets.recipe(targets.load("mac"), name, "text-generation")
    assert export.unsupported(found) == ""
    assert (builder.unsupported(found) == "") == (name in WRITTEN)


@pytest.mark.parametrize(
    ("numbers", "written", "what"),
    [
        ({"scheme": "int8-static"}, False, "there are the schemes fp32, fp16, channels"),
        ({"weight_bits": 5}, False, "the scheme palette has 1 or 2 or 3 or 4 or 6 or 8 bits"),
        ({"embedding_bits": 7}, False, "the scheme palette has"),
        ({"scheme": "blocks", "weight_bits": 6}, False, "the scheme blocks has 4 or 8 bits"),
        ({"scheme": "channels"}, False, "the scheme channels has 8 bits"),
        ({"table_bits": 4}, False, "there are no values of 4 bits in tables"),
        ({"scheme": "blocks", "table_bits": 8}, False, "there are no values of 8 bits in tables"),
        ({"sparsity": 1.0}, False, "there are no weights in palette that leave out 100 %"),
        ({"scheme": "fp16", "sparsity": 0.5}, False, "there are no weights in fp16 that leave out 50 %"),
        ({"sparsity": 0.5}, True, "language models have no weights in palette that leave out 50 %"),
        ({"table_bits": 8}, True, "language models have no values of 8 bits in tables"),
        ({"weight_bits": 8}, True, "the scheme palette has 4 or 6 bits"),
    ],
)
def test_what_is_not_supported(numbers: dict[str, object], written: bool, what: str) -> None:
    route = builder if written else export
    assert route.unsupported(recipe(**numbers)).startswith(what)


def test_what_stays_float_has_any_bits() -> None:
    assert export.unsupported(recipe(embedding_bits=16)) == ""
    assert builder.unsupported(recipe(embedding_bits=8)) == ""
