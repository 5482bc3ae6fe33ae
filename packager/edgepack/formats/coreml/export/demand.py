"""The demand of a model on a budget of bytes: the forms that each of its weights may have, and what each costs.

A form's error in the outputs of the weight's own layer is measured (of a large weight on some of its rows) and kept in
the cache by the weight's hash, so that another size, and a fine-tune for the weights that it shares, need no measuring.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack import cache
from edgepack.arrays import Array
from edgepack.documents import JsonObject, read_json
from edgepack.errors import DoesNotFit
from edgepack.formats.coreml.export import search
from edgepack.formats.coreml.export.compression import Weight, weights
from edgepack.formats.coreml.export.forms import CHANNELS, EVERYWHERE, NEWEST, Form
from edgepack.formats.coreml.export.losses import reference
from edgepack.formats.coreml.export.sensitivity import Study
from edgepack.formats.coreml.export.weight import CalibratedWeight
from edgepack.units import size

_LARGE, _PART = 1 << 22, 1 << 19  # values; of a larger weight so many are tried
# bytes of a weight beside its numbers: names, and where it begins; in iOS 16 by form, and zero points of its rows
_ROOM, _PALETTE, _CHANNELS = 320, 256, 360
_KIND, _SHARED, _FILE = "sensitivities", "errors of forms of single weights", "errors.json"
_PLACE = "\0"  # between the names of a model and of its weight


@dataclass(frozen=True)
class Demand:
    """The bytes of a package without its weights, and what each weight may be, by its name in the program."""

    fixed: int
    options: Mapping[str, Sequence[search.Option[Form]]]

    @property
    def least(self) -> int:
        """The bytes of the smallest package."""
        return self.fixed + sum(min(option.bytes for option in some) for some in self.options.values())


def divide(demands: Mapping[str, Demand], budget: int) -> dict[str, dict[str, Form]]:
    """Return the forms of each model's weights, of ``budget`` bytes together, such that their losses add up to least.

    A loss is the share of noise in what a model gives, or of a text encoder in what the UNet makes of that: the share
    of each counts the same. Raises DoesNotFit.
    """
    options = {
        f"{name}{_PLACE}{weight}": some for name, demand in demands.items() for weight, some in demand.options.items()
    }
    chosen = search.choose(options, budget - sum(demand.fixed for demand in demands.values()))
    if chosen is None:
        raise DoesNotFit(
            f"the model takes at least {size(sum(demand.least for demand in demands.values()))}, not {size(budget)}",
            hint="allow more, or take a smaller model",
        )
    divided: dict[str, dict[str, Form]] = {name: {} for name in demands}
    for place, form in chosen.items():
        name, _, weight = place.partition(_PLACE)
        divided[name][weight] = form
    return divided


def demand(
    package: Path, names: Mapping[str, str], study: Study, facts: JsonObject, *, newest: bool, passed: float = 1.0
) -> Demand:
    """Return the demand of the float program at ``package``; ``names`` are PyTorch's, by those in the program.

    ``facts`` tell of all models whose equal weights cost the same; ``newest`` allows iOS 18's forms. Of the noise in
    what this model gives, ``passed`` reaches what counts.
    """
    found = weights(package)
    fixed = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
    fixed -= sum(weight.value.nbytes for weight in found)
    forms = (*EVERYWHERE, *(NEWEST if newest else ()))
    errors = _errors(found, names, study, facts, forms)
    options = {}
    for weight in found:
        shape, loss = weight.value.shape, study.losses.get(names.get(weight.name, weight.name), 1.0)
        options[weight.name] = [
            search.Option(form, _bytes(form, shape, newest), passed * loss * ratio)
            for form, ratio in zip(forms, errors[weight.name], strict=True)
        ]
    return Demand(fixed, options)


def _bytes(form: Form, shape: tuple[int, ...], newest: bool) -> int:
    """Return what a weight of ``shape`` takes in the package."""
    if newest:
        return form.bytes(shape) + _ROOM
    return form.bytes(shape) + (_CHANNELS + shape[0] if form.kind == CHANNELS.kind else _PALETTE)


def _errors(
    found: Sequence[Weight], names: Mapping[str, str], study: Study, facts: JsonObject, forms: Sequence[Form]
) -> dict[str, list[float]]:
    """Return the errors of each weight's ``forms``, as multiples of what it has where its loss was measured."""
    shapes = {weight.name: list(weight.shape) for weight in found}
    shared = {**facts, "model": _SHARED, "forms": [repr(form) for form in forms], "weights": shapes}
    before = cache.find(_KIND, shared)
    known = read_json(before / _FILE) if before else {}
    measured, news = {}, dict[str, list[float]]()
    for weight in found:
        key = f"{weight.name} {hashlib.sha256(np.ascontiguousarray(weight.value).data).hexdigest()}"
        if key not in known:
            given = CalibratedWeight(names.get(weight.name, weight.name), _float32(weight.value), study)
            known[key] = news[key] = ratios(given, forms, whole=weight.table)
        measured[weight.name] = known[key]
    if news:
        cache.store(_KIND, shared, lambda folder: _write(folder / _FILE, json.dumps(known, sort_keys=True)))
    return measured


def ratios(given: CalibratedWeight, forms: Sequence[Form], *, whole: bool) -> list[float]:
    """Return the errors of ``forms``, as multiples of that of ``losses.reference``."""
    part = given if whole else given.part(_LARGE, _PART)
    coarse = max(part.error(reference(part.value)), 1e-30)
    return [part.error(form.encode(part).restored()) / coarse for form in forms]


def _float32(value: Array) -> Array:
    return value.astype(np.float32)


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
