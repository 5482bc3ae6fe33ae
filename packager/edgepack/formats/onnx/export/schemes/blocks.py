"""Weights in blocks of 4 or 8 bits along k (MatMulNBits); activations are rounded to 8 bits per block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import Graph, contrib
from edgepack.formats.onnx.export import compression
from edgepack.formats.onnx.export.linears import Linear
from edgepack.formats.onnx.export.smooth import factors
from edgepack.quantization.rounding import blocks, blockwise
from edgepack.records import Coverage, Recipe

_FINER = 128  # block size of the parts that keep 8 bits
_ACCURACY_LEVEL = 4  # of MatMulNBits: multiply in int8, which Arm and x86 do fastest


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Coverage:
    """Compress every linear layer and embedding table of ``model``; ``recipe.finer`` components keep 8 bits."""

    return compression.run(model, out, recipe, calibration, partial(step, recipe))


def step(recipe: Recipe, graph: Graph, linear: Linear, rows: Array | None) -> None:
    """Compress one layer, given a sample of what enters it."""
    finer = linear.component in recipe.finer
    bits, size = (8, _FINER) if finer else (recipe.weight_bits, recipe.block_size)
    weight = graph.take(linear.weight)
    s = _factors(rows, weight, bits, size) if rows is not None and recipe.smooth else None
    nodes, source = compression.scaled(graph, linear, s)
    importance = None if rows is None else np.square(rows if s is None else rows / s).mean(axis=0)
    stored = blocks(np.ascontiguousarray((weight if s is None else weight * s[:, None]).T), bits, size, importance)
    inputs = [
        source,
        graph.add(f"{linear.weight}_q{bits}", stored.packed()),
        graph.add(f"{linear.weight}_scale", stored.scale.reshape(-1)),
    ]
    k, n = linear.shape
    product = contrib(
        "MatMulNBits",
        inputs,
        [linear.output],
        K=k,
        N=n,
        bits=bits,
        block_size=size,
        accuracy_level=_ACCURACY_LEVEL,
    )
    graph.rewrite(linear.node, [*nodes, product])


def _factors(rows: Array, weight: Array, bits: int, size: int) -> Array | None:
    return factors(
        rows,
        weight,
        lambda w: blocks(np.ascontiguousarray(w.T), bits, size).restored().T,
        lambda x: blockwise(x, size),
    )
