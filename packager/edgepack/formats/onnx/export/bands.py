"""A decoder of latents cut into graphs that follow each other, most of which can be computed band by band.

runtime/diffusion/bands.py runs them. At the resolution of images activations take most of the memory, so that behind
the first enlargement each graph takes some rows of its input and gives those of its output. A convolution reads a few
rows more (``halo``); a group normalisation reads the whole map: its mean and variance are inputs, and what they are
computed from, means of each row and of its squares, are what another graph gives, which lies before and has the nodes
up to there. Weights are not written again: the graphs point to where the model's own lie.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import attributes
from edgepack.runtime import graphs
from edgepack.runtime.diffusion.bands import GROUPS, HALO, MEAN, ROWS, SCALE, SQUARES, VARIANCE

_NORM, _ENLARGED = "InstanceNormalization", "Resize"
# Operators that make a row of the same row of their inputs
_POINTWISE = {"Add", "Clip", "Div", "Mul", "QuickGelu", "Relu", "Sigmoid", "Sub", "Tanh"}
_LARGE = 1 << 14  # bytes; smaller weights are written again
_SEARCHED = 4096  # bytes of a weight by which it is found in the model's file


@dataclass(frozen=True, kw_only=True)
class _Norm:
    """A group normalisation: ``nodes`` that make ``output`` of ``map``."""

    nodes: tuple[NodeProto, ...]
    map: str
    output: str
    groups: int
    epsilon: float
    weight: str
    bias: str


@dataclass(kw_only=True)
class _Part:
    """The nodes from the map ``first`` to the map ``last``, and the rows that these read around one; None: all rows.

    ``reach`` has them for each map between.
    """

    first: str
    last: str
    nodes: list[NodeProto] = field(default_factory=list)
    norms: list[_Norm] = field(default_factory=list)
    reach: dict[str, Fraction] = field(default_factory=dict)
    halo: int | None = None
    scale: int = 1


def write(path: Path) -> None:
    """Write the graphs of the decoder at ``path`` beside it; none where no part of it can be computed in bands."""
    cutter = _Cutter(onnx.load(path, load_external_data=False))
    parts = cutter.parts()
    if all(part.halo is None for part in parts):
        return
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        protos = (cutter.proto(part, norm) for part in parts for norm in (*range(len(part.norms)), None))
        for index, proto in enumerate(protos):
            for tensor in proto.graph.initializer:
                _point(tensor, path.name, data)
            graphs.part(path, index).write_bytes(proto.SerializeToString(deterministic=True))


def _point(tensor: TensorProto, file: str, data: mmap.mmap) -> None:
    """Let a large ``tensor`` that the model's ``file`` holds point to it there."""
    raw = tensor.raw_data
    if tensor.data_location == TensorProto.EXTERNAL or len(raw) < _LARGE:
        return
    place = data.find(raw[:_SEARCHED])
    while data[place : place + len(raw)] != raw:
        place = data.find(raw[:_SEARCHED], place + 1)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", place), ("length", len(raw))):
        tensor.external_data.add(key=key, value=str(value))


