"""Products with int8 weights whose activations are rounded as they come, in one term of 8 bits or in two of 7.

The product is MatMulIntegerToFloat: u8 activations by int8 weights with a scale per output channel, which VNNI and
Arm's dot product compute four times as fast as float32. One term is DynamicQuantizeLinear's. Two terms are what 7 bits
give and what they leave, once more: x = s (hi + lo / 126), so that the rounding of activations disappears beside the
weights', at twice the products. Each term has 7 bits, with which no sum of two products leaves 16 bits, whatever the
weights (see rounding.per_channel). Both terms go through one product as two halves of a batch, for each node would keep
a copy of the weights of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import Graph, contrib
from edgepack.formats.onnx.export.linears import Linear
from edgepack.quantization.rounding import per_channel

_MIDDLE, _STEPS = 64, 63  # a term's zero, and the steps to either side of it
_FINER = 2 * _STEPS  # steps of the second term in one of the first
_WIDE = 4  # outputs for one input, beyond which a layer is computed in halves
_END = np.iinfo(np.int64).max
_TINY = 1e-20  # the least size of an activation, so that zeros have a scale


@dataclass(frozen=True)
class Rounded:
    """An activation in u8: its values, with two terms one after the other along the first axis; scale, zero."""

    values: str
    scale: str
    zero: str


@dataclass(frozen=True)
class Stored:
    """The names of a weight's int8 values [k, n], its scales [n] and its bias."""

    values: str
    scale: str
    bias: str


class Products:
    """The products of one graph, with activations in one term or two; one that several layers read is rounded once."""

    def __init__(self, terms: int) -> None:
        self.terms = terms
        self._rounded: dict[str, Rounded] = {}

    def rounded(self, graph: Graph, name: str) -> Rounded:
        """Return the activation ``name`` in u8."""
        if name not in self._rounded:
            nodes, self._rounded[name] = _two(graph, name) if self.terms > 1 else _one(name)
            graph.insert(name, nodes)
        return self._rounded[name]

    def of(self, graph: Graph, factors: Sequence[tuple[str, Stored]], rounded: Rounded, out: str) -> list[NodeProto]:
        """Return the nodes that make ``out`` [.., n], the sum of products: of values [.., k], which have the scale of
        ``rounded``, and a weight each.
        """
        if self.terms == 1:
            return _summed(factors, rounded, out)
        both, flat, total, shape = (f"{out}_{part}" for part in ("both", "flat", "sum", "shape"))
        make = helper.make_node
        return [
            *_summed(factors, rounded, both),
            make("Reshape", [both, _integers(graph, "rows_of_terms", [2, -1])], [flat], name=flat),
            make("MatMul", [_weights(graph), flat], [total], name=total),
            *_half_shape(graph, both, shape),
            make("Reshape", [total, shape], [out], name=out),
        ]

    def linear(self, graph: Graph, linear: Linear) -> list[NodeProto]:
        """Return the nodes that compute a layer: one that widens much, as those of gated units, in halves, so that the
        terms of one are gone when those of the other are made.
        """
        rounded, weight = self.rounded(graph, linear.input), graph.take(linear.weight)
        (inputs, outputs), out = linear.shape, linear.output
        halves = np.array_split(weight, 2 if outputs > _WIDE * inputs else 1, axis=1)
        names = [out] if len(halves) == 1 else [f"{out}_left", f"{out}_right"]
        nodes: list[NodeProto] = []
        for half, name in zip(halves, names, strict=True):
            stored = self.store(graph, linear.weight + name.removeprefix(out), half, "")
            nodes += self.of(graph, [(rounded.values, stored)], rounded, name)
        if len(names) > 1:
            nodes.append(helper.make_node("Concat", names, [out], name=out, axis=-1))
        return nodes

    def store(self, graph: Graph, name: str, matrix: Array, bias: str) -> Stored:
        """Hold the weight ``name``, as the matrix [k, n], in int8; ``bias`` is a constant's name or ""."""
        made = per_channel(matrix, _MIDDLE + _STEPS) if self.terms > 1 else per_channel(matrix)
        if bias and self.terms > 1:  # it is added to each of the two terms
            halves = np.asarray(graph.weight(bias)) * np.float32(_FINER / (_FINER + 1))
            bias = graph.add(f"{bias}_of_two", halves)
        values = graph.add(f"{name}_q8", made.values)
        return Stored(values, graph.add(f"{name}_scale", made.scale.reshape(-1)), bias)


