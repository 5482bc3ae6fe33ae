"""Models traced from PyTorch: converted once for each opset (cached), compressed for each recipe, described."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgepack import cache, memory, plugins
from edgepack.arrays import Feeds, Runs
from edgepack.coreml import chain
from edgepack.coreml.folder import PACKAGES
from edgepack.documents import JsonDict, JsonObject, read_json
from edgepack.formats import _positions
from edgepack.formats.coreml import _requirements as requirements
from edgepack.original import Original
from edgepack.plans import Plan
from edgepack.records import Artifact, Recipe
from edgepack.runtime.engines import open_session
from edgepack.runtime.processing import Classes, Processing
from edgepack.tasks import _diffusion

TOOLS = ("torch", "transformers", "coremltools")
_PROGRAM, _NAMES, _STUDY = "model.mlpackage", "names.json", "study.npz"
_LOSSES, _SHARED = "losses.json", "what errors of single weights cost"
# sides of the maps that a submodel is fed where each of its weights is tried
_CROPPED = {
    _diffusion.UNET.NAME: {"sample": 16},
    _diffusion.VAE_DECODER.NAME: {"latent_sample": 16},
    _diffusion.VAE_ENCODER.NAME: {"sample": 128},
}
_DIFFUSION = "edgepack.formats.coreml.export.diffusion"
_HALF = 2  # bytes of a weight, as the Neural Engine's compiler restores it
_SCHEMES = {
    "fp32": (), "fp16": (), "channels": (8,), "blocks": (4, 8), "palette": (1, 2, 3, 4, 6, 8), "sparse": (), "mixed": ()
}  # fmt: skip


@dataclass(frozen=True)
class Traced:
    """A float program, its weights' names in PyTorch by those in the program, and what calibration tells of them."""

    path: Path
    opset: int
    names: Mapping[str, str]
    study: Any  # study.Study; None for recipes that compress nothing
    labels: Sequence[str]  # of a classifier
    most: int | None = None  # bytes of restored weights in one file, where a model can be split

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Feeds]) -> Artifact:
        """Compress as ``recipe`` says, and describe the result."""
        schemes = plugins.load_module("edgepack.formats.coreml.export.schemes")
        contents = plugins.load_module("edgepack.formats.coreml.export.contents")
        newest = self.opset >= requirements.NEWEST
        stored = schemes.Compression(self.path, recipe, self.names, self.study, newest=newest).run(out)
        if self.labels:
            plugins.load_module("edgepack.formats.coreml.export.classifier").label(out, self.labels)
        artifact: Artifact = contents.describe(out, self.opset, self.path, self.names, stored)
        restored = _HALF * sum(part.parameters for part in artifact.components)
        return artifact if self.most is None or restored <= self.most else _split(artifact)


def _split(artifact: Artifact) -> Artifact:
    """Split the package in two, which lie in a folder of the package's name."""
    folder = artifact.path.with_suffix(PACKAGES)
    plugins.load_module("edgepack.formats.coreml.export.diffusion.chunks").split(artifact.path, chain.chunks(folder))
    shutil.rmtree(artifact.path)
    operators = sum((part.operators for part in chain.Chain(folder).parts), Counter[str]())
    return replace(
        artifact,
        path=folder,
        operators=dict(sorted(operators.items())),
        bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    )


def check(plan: Plan) -> None:
    """Raises UnsupportedModel for positions that change with a text's length; what else cannot be traced shows then."""
    _positions.check(plan)


def unsupported(recipe: Recipe) -> str:
    """Say in a clause what ``recipe`` asks for that Core ML has not; "" where it has all of it."""
    return requirements.unsupported(recipe, _SCHEMES, whose="there are", values=(8, 16), sparse=True)


def open(path: Path, threads: int) -> Runs:
    """Open the package at ``path``."""
    return open_session(path, "coreml", threads)


def prepare(original: Original, plan: Plan, calibration: Sequence[Feeds]) -> Traced:
    """Return the float program of ``original`` and its study, from the cache when the same were made before.

    Raises UsageError where the profile's systems lack what the recipe needs.
    """
    recipe, processing, opset = plan.recipe, plan.processing, requirements.opset(plan.target, plan.recipe)
    facts = {
        "format": "coreml",
        "model": original.source.name,
        "sha256": original.source.sha256,
        "task": original.task.NAME,
        "tools": plugins.versions(TOOLS),
    }
    diffused = original.task.NAME in _diffusion.NAMES
    found = _study(original, recipe, calibration, facts)
    if diffused:
        folder = _diffused(original, opset, recipe, calibration[0], facts)
    else:
        folder = _program(original, opset, recipe, processing, facts)
    names = read_json(folder / _NAMES)
    classes = _classes(processing)
    most = plan.target.file_limit if original.task.NAME == _diffusion.UNET.NAME else None
    return Traced(folder / _PROGRAM, opset, names, found, classes.labels if classes else (), most)