class _Cutter:
    def __init__(self, model: ModelProto) -> None:
        self._model, graph = model, model.graph
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._constant: dict[str, NodeProto] = {}  # what is made of weights alone
        self._nodes: list[NodeProto] = []
        for node in graph.node:
            fixed = all(name in self._weights or name in self._constant for name in node.input if name)
            if fixed:
                self._constant |= dict.fromkeys(node.output, node)
            else:
                self._nodes.append(node)
        self._makers = {name: node for node in self._nodes for name in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in self._nodes:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    def parts(self) -> list[_Part]:
        """Return the parts, in order; the rows of those before the first enlargement are few, and all taken."""
        cuts = [*self._cuts(), (len(self._nodes), self._output)]
        made, start, first, large = [], 0, self._input, False
        for end, last in cuts:
            part = _Part(first=first, last=last, nodes=self._nodes[start:end])
            large = large or any(node.op_type == _ENLARGED for node in part.nodes)
            if large:
                self._measure(part)
            made.append(part)
            start, first = end, last
        return made

    def _cuts(self) -> Iterator[tuple[int, str]]:
        """Yield the maps that all which follows is made of, before a normalisation or an enlargement, and the nodes up
        to there; between two of them lies a normalisation.
        """
        left = {name: len(readers) for name, readers in self._readers.items()}
        live, normed = {self._input}, False
        for index, node in enumerate(self._nodes[:-1], 1):
            normed = normed or node.op_type == _NORM
            for name in node.input:
                if name in left:
                    left[name] -= 1
                    live -= {name} if not left[name] else set()
            live |= {name for name in node.output if name in self._readers}
            if normed and len(live) == 1 and self._is_cut(next(iter(live))):
                yield index, next(iter(live))
                normed = False

    def _is_cut(self, name: str) -> bool:
        readers = self._readers[name]
        return any(node.op_type == _ENLARGED or self._norm(node) is not None for node in readers)

    def _norm(self, first: NodeProto) -> _Norm | None:
        """Return the group normalisation that begins with the node ``first``."""
        if first.op_type != "Reshape":
            return None
        (norm,) = self._only(first, _NORM) or [None]
        (back,) = (self._only(norm, "Reshape") if norm is not None else None) or [None]
        (scaled,) = (self._only(back, "Mul") if back is not None else None) or [None]
        (moved,) = (self._only(scaled, "Add") if scaled is not None else None) or [None]
        if norm is None or back is None or scaled is None or moved is None:
            return None
        shape = self._makers.get(back.input[1])
        one, zero, into = (self._value(name) for name in (norm.input[1], norm.input[2], first.input[1]))
        plain = one is not None and zero is not None and np.all(one == 1) and not np.any(zero)
        if shape is None or list(shape.input) != [first.input[0]] or not plain or into is None or len(into) != 3:
            return None
        return _Norm(
            nodes=(first, norm, shape, back, scaled, moved),
            map=first.input[0],
            output=moved.output[0],
            groups=int(into[1]),
            epsilon=float(attributes(norm).get("epsilon", 1e-5)),
            weight=scaled.input[1],
            bias=moved.input[1],
        )

    def _only(self, node: NodeProto, kind: str) -> list[NodeProto] | None:
        """Return the node that alone reads what ``node`` makes, if it is of a ``kind``."""
        readers = self._readers.get(node.output[0], [])
        return readers if len(readers) == 1 and readers[0].op_type == kind else None

    def _value(self, name: str) -> Array | None:
        if name in self._weights:
            return numpy_helper.to_array(self._weights[name])
        node = self._constant.get(name)
        return numpy_helper.to_array(attributes(node)["value"]) if node is not None else None

    def _measure(self, part: _Part) -> None:
        """Find the norms of a part and how many rows it reads; where it has another operator, it takes all rows."""
        found = [norm for norm in map(self._norm, part.nodes) if norm is not None]
        inside = {id(node) for norm in found for node in norm.nodes}
        reach, scale = {part.first: Fraction(0)}, {part.first: 1}
        outputs = {id(norm.nodes[-1]): norm for norm in found}
        for node in part.nodes:
            if id(node) in inside and id(node) not in outputs:
                continue
            read = [outputs[id(node)].map] if id(node) in outputs else [name for name in node.input if name in reach]
            factor, radius = (1, 0) if id(node) in outputs else self._rows(node)
            if not factor or not read:
                return
            scale[node.output[0]] = factor * scale[read[0]]
            reach[node.output[0]] = max(reach[name] for name in read) + Fraction(radius, scale[read[0]])
        part.norms, part.reach, part.scale = found, reach, scale[part.last]
        part.halo = math.ceil(reach[part.last])

    def _rows(self, node: NodeProto) -> tuple[int, int]:
        """Return how many rows ``node`` makes of one, and how many it reads above and below; (0, 0): all of them."""
        facts = attributes(node)
        if node.op_type in _POINTWISE:
            return 1, 0
        if node.op_type == "Conv":
            height, width = facts["kernel_shape"]
            even = list(facts["pads"]) == [height // 2, width // 2] * 2 and height % 2 == width % 2 == 1
            plain = even and set(facts["strides"]) == set(facts["dilations"]) == {1}
            return (1, height // 2) if plain else (0, 0)
        if node.op_type == _ENLARGED and len(node.input) == 3 and facts["mode"] == b"nearest":
            factors = self._value(node.input[2])
            if factors is not None and list(factors) == [1, 1, factors[2], factors[2]] and factors[2] == 2:
                return 2, 0
        return 0, 0

    def proto(self, part: _Part, norm: int | None) -> ModelProto:
        """Return a part as a model of its own, or what measures rows for one of its norms."""
        wanted = [part.last] if norm is None else [f"{ROWS}{norm}", f"{SQUARES}{norm}"]
        nodes = list(part.nodes)
        for index, found in enumerate(part.norms):
            place = next(i for i, node in enumerate(nodes) if node is found.nodes[-1])
            nodes[place : place + 1] = [*_measured(found, index), *_normalised(found, index)]
        nodes = _needed(nodes, wanted)
        nodes = [*self._constants(nodes), *nodes]
        read = {name for node in nodes for name in node.input}
        inputs = [helper.make_tensor_value_info(part.first, TensorProto.FLOAT, [1, *"chw"])]
        for index, found in enumerate(part.norms[:norm]):
            for name in (f"{MEAN}{index}", f"{VARIANCE}{index}"):
                inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, found.groups, 1]))
        sides = [1, "d", "y", "x"] if norm is None else [1, "d", "y"]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in wanted]
        weights = [tensor for name, tensor in self._weights.items() if name in read]
        graph = helper.make_graph(nodes, wanted[0], inputs, outputs, weights)
        model = helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version)
        if part.halo is not None:
            facts = {HALO: part.halo, SCALE: part.scale}
            if norm is not None:
                facts |= {HALO: math.ceil(part.reach[part.norms[norm].map]), GROUPS: part.norms[norm].groups}
            helper.set_model_props(model, {name: str(fact) for name, fact in facts.items()})
        return model

    def _constants(self, nodes: Sequence[NodeProto]) -> list[NodeProto]:
        """Return the nodes that make of weights what ``nodes`` read, in order."""
        made: list[NodeProto] = []
        for node in nodes:
            for name in node.input:
                maker = self._constant.get(name)
                if maker is not None and not any(one is maker for one in made):
                    made += [one for one in self._constants([maker]) if not any(one is other for other in made)]
                    made.append(maker)
        return made