def _summed(factors: Sequence[tuple[str, Stored]], rounded: Rounded, out: str) -> list[NodeProto]:
    """Return the nodes that make the sum of products, each added before the next is computed."""
    last = len(factors) - 1
    sums = [out if index == last else f"{out}_sum_{index}" for index in range(len(factors))]
    nodes: list[NodeProto] = []
    for index, (values, stored) in enumerate(factors):
        product = f"{out}_product_{index}" if index else sums[0]
        inputs = [values, stored.values, rounded.scale, stored.scale, rounded.zero, "", stored.bias]
        while not inputs[-1]:
            inputs.pop()
        nodes.append(contrib("MatMulIntegerToFloat", inputs, [product]))
        if index:
            nodes.append(helper.make_node("Add", [sums[index - 1], product], [sums[index]], name=sums[index]))
    return nodes


def _one(name: str) -> tuple[list[NodeProto], Rounded]:
    parts = [f"{name}_{part}" for part in ("u8", "scale", "zero")]
    return [helper.make_node("DynamicQuantizeLinear", [name], parts, name=parts[0])], Rounded(*parts)


def _two(graph: Graph, name: str) -> tuple[list[NodeProto], Rounded]:
    size, large, scale, fine, high, back, rest, low, both = (
        f"{name}_{part}" for part in ("abs", "largest", "scale", "fine", "hi", "hi_back", "rest", "lo", "terms")
    )
    unit, finer, least = (
        graph.add(constant, np.array(value, np.float32))
        for constant, value in (("step_of_hi", 1 / _STEPS), ("step_of_lo", 1 / _FINER), ("least_size", _TINY))
    )
    zero = graph.add("middle", np.array(_MIDDLE, np.uint8))
    make = helper.make_node
    nodes = [
        make("Abs", [name], [size], name=size),
        make("ReduceMax", [size], [large], name=large, keepdims=0),
        make("Mul", [large, unit], [f"{scale}_of"], name=f"{scale}_of"),
        make("Max", [f"{scale}_of", least], [scale], name=scale),
        make("Mul", [scale, finer], [fine], name=fine),
        make("QuantizeLinear", [name, scale, zero], [high], name=high),
        make("DequantizeLinear", [high, scale, zero], [back], name=back),
        make("Sub", [name, back], [rest], name=rest),
        make("QuantizeLinear", [rest, fine, zero], [low], name=low),
        make("Concat", [high, low], [both], name=both, axis=0),
    ]
    return nodes, Rounded(both, scale, zero)


def _half_shape(graph: Graph, both: str, out: str) -> list[NodeProto]:
    """Return the nodes that make the shape of one term: the first axis holds both."""
    whole, rest = f"{out}_both", f"{out}_rest"
    ends = [_integers(graph, "one", [1]), _integers(graph, "last", [_END])]
    return [
        helper.make_node("Shape", [both], [whole], name=whole),
        helper.make_node("Slice", [whole, *ends], [rest], name=rest),
        helper.make_node("Concat", [_integers(graph, "any", [-1]), rest], [out], name=out, axis=0),
    ]


def _weights(graph: Graph) -> str:
    """Return the name of what the terms weigh. The product with it is the fastest sum of two halves."""
    return graph.add("weights_of_terms", np.array([[1, 1 / _FINER]], np.float32))


def _integers(graph: Graph, name: str, values: list[int]) -> str:
    return graph.add(name, np.array(values, np.int64))
