"""Compression of the weights, as each recipe asks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.formats.coreml._package import save
from edgepack.formats.coreml._requirements import FLOATS
from edgepack.formats.coreml.export import encoders
from edgepack.formats.coreml.export.compressed import DenseEncoding, Encoding, Sparse
from edgepack.formats.coreml.export.compression import Weight
from edgepack.formats.coreml.export.compression import compress as rewritten
from edgepack.formats.coreml.export.forms import Form
from edgepack.formats.coreml.export.sensitivity import Study
from edgepack.formats.coreml.export.weight import CalibratedWeight
from edgepack.quantization.components import component
from edgepack.records import FINER, Recipe

_SMALL = 1024  # values; a smaller weight gains little by less than 8 bits per channel


@dataclass(frozen=True)
class Compression:
    """A recipe for the program at ``package``. ``names`` are PyTorch's, by those in the program."""

    package: Path
    recipe: Recipe
    names: Mapping[str, str]
    study: Study
    newest: bool  # whether iOS 18's encodings may be used
    chosen: Mapping[str, Form] | None = None  # by a search, for the weights of the program

    def run(self, out: Path) -> dict[str, Encoding] | None:
        """Write the compressed package to ``out``; what its weights became, by name (None: floats)."""
        if self.recipe.scheme in FLOATS:
            shutil.copytree(self.package, out)
            return None
        stored: dict[str, Encoding] = {}
        choose = self._encoding if self.chosen is None else self._chosen

        def note(weight: Weight) -> Encoding | None:
            made = choose(weight)
            if made is not None:
                stored[weight.name] = made
            return made

        save(rewritten(self.package, note, newest=self.newest), out)
        return stored

    def _encoding(self, weight: Weight) -> Encoding | None:
        """Encode as the recipe says; what it keeps finer has 8 bits, and all of its values."""
        recipe, given = self.recipe, self._given(weight)
        bits = recipe.embedding_bits if weight.table else recipe.weight_bits
        if recipe.scheme != "sparse" and bits > FINER:
            return None
        if given.value.size < _SMALL:
            return encoders.per_channel(given.value)
        if component(given.name) in recipe.finer:
            return given.best(given.int8_candidates())
        if not recipe.sparsity:
            return self._whole(given, bits)
        mask = given.kept(recipe.sparsity)
        return Sparse(mask, self._whole(given.pruned(mask), bits))

    def _whole(self, given: CalibratedWeight, bits: int) -> DenseEncoding:
        recipe = self.recipe
        if recipe.scheme == "sparse":
            return given.floats()
        if recipe.scheme == "channels":
            return given.best(given.int8_candidates())
        if recipe.scheme == "palette":
            return given.palette(bits, recipe.block_size, integers=recipe.table_bits == FINER)
        return given.blocks(bits, recipe.block_size)

    def _given(self, weight: Weight) -> CalibratedWeight:
        name, value = self.names.get(weight.name, weight.name), weight.value.astype(np.float32)
        return CalibratedWeight(name, value, self.study)

    def _chosen(self, weight: Weight) -> Encoding | None:
        """Encode as the search has chosen."""
        forms = self.chosen or {}
        return forms[weight.name].encode(self._given(weight)) if weight.name in forms else None
