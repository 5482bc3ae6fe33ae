"""Compression of the weights, as each recipe asks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.errors import DoesNotFit
from edgepack.formats.coreml._package import save
from edgepack.formats.coreml._requirements import FLOATS
from edgepack.formats.coreml.export import encoders, search
from edgepack.formats.coreml.export.compressed import DenseEncoding, Encoding, Sparse
from edgepack.formats.coreml.export.compression import Weight, weights
from edgepack.formats.coreml.export.compression import compress as rewritten
from edgepack.formats.coreml.export.forms import CHANNELS, EVERYWHERE, NEWEST, Form
from edgepack.formats.coreml.export.sensitivity import Study, reference
from edgepack.formats.coreml.export.weight import CalibratedWeight
from edgepack.quantization.components import component
from edgepack.records import FINER, Recipe
from edgepack.units import size

_LARGE, _PART = 1 << 22, 1 << 19  # values; of a larger weight so many are tried by a search
_SMALL = 1024  # values; a smaller weight gains nothing by less than 8 bits per channel


@dataclass(frozen=True)
class Compression:
    """A recipe for the program at ``package``. ``names`` are PyTorch's, by those in the program."""

    package: Path
    recipe: Recipe
    names: Mapping[str, str]
    study: Study
    newest: bool  # whether iOS 18's encodings may be used

    def run(self, out: Path) -> dict[str, Encoding] | None:
        """Write the compressed package to ``out``; what its weights became, by name (None: floats).

        Raises DoesNotFit where a budget is too small.
        """
        if self.recipe.scheme in FLOATS:
            shutil.copytree(self.package, out)
            return None
        stored: dict[str, Encoding] = {}
        choose = self._searched() if self.recipe.scheme == "mixed" else self._encoding

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

    def _searched(self) -> Callable[[Weight], Encoding | None]:
        found: list[Weight] = weights(self.package)
        options = {weight.name: self._options(weight) for weight in found}
        fixed = sum(file.stat().st_size for file in self.package.rglob("*") if file.is_file())
        fixed -= sum(weight.value.nbytes for weight in found)
        fixed += sum(_ROOM + (0 if self.newest else len(weight.value)) for weight in found)
        del found  # and their values
        chosen = search.choose(options, self.recipe.max_bytes - fixed)
        if chosen is None:
            least = fixed + sum(min(option.bytes for option in some) for some in options.values())
            raise DoesNotFit(
                f"the model takes at least {size(least)}, not {size(self.recipe.max_bytes)}",
                hint="allow more, or take a smaller model",
            )
        return lambda weight: chosen[weight.name].encode(self._given(weight)) if weight.name in chosen else None

    def _options(self, weight: Weight) -> list[search.Option[Form]]:
        """Return the forms that ``weight`` may have, with what each costs; of a large one by a part of its rows."""
        given = self._given(weight)
        shape = given.value.shape
        if given.value.size < _SMALL:
            return [search.Option(CHANNELS, CHANNELS.bytes(shape), 0.0)]
        forms = [*EVERYWHERE, *(NEWEST if self.newest else ())]
        part = given if weight.table else given.part(_LARGE, _PART)
        coarse = part.error(reference(part.value))
        worth = self.study.losses.get(given.name, 1.0) / max(coarse, 1e-30)
        return [
            search.Option(form, form.bytes(shape), worth * part.error(form.encode(part).restored())) for form in forms
        ]


# bytes that a weight takes beside its numbers: names, and where it begins; in iOS 16 zero points of its rows too
_ROOM = 320
