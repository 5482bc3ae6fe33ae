"""The study of a model, from the cache where it was made before; of a search the measuring is shared by fine-tunes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepack import cache, plugins
from edgepack.arrays import Feeds
from edgepack.documents import Json, JsonDict, JsonObject, read_json
from edgepack.formats import SEARCHED
from edgepack.formats.coreml import _requirements as requirements
from edgepack.formats.coreml.export import excerpts
from edgepack.original import Original
from edgepack.records import Recipe
from edgepack.tasks import _diffusion

if TYPE_CHECKING:  # what imports PyTorch is loaded when it is needed
    from edgepack.formats.coreml.export.sensitivity import Study

_STUDY, _FILE = "study.npz", 2  # and how it is laid out
_KIND, _COSTS, _LOSSES = "sensitivities", "what errors of single weights cost", "losses.json"
# sides of the maps that a submodel is fed where each of its weights is tried
_CROPPED = {
    _diffusion.UNET.NAME: {"sample": 16},
    _diffusion.VAE_DECODER.NAME: {"latent_sample": 16},
    _diffusion.VAE_ENCODER.NAME: {"sample": 128},
}


def shared(original: Original, calibration: Sequence[Feeds], facts: JsonObject) -> JsonDict:
    """Return the facts of all models whose equal weights cost the same: of a pipeline its fine-tunes too.

    What was recorded of a fine-tune are other values, of the same shapes and prompts.
    """
    inputs: Json = _digest(calibration)
    if original.task.NAME in _diffusion.NAMES:
        inputs = [{name: list(array.shape) for name, array in batch.items()} for batch in calibration]
    return {**{key: facts[key] for key in ("format", "task", "tools")}, "inputs": inputs}


def _digest(calibration: Sequence[Feeds]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for batch in calibration for array in batch.values())).hexdigest()


def find(
    original: Original, recipe: Recipe, calibration: Sequence[Feeds], facts: JsonObject, shared: JsonObject
) -> Study | None:
    """Return what calibration tells of the weights; of a search what errors of each cost, too."""
    if recipe.scheme in requirements.FLOATS:
        return None
    module = plugins.load_module("edgepack.formats.coreml.export.sensitivity")
    outputs, diffused = _judged(original), original.task.NAME in _diffusion.NAMES
    searched = recipe.scheme == SEARCHED

    def make(folder: Path) -> None:
        found = module.study(original.module, calibration, outputs, kernels=diffused)
        if searched:
            batches = _tried(original, calibration)
            found = replace(found, losses=_losses(original, batches, outputs, shared))
            if original.task.NAME == _diffusion.UNET.NAME:
                losses = plugins.load_module("edgepack.formats.coreml.export.losses")
                found = replace(found, passed=losses.passed(original.module, batches, outputs, _diffusion.TEXTS))
        found.save(folder / _STUDY)

    asked = {"inputs": _digest(calibration), "losses": searched, "outputs": list(outputs), "file": _FILE}
    folder = cache.fetch("studies", {**facts, **asked}, make)
    study: Study = module.load(folder / _STUDY)
    return study


def _judged(original: Original) -> tuple[str, ...]:
    """Return the outputs by which a model's weights are judged: the last, and a vector that the next submodel reads."""
    outputs = original.task.OUTPUTS
    return (*(name for name in outputs[:-1] if name == _diffusion.VECTOR), outputs[-1])


def _tried(original: Original, calibration: Sequence[Feeds]) -> Sequence[Feeds]:
    """Return the excerpts of ``calibration`` on which it is tried what errors cost."""
    if original.task.NAME not in _diffusion.NAMES:
        return excerpts.few(calibration)
    return excerpts.joined(excerpts.cropped(excerpts.spread(calibration), _CROPPED.get(original.task.NAME, {})))


def _losses(
    original: Original, batches: Sequence[Feeds], outputs: tuple[str, ...], shared: JsonObject
) -> dict[str, float]:
    """Return what errors of each weight cost, by its name; a fine-tune shares what it shares weights for."""
    module = plugins.load_module("edgepack.formats.coreml.export.losses")
    facts = {**shared, "model": _COSTS, "architecture": module.architecture(original.module), "outputs": list(outputs)}
    before = cache.find(_KIND, facts)
    known = read_json(before / _LOSSES) if before else {}
    found = module.losses(original.module, batches, outputs, known, original.forget)
    if found.keys() - known.keys():
        table = json.dumps({**known, **found}, sort_keys=True)
        cache.store(_KIND, facts, lambda folder: _write(folder / _LOSSES, table))
    return {key.partition(" ")[0]: loss for key, loss in found.items()}


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
