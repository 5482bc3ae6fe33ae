"""Models traced from PyTorch: export, fuse and quantize (ONNX Runtime and our own), describe.

With a cached export, PyTorch is not loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack import cache, memory, plugins
from edgepack.arrays import Feeds, Outputs, Runs
from edgepack.documents import JsonObject
from edgepack.errors import BundleError, ConversionError, UnsupportedModel
from edgepack.formats import _positions
from edgepack.formats.onnx._recipes import uncommon
from edgepack.formats.onnx.export import schemes, trial
from edgepack.original import Original
from edgepack.plans import Plan
from edgepack.records import Artifact, Recipe, Target
from edgepack.runtime.engines import open_session
from edgepack.runtime.engines.onnx import open_briefly
from edgepack.runtime.processing import Processing
from edgepack.tasks import _diffusion, options

TOOLS = ("torch", "transformers", "onnx", "onnxruntime")
_MODEL = "model.onnx"
# How a module is traced and fused, the fastest graph first: (attention as one node where the model asks for it, where
# its code writes it out, ONNX Runtime's patterns).
_WAYS = ((True, True, True), (False, True, True), (False, False, True), (False, False, False))
_REASON = 240  # characters of onnxruntime's
_ELSEWHERE = "docs/supported.md lists what works"


@dataclass(frozen=True)
class Traced:
    """An exported and fused float32 graph."""

    path: Path
    denied: tuple[str, ...] = ()  # operators that the target lacks
    in_bands: bool = False  # whether it decodes images, which can be done part by part
    mix: Sequence[Sequence[float]] = ()  # of the channels that the graph is fed, where it is to begin with that

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Feeds]) -> Artifact:
        """Compress as ``recipe`` says, and describe the result."""
        scheme = schemes.find(recipe.scheme)
        contents = plugins.load_module("edgepack.formats.onnx.export.contents")
        coverage = scheme.quantize(self.path, out, recipe, calibration)
        plugins.load_module("edgepack.formats.onnx.export.plain").write_out(out, self.denied)
        if self.mix:
            plugins.load_module("edgepack.formats.onnx.export.mix").put_before(out, self.mix)
        if self.in_bands:
            plugins.load_module("edgepack.formats.onnx.export.bands").write(out)
        artifact: Artifact = contents.describe(out, coverage, self.path)
        return artifact


def check(plan: Plan) -> None:
    """Raises UnsupportedModel for positions that change with a text's length; what else cannot be traced shows then."""
    _positions.check(plan)


def unsupported(recipe: Recipe) -> str:
    """Say in a clause what ``recipe`` asks for that ONNX Runtime has not; "" where it has all of it."""
    known = schemes.names()
    if recipe.scheme not in known:
        return f"there are the schemes {', '.join(known)}"
    return uncommon(recipe)


def open(path: Path, threads: int) -> Runs:
    """Open the graph at ``path``."""
    return open_session(path, "onnx", threads)


def prepare(original: Original, plan: Plan, calibration: Sequence[Feeds]) -> Traced:
    """Return the graph of ``original``, from the cache when the same was made before.

    Raises UnsupportedModel where no way of tracing gives a graph that computes what the module does.
    """
    source, task, target = original.source, original.task, plan.target
    config, processing = plan.config, plan.processing
    facts = {
        "model": source.name,
        "sha256": source.sha256,
        "task": task.NAME,
        "inputs": _inputs(processing, calibration),
        "opset": target.opset,
        "ir_version": target.ir_version,
        "tools": plugins.versions(TOOLS),
    }
    shape = {"heads": _first(config, _HEADS), "hidden": _first(config, _HIDDEN)}

    def make(folder: Path) -> None:
        axes = options(task).axes or {}
        trials = [trial.smaller(feeds, axes) for feeds in trial.batches(calibration, processing.text)]
        if odd := trial.resized(trials[0], axes):
            trials = [*odd, *trials[2:]]  # maps of a row are of other sides
        wanted = [_outputs(original, feeds) for feeds in trials]
        problems = []
        for way in _WAYS:
            try:
                _trace(original, folder, target, (trials[-1], wanted), way, **shape)
                difference = _difference(folder / _MODEL, trials, wanted)
            except ConversionError as problem:
                problems.append(str(problem))
                continue
            memory.release()  # the session's weights
            if not difference:
                return
            problems.append(difference)
        raise UnsupportedModel(
            f"{source.name} cannot be exported to ONNX{_positions.kinds(config)}: {problems[-1]}", hint=_ELSEWHERE
        )

    made = cache.fetch("exports", facts, make) / _MODEL
    decodes = task.NAME == _diffusion.VAE_DECODER.NAME
    return Traced(made, target.denied_operators, in_bands=decodes, mix=processing.mix)


def _difference(path: Path, trials: Sequence[Feeds], wanted: Sequence[Outputs]) -> str:
    """Return trial.difference's word. Raises ConversionError for a graph that onnxruntime does not open."""
    try:
        session = open_briefly(path)
    except BundleError as error:
        reason = str(error).rsplit("failed:", 1)[-1]
        raise ConversionError(f"onnxruntime does not open the graph: {reason[:_REASON]}") from error
    return trial.difference(session, trials, wanted)


def _trace(
    original: Original,
    folder: Path,
    target: Target,
    batch: tuple[Feeds, Sequence[Outputs]],
    way: tuple[bool, bool, bool],
    **shape: int,
) -> None:
    """Write the graph as _MODEL into ``folder``, in one of _WAYS.

    ``batch`` is what it is traced with, and what the module gives for several inputs, this one last. Raises
    ConversionError.
    """
    own_attention, join_eager, patterns = way
    feeds, wanted = batch
    plain = folder / "plain.onnx"
    memory.release()
    original.forget()
    export = plugins.load_module("edgepack.formats.onnx.export.trace").export
    tables = export(
        original.module,
        plain,
        batch=(feeds, wanted[-1]),
        outputs=options(original.task).graph_outputs or original.task.OUTPUTS,
        opset=target.opset,
        own_attention=own_attention,
        axes=options(original.task).axes,
        weights_aside=options(original.task).weights_aside,
    )
    original.close()
    plugins.load_module("edgepack.formats.onnx.export.fuse").fuse(
        plain,
        folder / _MODEL,
        model_type=original.source.model_type,
        ir_version=target.ir_version,
        tables=tables,
        shapes={name: [outputs[name].shape for outputs in wanted] for name in wanted[-1]},
        join_eager=join_eager,
        patterns=patterns,
        **shape,
    )
    plain.unlink()
    tables.clear()
    memory.release()


_HEADS = ("num_attention_heads", "n_heads", "n_head")
_HIDDEN = ("hidden_size", "dim", "n_embd")


def _inputs(processing: Processing, calibration: Sequence[Feeds]) -> Sequence[str]:
    if processing.image:
        return [processing.image.input]
    return processing.text.inputs if processing.text else list(calibration[0])


def _outputs(original: Original, feeds: Feeds) -> Outputs:
    """Return what the module gives, hidden states too."""
    outputs: Outputs = plugins.load_module("edgepack.original.pytorch").run(
        original.module, feeds, options(original.task).graph_outputs or original.task.OUTPUTS
    )
    return outputs


def _first(config: JsonObject, names: Sequence[str]) -> int:
    """Return the first of ``names`` that the config has; 0 lets the fusion look for itself."""
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), 0)
