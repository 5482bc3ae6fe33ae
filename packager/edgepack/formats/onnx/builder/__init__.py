"""Language models: from safetensors to a quantized ONNX graph, written a tensor at a time.

PyTorch and transformers have no part in it; the memory that it takes is a few pieces of one weight.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgepack.arrays import Array, Feeds, Runs
from edgepack.decoders import describe
from edgepack.errors import ConversionError, UnsupportedModel
from edgepack.formats.onnx._recipes import uncommon
from edgepack.formats.onnx.builder import genai, heads, linear
from edgepack.formats.onnx.builder.builder import Builder
from edgepack.formats.onnx.builder.emit import Emitter
from edgepack.formats.onnx.builder.experts import fused
from edgepack.formats.onnx.builder.partitioned import PartitionedSession
from edgepack.formats.onnx.builder.sequences import AnyMask, RightPadded, Sequences
from edgepack.formats.onnx.builder.store import Store
from edgepack.formats.onnx.builder.weights import Weights
from edgepack.formats.onnx.builder.writer import Writer
from edgepack.original import Original
from edgepack.original.decoder import Reference
from edgepack.plans import Plan
from edgepack.quantization.calibration import Calibration
from edgepack.records import Artifact, Recipe, TensorSpec
from edgepack.runtime import graphs
from edgepack.runtime.processing import Generation
from edgepack.tasks import read_config

TOOLS = ("numpy", "onnx-ir")
_SCHEMES = ("blocks", "fp16", "fp32")


@dataclass(frozen=True, kw_only=True)
class Described:
    """A decoder's description with its weights, to be written for ``context`` tokens at most."""

    reference: Reference
    model: Path  # its folder
    layout: str
    context: int
    opset: int
    ir_version: int
    denied: tuple[str, ...] = ()  # operators that the target lacks

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Artifact:
        """Return the graph at ``out`` and its weights in ``<out>_data``, and what clients of the layout ask for.

        Those of a flat folder: the graph that gives the last token's logits alone, and onnxruntime-genai's settings.
        """
        checkpoint = self.reference.checkpoint
        ids = [feeds["input_ids"] for feeds in calibration]
        with Store(out.with_name(f"{out.name}_data")) as store:
            calibrated = Calibration(self.reference, ids, recipe.block_size) if ids else None
            writer = Writer(store, recipe, calibrated, tied=checkpoint.decoder.tied)
            builder = self._write(out, writer, lambda g: AnyMask(g, asked=not self.flat))
            files = [out, store.file]
            if self.flat:
                placed = heads.placed(checkpoint.decoder)
                self._write(graphs.last(out), writer, lambda g: RightPadded(g, placed=placed))
                files.append(graphs.last(out))
                genai.write(checkpoint.decoder, self.model, graphs.last(out), self.context)
        return Artifact(
            path=out,
            format="onnx",
            opset=self.opset,
            inputs=tuple(_spec(value) for value in builder.inputs),
            outputs=tuple(_spec(value) for value in builder.outputs),
            components=writer.tally.components,
            coverage=writer.tally.coverage,
            operators=builder.operators,
            bytes=sum(file.stat().st_size for file in files),
        )

    @property
    def flat(self) -> bool:
        """True if it is for onnxruntime-genai and our own runtime, which take a graph of their own."""
        return self.layout == "flat"

    def _write(self, out: Path, writer: Writer, sequences: Callable[[Builder], Sequences]) -> Builder:
        """Return a graph at ``out`` over the weights of ``writer``, which stores each once."""
        builder, checkpoint = Builder(), self.reference.checkpoint
        Emitter(checkpoint, Weights(builder, writer, self.denied), sequences(builder), self.context).emit()
        version = importlib.metadata.version("edgepack")
        name = checkpoint.decoder.model_type
        model = builder.model(name, opset=self.opset, ir_version=self.ir_version, producer=version)
        out.write_bytes(ir.serde.serialize_model(model).SerializeToString(deterministic=True))
        return builder


def check(plan: Plan) -> None:
    """Raises UnsupportedModel for experts and linear attention where the target's runtime has no operator of theirs,
    and for a model whose caches transformers.js would make in other shapes.
    """
    decoder = describe(read_config(plan.source.path / "config.json"))
    experts = decoder.experts is not None and fused(decoder.experts)
    for there, what, operators in (
        (experts, "a mixture of experts", ("MoE", "QMoE")),
        (decoder.recurring, "linear attention", linear.OPERATORS),
    ):
        denied = sorted(set(operators) & set(plan.target.denied_operators))
        if there and denied:
            raise UnsupportedModel(
                f"{plan.target.name} cannot run {what}: its runtime lacks {' and '.join(denied)}",
                hint="choose another target, for example --target desktop",
            )
    if plan.target.layout == "transformers.js" and plan.processing.section(Generation).states is not None:
        raise UnsupportedModel(
            f"{plan.source.name}: its layers keep caches of several shapes, which graphs of a "
            f"{plan.config['model_type']} for transformers.js are not written with",
            hint="targets with the layout flat take it, for example --target rpi",
        )


def unsupported(recipe: Recipe) -> str:
    """Say in a clause what ``recipe`` asks for that language models cannot be given; "" where they can."""
    if recipe.scheme not in _SCHEMES:
        return f"language models have the schemes {', '.join(_SCHEMES)}"
    return uncommon(recipe)


def prepare(original: Original, plan: Plan, calibration: Sequence[Feeds]) -> Described:
    """Check the files; the weights are read when they are written."""
    target = plan.target
    return Described(
        reference=original.module,
        model=original.source.path,
        layout=target.layout,
        context=plan.processing.section(Generation).max_length,
        opset=target.opset,
        ir_version=target.ir_version,
        denied=target.denied_operators,
    )


def open(path: Path, threads: int) -> Runs:
    """Open the graph at ``path`` a part at a time: it may be larger than the memory."""
    return PartitionedSession(path, threads, ("logits",))


def _spec(value: ir.Value) -> TensorSpec:
    if value.shape is None or value.dtype is None:
        raise ConversionError(f"the graph's {value.name} has no shape")
    shape = tuple(side if isinstance(side, int) else str(side.value) for side in value.shape)
    return TensorSpec(name=str(value.name), dtype=value.dtype.numpy().name, shape=shape)
