"""Look into an ONNX file without the package onnx: what it points to, and what would make opening it take for ever.

The protobuf is walked, weights skipped (onnx.proto: ModelProto.graph = 7, training_info = 20, functions = 25;
GraphProto.node = 1, initializer = 5, sparse_initializer = 15; NodeProto.attribute = 5; AttributeProto.t = 5, g = 6,
tensors = 10, graphs = 11, sparse_tensor = 22, sparse_tensors = 23; TensorProto.raw_data = 9, external_data = 13).
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path

from edgepack.errors import BundleDamaged, BundleUnsafe

_FIELDS = 400_000  # of messages that are walked; ours have 13,000
# onnxruntime's optimizers take a time that grows with the square of some chains: 9 to 17 seconds at worst for so many
# steps, by the processor. Of ours BEiT has the most: 450 a layer, and 220 constants beside them; a decoder has 20
_MOST = {"steps": 12_000, "nodes": 30_000, "weights and constants": 20_000}
_LOOSE = 16_000_000  # bytes that are no weights: names, shapes, numbers one by one, which take up to 16 times that
_DEEPEST = 8  # graphs inside each other
_WALKED = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "tensor": {13: "entry"},
    "entry": {},
}
# which no conversion of edgepack writes, and which a small file can make large ones of
_REFUSED = {
    ("model", 25): "functions of its own",
    ("model", 20): "a training graph",
    ("graph", 15): "sparse weights",
    ("attribute", 22): "sparse weights",
    ("attribute", 23): "sparse weights",
}
_TRUST = "--trust opens it all the same"


def check(file: Path, listed: Collection[str]) -> None:
    """Check that the files that ``file`` points to are ``listed``, and that opening it takes little more than its size.

    ``listed`` are names beside the file. Raises BundleUnsafe, BundleDamaged.
    """
    with file.open("rb") as stream:
        if not file.stat().st_size:
            raise BundleDamaged(f"{file} is empty", hint="copy the bundle again")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for location in _Walk(file, data).locations():
                if location not in listed:
                    raise BundleUnsafe(
                        f"{file.name} reads weights from {location!r}, which the manifest does not list",
                        hint="do not use this bundle",
                    )


class _Walk:
    def __init__(self, file: Path, data: mmap.mmap) -> None:
        self._file, self._data = file, data
        self._fields = self._loose = 0
        self._found = dict.fromkeys(_MOST, 0)

    def locations(self) -> Iterator[str]:
        """Yield the locations of external data. Raises BundleUnsafe, BundleDamaged."""
        todo = [("model", 0, len(self._data), 0)]
        while todo:
            kind, start, end, depth = todo.pop()
            if kind == "entry":
                yield from self._location(start, end)
                continue
            if depth > _DEEPEST:
                raise self._unsafe(f"subgraphs nested more than {_DEEPEST} deep")
            fed = False
            for number, first, last in self._messages(start, end):
                if (kind, number) in _REFUSED:
                    raise self._unsafe(_REFUSED[kind, number])
                inner = _WALKED[kind].get(number)
                if inner == "node":
                    self._count("nodes")
                elif inner == "tensor":
                    self._count("weights and constants")
                elif kind == "node" and number == 1 and not fed:  # an input: constants have none
                    fed = True
                    self._count("steps")
                if inner:
                    todo.append((inner, first, last, depth + (inner == "graph")))
                elif (kind, number) != ("tensor", 9):
                    self._loose += last - first
            if self._fields > _FIELDS or self._loose > _LOOSE:
                raise self._unsafe(f"more than {_FIELDS:,} parts, or {_LOOSE:,} bytes beside its weights")

    def _count(self, what: str) -> None:
        self._found[what] += 1
        if self._found[what] > _MOST[what]:
            raise self._unsafe(f"more than {_MOST[what]:,} {what}")

    def _location(self, start: int, end: int) -> Iterator[str]:
        """Yield the value of a StringStringEntryProto (key = 1, value = 2) whose key is "location"."""
        texts = {number: bytes(self._data[first:last]) for number, first, last in self._messages(start, end)}
        if texts.get(1) == b"location":
            yield texts.get(2, b"").decode("utf-8", "replace")

    def _messages(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Number, begin and end of each field that has a length. Raises BundleDamaged."""
        data, place = self._data, start
        while place < end:
            self._fields += 1
            tag = data[place]
            if tag < 128:  # nearly always
                place += 1
            else:
                tag, place = self._varint(place, end)
            kind = tag & 7
            if tag < 8:  # fields are counted from 1: a file that was never written to its end is zeros
                raise self._damaged()
            if kind == 0:
                _, place = self._varint(place, end)
            elif kind == 2:
                length, place = self._varint(place, end)
                yield tag >> 3, place, place + length
                place += length
            elif kind in (1, 5):
                place += 8 if kind == 1 else 4
            else:
                raise self._damaged()
            if place > end:
                raise self._damaged()

    def _varint(self, place: int, end: int) -> tuple[int, int]:
        data = self._data
        value = shift = 0
        while place < end and shift < 64:
            byte = data[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, place
            shift += 7
        raise self._damaged()

    def _unsafe(self, what: str) -> BundleUnsafe:
        return BundleUnsafe(f"{self._file.name} has {what}, and opening it could take forever", hint=_TRUST)

    def _damaged(self) -> BundleDamaged:
        return BundleDamaged(f"{self._file} is not an ONNX file, or cut short", hint="copy the bundle again")
