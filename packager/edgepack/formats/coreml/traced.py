"""Models traced from PyTorch: converted once for each opset (cached), compressed for each recipe, described."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack import cache, memory, plugins
from edgepack.original import Original
from edgepack.records import Artifact, Recipe

TOOLS = ("torch", "transformers", "coremltools")
_NAMES = "names.json"
_NEWEST = 18  # the opset with blocks, groups and integers of less than a byte


@dataclass(frozen=True)
class Traced:
    """A float program, and its weights' names in PyTorch by those in the program."""

    path: Path
    opset: int
    names: Mapping[str, str]

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, np.ndarray]]) -> Artifact:
        """Compressed as ``recipe`` says, and described."""
        schemes = plugins.load_module("edgepack.formats.coreml.schemes")
        contents = plugins.load_module("edgepack.formats.coreml.contents")
        stored = schemes.compress(self.path, out, recipe, self.names, newest=self.opset >= _NEWEST)
        artifact: Artifact = contents.describe(out, self.opset, self.path, self.names, stored)
        return artifact


def prepare(original: Original, opset: int, recipe: Recipe, processing: Mapping[str, Any]) -> Traced:
    """The program of ``original``, from the cache when the same was made before."""
    source, task = original.source, original.task
    bits = 32 if recipe.scheme == "fp32" else 16
    facts = {
        "format": "coreml",
        "model": source.name,
        "sha256": source.sha256,
        "task": task.NAME,
        "opset": opset,
        "bits": bits,
        "tools": plugins.versions(TOOLS),
    }

    def make(folder: Path) -> None:
        memory.release()
        convert = plugins.load_module("edgepack.formats.coreml.convert")
        names = convert.convert(original.module, source, task, processing, folder / "model.mlpackage", opset, bits)
        original.close()
        (folder / _NAMES).write_text(json.dumps(names), "utf-8")
        memory.release()

    folder = cache.fetch("exports", facts, make)
    return Traced(folder / "model.mlpackage", opset, json.loads((folder / _NAMES).read_text("utf-8")))
