"""ONNX: export (optimum), fuse and quantize (ONNX Runtime and our own), describe.

The modules with heavy libraries are loaded when there is work for them; with a cached export, torch is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack import cache, memory, plugins
from edgepack.original import Original
from edgepack.records import Artifact, Recipe, Target

SUFFIX = ".onnx"
_TOOLS = ("torch", "transformers", "optimum-onnx", "onnx", "onnxruntime")


def prepare(original: Original, target: Target, config: Mapping[str, Any]) -> Path:
    """The exported and fused float32 graph, from the cache when the same was made before."""
    source, task = original.source, original.task
    facts = {
        "model": source.name,
        "sha256": source.sha256,
        "task": task.NAME,
        "opset": target.opset,
        "ir_version": target.ir_version,
        "tools": tools(),
    }

    def make(folder: Path) -> None:
        plain = folder / "plain.onnx"
        memory.release()
        original.forget()
        tables = plugins.load_module("edgepack.formats.onnx.export").export(
            original.module, task, plain, opset=target.opset
        )
        original.close()
        heads, hidden = (_first(config, names) for names in (_HEADS, _HIDDEN))
        plugins.load_module("edgepack.formats.onnx.fuse").fuse(
            plain,
            folder / "model.onnx",
            model_type=source.model_type,
            heads=heads,
            hidden=hidden,
            ir_version=target.ir_version,
            tables=tables,
        )
        plain.unlink()
        tables.clear()
        memory.release()

    return cache.fetch("exports", facts, make) / "model.onnx"


def compress(prepared: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, np.ndarray]]) -> Artifact:
    """Compress ``prepared`` as ``recipe`` says and describe what came of it."""
    scheme = plugins.load("formats.onnx.schemes", recipe.scheme)
    contents = plugins.load_module("edgepack.formats.onnx.contents")
    coverage = scheme.quantize(prepared, out, recipe, calibration)
    artifact: Artifact = contents.describe(out, coverage, prepared)
    return artifact


def tools() -> dict[str, str]:
    """The versions that decide what a conversion gives."""
    return plugins.versions(_TOOLS)


_HEADS = ("num_attention_heads", "n_heads", "n_head")
_HIDDEN = ("hidden_size", "dim", "n_embd")


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of ``names`` that the config has; 0 lets the fusion look for itself."""
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), 0)
