"""What each recipe does to a weight."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgepack.formats._components import component
from edgepack.formats.coreml.compression import Weight
from edgepack.formats.coreml.compression import compress as rewritten
from edgepack.formats.coreml.forms import Form, blockwise, palettized, per_channel
from edgepack.formats.coreml.package import save
from edgepack.records import FINER, Recipe

_FLOATS = ("fp32", "fp16")


def compress(
    package: Path, out: Path, recipe: Recipe, names: Mapping[str, str], *, newest: bool
) -> dict[str, Form] | None:
    """The float program at ``package`` as ``recipe`` says, in ``out``; what its weights became, by name (None: floats).

    ``names`` are PyTorch's, by those in the program.
    """
    if recipe.scheme in _FLOATS:
        shutil.copytree(package, out)
        return None
    stored: dict[str, Form] = {}

    def choose(weight: Weight) -> Form | None:
        made = form(weight, recipe, component(names.get(weight.name, weight.name)))
        if made is not None:
            stored[weight.name] = made
        return made

    save(rewritten(package, choose, newest=newest), out)
    return stored


def form(weight: Weight, recipe: Recipe, part: str) -> Form | None:
    """The form of a weight of the component ``part``; what the recipe keeps finer has 8 bits per channel."""
    bits = recipe.embedding_bits if weight.table else recipe.weight_bits
    bits = max(bits, FINER) if part in recipe.finer else bits
    value = weight.value.astype(np.float32)
    if bits > FINER:
        return None
    if bits == FINER and recipe.scheme != "palette":
        return per_channel(value)
    return (palettized if recipe.scheme == "palette" else blockwise)(value, bits, recipe.block_size)
