"""What each recipe does to the weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.errors import DoesNotFit
from edgepack.formats.coreml import search
from edgepack.formats.coreml.compressed import Form, blockwise, compensated, palettized, per_channel
from edgepack.formats.coreml.compression import Weight, weights
from edgepack.formats.coreml.compression import compress as rewritten
from edgepack.formats.coreml.package import save
from edgepack.formats.coreml.study import Study, reference
from edgepack.formats.quantization.components import component
from edgepack.records import FINER, Recipe
from edgepack.runtime.types import Array
from edgepack.units import size

_FLOATS = ("fp32", "fp16")
_BLOCK = 32  # of the forms that a search may choose
_SMALL = 1024  # values; a smaller weight gains nothing by less than 8 bits per channel


@dataclass(frozen=True)
class Compression:
    """A recipe for the program at ``package``. ``names`` are PyTorch's, by those in the program."""

    package: Path
    recipe: Recipe
    names: Mapping[str, str]
    study: Study
    newest: bool  # whether iOS 18's forms may be used

    def run(self, out: Path) -> dict[str, Form] | None:
        """Write the compressed package to ``out``; what its weights became, by name (None: floats).

        Raises DoesNotFit where a budget is too small.
        """
        if self.recipe.scheme in _FLOATS:
            shutil.copytree(self.package, out)
            return None
        stored: dict[str, Form] = {}
        choose = self._searched() if self.recipe.scheme == "mixed" else self._form

        def note(weight: Weight) -> Form | None:
            made = choose(weight)
            if made is not None:
                stored[weight.name] = made
            return made

        save(rewritten(self.package, note, newest=self.newest), out)
        return stored

    def _form(self, weight: Weight) -> Form | None:
        """As the recipe says; what it keeps finer has 8 bits."""
        recipe, name = self.recipe, self.names.get(weight.name, weight.name)
        bits = recipe.embedding_bits if weight.table else recipe.weight_bits
        bits = max(bits, FINER) if component(name) in recipe.finer else bits
        if bits > FINER:
            return None
        value = weight.value.astype(np.float32)
        if value.size < _SMALL:
            return per_channel(value)
        if bits == FINER:
            return self._best(name, value, self._eights(name, value))
        if recipe.scheme == "palette":
            return palettized(value, bits, recipe.block_size, self._importance(name, value))
        return self._blocks(name, value, bits, recipe.block_size)

    def _eights(self, name: str, value: Array) -> list[Form]:
        return [per_channel(value), palettized(value, FINER, 0, self._importance(name, value))]

    def _blocks(self, name: str, value: Array, bits: int, size: int) -> Form:
        moments = self.study.moments.get(name)
        return blockwise(value, bits, size) if moments is None else compensated(value, bits, size, moments)

    def _importance(self, name: str, value: Array) -> Array | None:
        return self.study.importance(name, value.size // len(value))

    def _error(self, name: str, value: Array, restored: Array) -> float:
        return self.study.error(name, (restored - value).reshape(len(value), -1))

    def _best(self, name: str, value: Array, forms: list[Form]) -> Form:
        return min(forms, key=lambda form: self._error(name, value, form.restored()))

    def _searched(self) -> Callable[[Weight], Form | None]:
        found = weights(self.package)
        options = {weight.name: self._options(weight) for weight in found}
        fixed = sum(file.stat().st_size for file in self.package.rglob("*") if file.is_file())
        fixed -= sum(weight.value.nbytes for weight in found)
        chosen = search.choose(options, self.recipe.max_bytes - fixed - len(found) * _ROOM)
        if chosen is None:
            least = fixed + sum(min(option.form.bytes for option in some) for some in options.values())
            raise DoesNotFit(
                f"the model takes {size(least)} at least, not {size(self.recipe.max_bytes)}",
                hint="allow more, or take a smaller model",
            )
        return lambda weight: chosen.get(weight.name)

    def _options(self, weight: Weight) -> list[search.Option]:
        name, value = self.names.get(weight.name, weight.name), weight.value.astype(np.float32)
        if value.size < _SMALL:
            return [search.Option(per_channel(value), 0.0)]
        importance = self._importance(name, value)
        forms: list[Form] = [*self._eights(name, value), *(palettized(value, bits, 0, importance) for bits in (6, 4))]
        if self.newest:
            forms += [palettized(value, 3, 0, importance), blockwise(value, FINER, _BLOCK)]
            forms += [self._blocks(name, value, 4, _BLOCK)]
        coarse = self._error(name, value, reference(value))
        worth = self.study.losses.get(name, 1.0) / max(coarse, 1e-30)
        return [search.Option(form, worth * self._error(name, value, form.restored())) for form in forms]


_ROOM = 320  # bytes that a weight takes beside its numbers: names, and where it begins