def _needed(nodes: Sequence[NodeProto], wanted: Sequence[str]) -> list[NodeProto]:
    """Return those of ``nodes``, in order, that make what is ``wanted``."""
    read, kept = set(wanted), []
    for node in reversed(nodes):
        if read & set(node.output):
            kept.append(node)
            read |= set(node.input)
    return kept[::-1]


def _measured(norm: _Norm, index: int) -> list[NodeProto]:
    """Return the nodes that give the mean of each row of a norm's map, and of its squares."""
    name = f"{norm.output}_square"
    return [
        helper.make_node("ReduceMean", [norm.map], [f"{ROWS}{index}"], name=f"{ROWS}{index}", axes=[3], keepdims=0),
        helper.make_node("Mul", [norm.map, norm.map], [name], name=name),
        helper.make_node("ReduceMean", [name], [f"{SQUARES}{index}"], name=f"{SQUARES}{index}", axes=[3], keepdims=0),
    ]


def _normalised(norm: _Norm, index: int) -> list[NodeProto]:
    """Return the nodes that normalise with a given mean and variance [1, groups, 1]."""
    name = norm.output

    def made(kind: str, inputs: list[str], output: str, **more: object) -> NodeProto:
        return helper.make_node(kind, inputs, [output], name=output, **more)

    def constant(value: Array, output: str) -> NodeProto:
        return made("Constant", [], output, value=numpy_helper.from_array(value, output))

    def of_channels(source: str, output: str) -> list[NodeProto]:
        """Repeat [1, groups, 1] for the channels of a group: [channels, 1, 1]."""
        return [
            made("Add", [source, f"{name}_zeros"], f"{output}_each"),
            made("Reshape", [f"{output}_each", f"{name}_channels"], output),
        ]

    return [
        constant(np.array([norm.groups, -1], np.int64), f"{name}_groups"),
        constant(np.array([-1, 1, 1], np.int64), f"{name}_channels"),
        constant(np.array(norm.epsilon, np.float32), f"{name}_epsilon"),
        made("Reshape", [norm.weight, f"{name}_groups"], f"{name}_weights"),
        made("Sub", [f"{name}_weights", f"{name}_weights"], f"{name}_zeros"),
        made("Add", [f"{VARIANCE}{index}", f"{name}_epsilon"], f"{name}_positive"),
        made("Sqrt", [f"{name}_positive"], f"{name}_deviation"),
        *of_channels(f"{name}_deviation", f"{name}_deviations"),
        *of_channels(f"{MEAN}{index}", f"{name}_means"),
        made("Div", [norm.weight, f"{name}_deviations"], f"{name}_scale"),
        made("Mul", [f"{name}_means", f"{name}_scale"], f"{name}_moved"),
        made("Sub", [norm.bias, f"{name}_moved"], f"{name}_shift"),
        made("Mul", [norm.map, f"{name}_scale"], f"{name}_scaled"),
        made("Add", [f"{name}_scaled", f"{name}_shift"], name),
    ]
