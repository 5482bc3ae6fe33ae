"""ONNX graphs, for ONNX Runtime."""

from __future__ import annotations

from typing import cast

from edgepack import plugins
from edgepack.formats import Route
from edgepack.records import Artifact, Target

TITLE = "ONNX"
ROUTES = {"export": "build", "builder": "llm"}
SUFFIX = ".onnx"
LENGTHS = False  # graphs take texts of any length
_CLIENT = "transformers.js 4"
# Version 3 (3.8.1, with onnxruntime 1.21) lacks MatMulNBits in 8 bits and GroupQueryAttention's attention_bias
_NEW = {"MatMulNBits", "GroupQueryAttention"}

_LATEST = "onnxruntime 1.32 or later"  # the oldest that was tried; QMoE's accuracy_level is of September 2026
_OF_LATEST = {"QMoE", "CausalConvWithState", "LinearAttention"}


def route(name: str) -> Route:
    """Find one of ROUTES. Raises MissingExtra."""
    return cast(Route, plugins.load("formats.onnx", name))


def needs(artifact: Artifact, target: Target) -> str:
    """Return the operators that a runtime must have, and the clients that have them."""
    told = f"ONNX opset {artifact.opset}"
    if target.layout == "transformers.js" and _NEW & artifact.operators.keys():
        told += f", {_CLIENT} ({target.runtime} {target.runtime_version.removeprefix('>=')} or later)"
    return f"{told}, {_LATEST}" if _OF_LATEST & artifact.operators.keys() else told
