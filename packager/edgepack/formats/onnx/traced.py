"""Models traced from PyTorch: export (optimum), fuse and quantize (ONNX Runtime and our own), describe.

With a cached export, PyTorch is not loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack import cache, memory, plugins
from edgepack.original import Original
from edgepack.records import Artifact, Recipe, Target
from edgepack.runtime.session import open_session
from edgepack.runtime.types import Runs

TOOLS = ("torch", "transformers", "optimum-onnx", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Traced:
    """An exported and fused float32 graph."""

    path: Path

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, np.ndarray]]) -> Artifact:
        """Compressed as ``recipe`` says, and described."""
        scheme = plugins.load("formats.onnx.schemes", recipe.scheme)
        contents = plugins.load_module("edgepack.formats.onnx.contents")
        coverage = scheme.quantize(self.path, out, recipe, calibration)
        artifact: Artifact = contents.describe(out, coverage, self.path)
        return artifact


def prepare(original: Original, target: Target, config: Mapping[str, Any], processing: Mapping[str, Any]) -> Traced:
    """The graph of ``original``, from the cache when the same was made before."""
    source, task = original.source, original.task
    facts = {
        "model": source.name,
        "sha256": source.sha256,
        "task": task.NAME,
        "opset": target.opset,
        "ir_version": target.ir_version,
        "tools": plugins.versions(TOOLS),
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

    return Traced(cache.fetch("exports", facts, make) / "model.onnx")


def opened(path: Path, threads: int) -> Runs:
    """The model at ``path``."""
    return open_session(path, threads)


_HEADS = ("num_attention_heads", "n_heads", "n_head")
_HIDDEN = ("hidden_size", "dim", "n_embd")


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of ``names`` that the config has; 0 lets the fusion look for itself."""
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), 0)
