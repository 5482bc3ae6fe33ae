"""Run a large ONNX model in little memory: some of its nodes at a time, for all inputs, before the next are opened.

The nodes, their weights and their kernels are the file's own; only what one piece hands to the next is held between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from edgepack.arrays import Array, Feeds, Outputs
from edgepack.runtime import graphs
from edgepack.runtime.engines.onnx import Session

_MOST = 128 << 20  # bytes of weights in a piece, unless one node has more


class PartitionedSession:
    """``each(feeds)`` gives the ``outputs`` for each of ``feeds``; a call for one opens the model as a whole."""

    def __init__(self, path: Path, threads: int, outputs: Sequence[str], most: int = _MOST) -> None:
        self._path, self._outputs = path, list(outputs)
        self._model = onnx.load(path, load_external_data=False)
        self._cuts = _Cuts(self._model.graph, self._outputs, most)
        self.threads, self.runtime = threads, f"onnxruntime {onnxruntime.__version__}"

    @property
    def count(self) -> int:
        """Number of parts."""
        return len(self._cuts.pieces)

    def __call__(self, feeds: Mapping[str, Array]) -> Outputs:
        """Return the outputs for one."""
        return self._whole(feeds, self._outputs)

    def each(self, feeds: Sequence[Mapping[str, Array]]) -> Iterator[Outputs]:
        """Yield the outputs for each, in order; the last piece waits until it is asked for them."""
        if self.count == 1:
            yield from map(self, feeds)
            return
        inputs = [value.name for value in self._model.graph.input]
        values: list[Feeds] = [dict(graphs.completed(feed, inputs)) for feed in feeds]
        for number, made in enumerate(self._cuts.results[:-1]):
            session = self._opened(number, values[0])
            for place, known in enumerate(values):
                kept = {name: array for name, array in known.items() if name in self._cuts.needed[number]}
                values[place] = kept | session(known, made)
            del session
        session = self._opened(self.count - 1, values[0])
        for feed, known in zip(feeds, values, strict=True):
            yield graphs.cut(session(known, self._outputs), feed)

    @cached_property
    def _whole(self) -> Session:
        return Session(self._path, self.threads)

    def _opened(self, number: int, known: Mapping[str, Array]) -> Session:
        """Return a piece as a model of its own, its inputs typed as what is ``known`` of them."""
        graph, nodes = self._model.graph, self._cuts.pieces[number]
        used = {name for node in nodes for name in node.input}
        made = {name for node in nodes for name in node.output}
        stored = [tensor for tensor in graph.initializer if tensor.name in used]
        own = [value for value in graph.input if value.name in used]
        constant = {tensor.name for tensor in stored} | {value.name for value in own}
        given = [_typed(name, known[name]) for name in sorted(used - made - constant - {""})]
        results = [onnx.ValueInfoProto(name=name) for name in self._cuts.results[number]]
        piece = helper.make_model(
            helper.make_graph(nodes, f"{graph.name}.{number}", [*own, *given], results, stored),
            opset_imports=self._model.opset_import,
            ir_version=self._model.ir_version,
        )
        return Session(self._path, self.threads, piece.SerializeToString())


class _Cuts:
    """The parts of ``graph``: ``pieces`` of nodes, each one's ``results``, what is ``needed`` later.

    What is computed from weights alone (a scale that is cast) belongs to the piece that uses it.
    """

    def __init__(self, graph: onnx.GraphProto, outputs: Sequence[str], most: int) -> None:
        self._sizes = {tensor.name: _bytes(tensor) for tensor in graph.initializer}
        fed = {value.name for value in graph.input}
        self._folded: dict[str, onnx.NodeProto] = {}
        self.pieces: list[list[onnx.NodeProto]] = [[]]
        held, inside = 0, set[str]()
        for node in graph.node:
            if all(name in self._folded or (name in self._sizes and name not in fed) for name in node.input if name):
                self._folded |= dict.fromkeys(node.output, node)
                continue
            nodes = [*self._behind(node), node]
            weight = sum(self._sizes.get(name, 0) for one in nodes for name in one.input)
            if self.pieces[-1] and held + weight > most:
                self.pieces.append([])
                held, inside = 0, set()
            for one in nodes:
                if one.output[0] not in inside:
                    self.pieces[-1].append(one)
                    inside.add(one.output[0])
            held += weight
        read = [{name for node in piece for name in node.input if name} for piece in self.pieces]
        self.needed = [set(outputs).union(*read[number + 1 :]) for number in range(len(read))]
        self.results = [
            [name for node in piece for name in node.output if name in needed and name not in self._folded]
            for piece, needed in zip(self.pieces, self.needed, strict=True)
        ]

    def _behind(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        for name in node.input:
            if name in self._folded:
                yield from self._behind(self._folded[name])
                yield self._folded[name]


def _typed(name: str, array: Array) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, [None] * array.ndim)


def _bytes(tensor: onnx.TensorProto) -> int:
    return int(prod(tensor.dims) * np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize)
