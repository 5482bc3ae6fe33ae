"""Language models: from safetensors to Core ML packages, written a tensor at a time.

PyTorch and transformers have no part in it; the memory that it takes is a few pieces of one weight.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coremltools.converters.mil.mil import Program

from edgepack.arrays import Feeds, Runs
from edgepack.coreml.chain import PART
from edgepack.coreml.folder import PACKAGES
from edgepack.decoders import describe
from edgepack.errors import UnsupportedModel
from edgepack.formats.coreml import _requirements as requirements
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.builder import program, signature
from edgepack.formats.coreml.builder.emit import Emitter, filled
from edgepack.formats.coreml.builder.parts import Part, shard
from edgepack.formats.coreml.builder.program import About
from edgepack.formats.coreml.builder.store import Blob, Store
from edgepack.formats.coreml.builder.weights import Weights
from edgepack.formats.coreml.builder.writer import Writer
from edgepack.original import Original
from edgepack.original.decoder import Reference
from edgepack.plans import Plan
from edgepack.quantization.calibration import Calibration
from edgepack.quantization.tally import Tally
from edgepack.records import Artifact, Recipe
from edgepack.runtime.engines.coreml import Session
from edgepack.runtime.processing import Generation
from edgepack.tasks import read_config

TOOLS = ("numpy", "coremltools")
_SCHEMES = {"fp16": (), "channels": (8,), "blocks": (4, 8), "palette": (4, 6)}
_HELD = 1 << 29  # bytes of weights that may stay in memory while the package is compared
EXPORTER = "co.huggingface.exporters.name"  # by it swift-transformers looks for a tokenizer, where the app has none


@dataclass(frozen=True, kw_only=True)
class Described:
    """A decoder's description with its weights, to be written for ``context`` tokens at most."""

    reference: Reference
    about: About
    context: int
    opset: int  # 18 or newer: it has states and blocks
    most: int | None = None  # bytes of weights in one file

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Feeds]) -> Artifact:
        """Return the package at ``out``, or a folder of several beside it where the weights are more than fit into one
        file.

        Raises DoesNotFit where a weight alone does not, UsageError for lengths that no text can be made with.
        """
        checkpoint = self.reference.checkpoint
        signature.check(recipe.lengths)
        parts = shard(checkpoint, recipe, signature.slots(self.context, recipe.lengths), self.most)
        ids = [feeds["input_ids"] for feeds in calibration]
        width = recipe.block_size if recipe.scheme == "blocks" else 0  # of palettes it counts rows
        calibrated = Calibration(self.reference, ids, width) if ids else None
        tally, operators = Tally(), Counter[str]()
        path = out if len(parts) == 1 else out.with_suffix(PACKAGES)
        for part in parts:
            package = path if len(parts) == 1 else path / f"{part.name}{out.suffix}"
            with Store(program.weight_file(package)) as store:
                writer = Writer(store, recipe, calibrated, tally, tied=checkpoint.decoder.tied)
                written = self._written(part, writer)
            operators += program.save(*written, package, self._about(recipe, part))
        inputs, outputs = signature.interface(checkpoint.decoder, self.context, recipe.lengths)
        return Artifact(
            path=path,
            format="coreml",
            opset=self.opset,
            inputs=inputs,
            outputs=outputs,
            components=tally.components,
            coverage=tally.coverage,
            operators=dict(sorted(operators.items())),
            bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        )

    def _written(self, part: Part, writer: Writer) -> tuple[Program, dict[str, Blob]]:
        """Return the program of ``part``, and the blobs that its constants are."""
        checkpoint, lengths = self.reference.checkpoint, writer.recipe.lengths
        slots = signature.slots(self.context, lengths)
        blobs: dict[str, Blob] = {}

        def emit(inputs: Mapping[str, Var]) -> Var:
            weights = Weights(writer, blobs)
            return Emitter(checkpoint, weights, part, self.context, slots).emit(inputs)

        functions = signature.functions(checkpoint.decoder, part, self.context, lengths)
        return program.build(functions, emit), blobs

    def _about(self, recipe: Recipe, part: Part) -> About:
        version = importlib.metadata.version("edgepack")
        told = {**self.about.told, "edgepack.version": version, "edgepack.recipe": recipe.name}
        if part.of > 1:
            told[PART] = part.name
        odd = signature.odd(self.reference.checkpoint.decoder)
        if recipe.lengths and odd:
            told["edgepack.neural-engine"] = odd
        return replace(self.about, told=told)


def check(plan: Plan) -> None:
    """Raises UnsupportedModel for linear attention, whose states what fills a text up would enter, and for a model
    without attention, whose packages tell by a cache where its tokens lie.
    """
    decoder = describe(read_config(plan.source.path / "config.json"))
    if decoder.recurring:
        raise filled()
    if decoder.gate_dim or (decoder.experts and decoder.experts.shared):
        raise UnsupportedModel(
            "gates of attention and of a shared expert are not written as Core ML", hint="--target rpi takes the model"
        )
    if not decoder.caching:
        raise UnsupportedModel(
            "Core ML packages take no model of short convolutions alone", hint="--target rpi takes the model"
        )


def unsupported(recipe: Recipe) -> str:
    """Say in a clause what ``recipe`` asks for that language models cannot be given; "" where they can."""
    return requirements.unsupported(recipe, _SCHEMES, whose="language models have", values=(16,), sparse=False)


def open(path: Path, threads: int) -> Runs:
    """Open the package at ``path``, of whose weights few stay in memory."""
    return Session(path, threads, held=_HELD)


def prepare(original: Original, plan: Plan, calibration: Sequence[Feeds]) -> Described:
    """Check the files; the weights are read when they are written.

    Raises UsageError where the profile's systems have no states.
    """
    source = original.source
    opset = requirements.opset(plan.target, plan.recipe, states=True)
    about = About(
        title=f"{source.name}: {original.task.TITLE}",
        author=source.credited,
        licence=source.licence or "not stated",
        version=source.revision or source.sha256[:12],
        told={EXPORTER: source.credited},
    )
    return Described(
        reference=original.module,
        about=about,
        context=plan.processing.section(Generation).max_length,
        opset=opset,
        most=plan.target.file_limit,
    )
