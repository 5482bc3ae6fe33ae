"""ONNX, in two ways: traced from PyTorch (encoders, classifiers, vision), or described and written (language models).

The modules with heavy libraries are loaded when there is work for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepack import plugins
from edgepack.arrays import Feeds, Runs
from edgepack.decoders import describe
from edgepack.formats import Prepared
from edgepack.formats.onnx.builder import heads
from edgepack.original import Original
from edgepack.records import Artifact, Recipe, Target

SUFFIX = ".onnx"
LENGTHS = False  # graphs take texts of any length
_HALF = 16  # bits
_CLIENT = "transformers.js 4"
# Version 3 (3.8.1, with onnxruntime 1.21) lacks MatMulNBits in 8 bits and GroupQueryAttention's attention_bias
_NEW = {"MatMulNBits", "GroupQueryAttention"}
_WRITTEN = ("fp32", "fp16", "blocks")  # the schemes that language models are written in


def prepare(
    original: Original,
    target: Target,
    recipe: Recipe,
    config: Mapping[str, Any],
    processing: Mapping[str, Any],
    calibration: Sequence[Feeds],
) -> Prepared:
    """The model in its uncompressed form: an exported graph from the cache, or a description and its weights."""
    prepared: Prepared = _way(original).prepare(original, target, config, processing, calibration)
    return prepared


def needs(artifact: Artifact, target: Target) -> str:
    """The operators that a runtime must have, and the clients that have them."""
    told = f"ONNX opset {artifact.opset}"
    if target.layout == "transformers.js" and _NEW & artifact.operators.keys():
        told += f", {_CLIENT} ({target.runtime} {target.runtime_version.removeprefix('>=')} or later)"
    return told


def opened(original: Original, path: Path, threads: int) -> Runs:
    """The model at ``path``, to be held against the original."""
    runs: Runs = _way(original).opened(path, threads)
    return runs


def lacking(task: ModuleType, recipe: Recipe) -> str:
    """What ``recipe`` asks for that models of ``task`` cannot be given, in a clause; "" where nothing is."""
    known = [name for name in plugins.names("formats.onnx.export.schemes") if task.AUTO or name in _WRITTEN]
    if recipe.scheme not in known:
        return f"{'there are' if task.AUTO else 'language models have'} the schemes {', '.join(known)}"
    return "no ONNX runtime has sparse weights or palettes" if recipe.sparsity or recipe.table_bits != _HALF else ""


def check(task: ModuleType, config: Mapping[str, Any]) -> None:
    """Raises UnsupportedModel for a language model whose heads ONNX Runtime cannot turn."""
    if not task.AUTO:
        decoder = describe(config)
        for layer in range(decoder.layers):
            heads.check(decoder, layer)


def tools(original: Original) -> dict[str, str]:
    """The versions that decide what the conversion gives."""
    return plugins.versions(_way(original).TOOLS)


def _way(original: Original) -> Any:
    return plugins.load_module(f"edgepack.formats.onnx.{'export' if original.task.AUTO else 'builder'}")
