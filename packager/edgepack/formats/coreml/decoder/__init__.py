"""Language models: from safetensors to a Core ML package, written a tensor at a time.

PyTorch and transformers have no part in it; the memory that it takes is a few pieces of one weight.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.errors import DoesNotFit
from edgepack.formats.coreml.decoder import program
from edgepack.formats.coreml.decoder.emit import Emitter
from edgepack.formats.coreml.decoder.store import Store
from edgepack.formats.coreml.decoder.weights import Weights
from edgepack.formats.coreml.decoder.writer import Writer
from edgepack.formats.quantization.calibration import Calibration
from edgepack.original import Original
from edgepack.original.decoder import Reference
from edgepack.records import Artifact, Recipe
from edgepack.runtime.types import Feeds

TOOLS = ("numpy", "coremltools")


@dataclass(frozen=True, kw_only=True)
class Described:
    """A decoder's description with its weights, to be written for ``context`` tokens at most."""

    reference: Reference
    name: str  # by which swift-transformers looks for a tokenizer, where the app has none
    context: int
    opset: int  # 18 or newer: it has states and blocks
    most: int | None = None  # bytes of weights in one file; a device may refuse more, and the model is not split

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Feeds]) -> Artifact:
        """The package at ``out``. Raises DoesNotFit where it has more weights than may be in one file."""
        checkpoint = self.reference.checkpoint
        decoder = checkpoint.decoder
        ids = [feeds["input_ids"] for feeds in calibration]
        with Store(program.weight_file(out)) as store:
            calibrated = Calibration(self.reference, ids, recipe.block_size) if ids else None
            writer = Writer(store, recipe, calibrated, tied=decoder.tied)
            weights = Weights(writer)
            made = program.build(decoder, self.context, Emitter(checkpoint, weights, self.context).emit)
        self._check(sum(component.bytes for component in writer.components), recipe)
        operators = program.save(made, weights.blobs, out, self._told(recipe))
        inputs, outputs = program.interface(decoder)
        return Artifact(
            path=out,
            format="coreml",
            opset=self.opset,
            inputs=inputs,
            outputs=outputs,
            components=writer.components,
            coverage=writer.coverage,
            operators=operators,
            bytes=sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        )

    def _check(self, stored: int, recipe: Recipe) -> None:
        if self.most is not None and stored > self.most:
            raise DoesNotFit(
                f"{recipe.name} leaves {stored / 1e9:.2f} GB of weights; one file may hold {self.most / 1e9:.2f} GB",
                hint="take a recipe with fewer bits, or a smaller model: edgepack does not split language models",
            )

    def _told(self, recipe: Recipe) -> dict[str, str]:
        version = importlib.metadata.version("edgepack")
        return {"co.huggingface.exporters.name": self.name, "edgepack.version": version, "edgepack.recipe": recipe.name}


def prepare(
    original: Original, opset: int, recipe: Recipe, processing: Mapping[str, Any], calibration: Sequence[Feeds]
) -> Described:
    """Nothing but a look at the files: the weights are read when they are written."""
    source = original.source
    name = source.model if source.revision else source.name
    return Described(reference=original.module, name=name, context=int(processing["max_length"]), opset=opset)