def _classes(processing: Processing) -> Classes | None:
    """Return the classes whose probabilities a row of logits leads to; None for other answers, and for regression."""
    answer = processing.answer
    return answer if isinstance(answer, Classes) and answer.problem_type != "regression" else None


def _program(original: Original, opset: int, recipe: Recipe, processing: Processing, facts: JsonObject) -> Path:
    bits = 32 if recipe.scheme == "fp32" else 16
    classes = _classes(processing)
    problem = classes.problem_type if classes else None
    wanted = {"opset": opset, "bits": bits, "lengths": recipe.lengths, "problem": problem}

    def make(folder: Path) -> None:
        memory.release()
        convert = plugins.load_module("edgepack.formats.coreml.export.convert")
        out = folder / _PROGRAM
        names = convert.convert(original.module, original.source, original.task, processing, out, **wanted)
        original.close()
        (folder / _NAMES).write_text(json.dumps(names), "utf-8")
        memory.release()

    return cache.fetch("exports", {**facts, **wanted}, make)


def _diffused(original: Original, opset: int, recipe: Recipe, feeds: Feeds, facts: JsonObject) -> Path:
    """Return the program of a pipeline's submodel, which takes what has the shapes of ``feeds``."""
    wanted = {"opset": opset, "bits": 32 if recipe.scheme == "fp32" else 16}
    shapes = {name: list(array.shape) for name, array in feeds.items()}

    def make(folder: Path) -> None:
        memory.release()
        diffusion = plugins.load_module(_DIFFUSION)
        names = diffusion.convert(original.module, original.source, original.task, feeds, folder / _PROGRAM, **wanted)
        original.close()
        (folder / _NAMES).write_text(json.dumps(names), "utf-8")
        memory.release()

    return cache.fetch("exports", {**facts, **wanted, "shapes": shapes}, make)


def _study(original: Original, recipe: Recipe, calibration: Sequence[Feeds], facts: JsonObject) -> Any:
    """Return what calibration tells of the weights; of a search what errors of each cost, too."""
    if recipe.scheme in requirements.FLOATS:
        return None
    module = plugins.load_module("edgepack.formats.coreml.export.sensitivity")
    outputs, diffused = original.task.OUTPUTS[-1:], original.task.NAME in _diffusion.NAMES
    searched = recipe.scheme == "mixed"
    inputs = hashlib.sha256(b"".join(array.tobytes() for batch in calibration for array in batch.values())).hexdigest()

    def make(folder: Path) -> None:
        found = module.study(original.module, calibration, outputs, kernels=diffused)
        losses = _losses(original, calibration, {**facts, "inputs": inputs}) if searched else {}
        replace(found, losses=losses).save(folder / _STUDY)

    folder = cache.fetch("studies", {**facts, "inputs": inputs, "losses": searched}, make)
    return module.load(folder / _STUDY)


def _losses(original: Original, calibration: Sequence[Feeds], facts: JsonDict) -> dict[str, float]:
    """Return what errors of each weight cost, by its name; a fine-tune shares what it shares weights for.

    Its recorded inputs are other ones then, of the same shapes and prompts.
    """
    module = plugins.load_module("edgepack.formats.coreml.export.sensitivity")
    if original.task.NAME in _diffusion.NAMES:
        calibration = module.cropped(calibration, _CROPPED.get(original.task.NAME, {}))
        facts["inputs"] = [{name: list(array.shape) for name, array in batch.items()} for batch in calibration]
    shared = {key: facts[key] for key in ("format", "task", "tools", "inputs")}
    shared |= {"model": _SHARED, "architecture": module.architecture(original.module)}
    before = cache.find("sensitivities", shared)
    known = read_json(before / _LOSSES) if before else {}
    found = module.losses(original.module, calibration, original.task.OUTPUTS[-1:], known)
    if found.keys() - known.keys():
        table = json.dumps({**known, **found}, sort_keys=True)
        cache.store("sensitivities", shared, lambda folder: _write(folder / _LOSSES, table))
    return {key.partition(" ")[0]: loss for key, loss in found.items()}


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
