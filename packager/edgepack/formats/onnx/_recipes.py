"""Limits of ONNX Runtime that no recipe can pass, whatever the route."""

from __future__ import annotations

from edgepack.records import Recipe

_HALF = 16  # bits


def uncommon(recipe: Recipe) -> str:
    """Say in a clause what ``recipe`` asks for that no ONNX runtime has; "" where there is nothing."""
    return "no ONNX runtime has sparse weights or palettes" if recipe.sparsity or recipe.table_bits != _HALF else ""
