"""The whole check of one model folder."""

from __future__ import annotations

import copy
import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from edgepack.decoders import describe
from edgepack.documents import JsonDict, JsonObject, read_object
from edgepack.errors import EdgepackError, ModelError, ReadingDiffers
from edgepack.original.library import PretrainedConfig, PretrainedModel
from edgepack.original.oracle import answers, compare, greedy, models
from edgepack.original.oracle.shrink import shrink

CLOSE = 1e-4  # of the largest logit: float32 sums in another order stay below a tenth of it
# Linear attention norms what may be nearly nothing, so that some random models enlarge rounding; a wrong reading shows
# in each of them.
_TRIES = 4
_MOST = 50_000_000  # parameters of a model that is tried with a key left out
_REPORT = "this is a bug in edgepack: please report it with the config.json"


def check(origin: Path, folder: Path) -> JsonDict:
    """Return what was measured: ``difference`` of the logits, ``seconds``. Raises ReadingDiffers, UnsupportedModel.

    ``origin`` is the model as transformers opens it, ``folder`` what is converted.

    ``unmeasured`` says why there is nothing to compare with, where transformers does not know the family.
    """
    begin = time.perf_counter()
    stated = read_object(folder / "config.json", ModelError)
    if not models.knows(stated["model_type"]):
        return {"unmeasured": f"transformers {models.VERSION} does not know the model_type {stated['model_type']!r}"}
    difference = reading(stated)
    answers.check(origin, folder)
    greedy.check(origin, folder)
    return {"difference": difference, "seconds": round(time.perf_counter() - begin, 2)}


def reading(stated: JsonObject) -> float:
    """Return the largest difference of logits by the reading of config.json's content. Raises ReadingDiffers."""
    decoder, config = describe(stated), models.configuration(stated)
    text = config.get_text_config()
    small = shrink(stated, text)
    family = stated["model_type"]
    low = config if decoder.own else _low(config)  # every layer has the same shapes
    wrong = compare.numbers(decoder, text) or compare.shapes(decoder, models.shapes(low, stated))
    if wrong:
        raise ReadingDiffers(f"config.json of this {family}: {wrong}", hint=_REPORT)
    model = models.random(small)
    difference = _difference(small, model)
    for seed in range(1, _TRIES if decoder.recurring and not difference <= CLOSE else 1):
        difference = min(difference, _difference(small, models.random(small, seed)))
    if not difference <= CLOSE:  # NaN is not
        key = _culprit(small)
        where = f"; with {key} left out the two agree" if key else ""
        raise ReadingDiffers(
            f"as edgepack reads its config.json, this {family} computes other logits than transformers "
            f"(by {difference:.1e} of the largest){where}",
            hint=_REPORT,
        )
    wrong = compare.angles(decoder, model, text)
    if wrong:
        raise ReadingDiffers(f"config.json of this {family}: {wrong}", hint=_REPORT)
    return difference


def _low(config: PretrainedConfig) -> PretrainedConfig:
    """Return the same config with few layers."""
    config = copy.deepcopy(config)
    text = config.get_text_config()
    few = min(int(text.num_hidden_layers), compare.LAYERS)
    kinds = getattr(text, "layer_types", None)
    if kinds:
        text.layer_types = kinds[:few]
    text.num_hidden_layers = few
    return config


def _difference(small: JsonObject, model: PretrainedModel) -> float:
    with tempfile.TemporaryDirectory() as kept:
        models.save(model, Path(kept))
        return compare.logits(describe(small), model, Path(kept))


def _culprit(small: JsonObject) -> str:
    """Return the key of config.json, the dotted one of a table in it, without which the two agree; "" for none."""
    for path in _paths(small):
        try:
            without = _without(small, path)
            if _parameters(without) > _MOST:  # a size that the class has by itself
                continue
            if _difference(without, models.random(without)) <= CLOSE:
                return ".".join(path)
        except (EdgepackError, RuntimeError, ValueError, TypeError, KeyError):
            continue  # the model cannot be without it
    return ""


def _parameters(stated: JsonObject) -> int:
    return sum(math.prod(shape) for shape in models.shapes(models.configuration(stated), stated).values())


def _paths(table: JsonObject, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            found += _paths(value, (*before, key))
        if key not in ("model_type", "architectures", "vision_config"):
            found.append((*before, key))
    return found


def _without(table: JsonObject, path: tuple[str, ...]) -> JsonDict:
    key, *rest = path
    if rest:
        return {**table, key: _without(table[key], tuple(rest))}
    return {name: value for name, value in table.items() if name != key}
