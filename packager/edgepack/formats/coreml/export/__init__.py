"""Models traced from PyTorch: converted once for each opset (cached), compressed for each recipe, described."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepack import cache, memory, plugins
from edgepack.arrays import Feeds, Runs
from edgepack.coreml import chain
from edgepack.coreml.folder import PACKAGES
from edgepack.documents import JsonObject, read_json
from edgepack.formats import _positions
from edgepack.formats.coreml import _requirements as requirements
from edgepack.formats.coreml.export import studies
from edgepack.original import Original
from edgepack.plans import Plan
from edgepack.records import Artifact, Recipe
from edgepack.runtime.diffusion import timing
from edgepack.runtime.engines import open_session
from edgepack.runtime.processing import Classes, Diffusion, Processing
from edgepack.tasks import _diffusion

if TYPE_CHECKING:  # what imports PyTorch is loaded when it is needed
    from edgepack.formats.coreml.export.forms import Form
    from edgepack.formats.coreml.export.sensitivity import Study

TOOLS = ("torch", "transformers", "coremltools")
_PROGRAM, _NAMES = "model.mlpackage", "names.json"
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
    study: Study | None  # None for recipes that compress nothing
    labels: Sequence[str]  # of a classifier
    facts: JsonObject  # that it shares with its fine-tunes
    most: int | None = None  # bytes of restored weights in one file, where a model can be split
    chosen: Mapping[str, Form] | None = None  # by a search: of each weight, by name

    @property
    def newest(self) -> bool:
        """True if iOS 18's encodings may be used."""
        return self.opset >= requirements.NEWEST

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Feeds]) -> Artifact:
        """Compress as ``recipe`` says, and describe the result."""
        schemes = plugins.load_module("edgepack.formats.coreml.export.schemes")
        contents = plugins.load_module("edgepack.formats.coreml.export.contents")
        given = (self.path, recipe, self.names, self.study)
        stored = schemes.Compression(*given, newest=self.newest, chosen=self.chosen).run(out)
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


def within(prepared: Mapping[str, Traced], budget: int, processing: Processing) -> dict[str, Traced]:
    """Return each of ``prepared``, the submodels of a model of that ``processing``, with the forms that its weights get
    of ``budget`` bytes for all.

    Raises DoesNotFit.
    """
    module = plugins.load_module("edgepack.formats.coreml.export.demand")
    unet = next((one.study for one in prepared.values() if one.facts["task"] == _diffusion.UNET.NAME), None)
    passed = dict.fromkeys(_diffusion.TEXT_ENCODERS, unet.passed * _enlarged(processing.diffusion)) if unet else {}
    demands = {
        name: module.demand(
            *(one.path, one.names, one.study, one.facts),
            newest=one.newest,
            passed=passed.get(str(one.facts["task"]), 1.0),
        )
        for name, one in prepared.items()
    }
    divided = module.divide(demands, budget)
    return {name: replace(one, chosen=divided[name]) for name, one in prepared.items()}


def _enlarged(settings: Diffusion | None) -> float:
    """Return how much of the noise of p and e, of each its own, is in e + guidance (p - e) (Ho & Salimans 2022), as a
    square.
    """
    if settings is None or not timing.guided(settings):
        return 1.0
    return settings.guidance**2 + (1 - settings.guidance) ** 2


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
    shared = studies.shared(original, calibration, facts)
    found = studies.find(original, recipe, calibration, facts, shared)
    if diffused:
        folder = _diffused(original, opset, recipe, calibration[0], facts)
    else:
        folder = _program(original, opset, recipe, processing, facts)
    names = read_json(folder / _NAMES)
    classes = _classes(processing)
    most = plan.target.file_limit if original.task.NAME == _diffusion.UNET.NAME else None
    return Traced(folder / _PROGRAM, opset, names, found, classes.labels if classes else (), shared, most)


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
        given = (original.module, original.source, original.task, feeds, folder / _PROGRAM)
        names = diffusion.convert(*given, **wanted, forget=original.forget)
        original.close()
        (folder / _NAMES).write_text(json.dumps(names), "utf-8")
        memory.release()

    return cache.fetch("exports", {**facts, **wanted, "shapes": shapes}, make)
