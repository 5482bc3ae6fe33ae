"""The constants of a program: what is stored and how, and their values, read and decompressed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from edgepack.arrays import Array
from edgepack.coreml import folder
from edgepack.coreml.blobs import Blobs
from edgepack.coreml.dense import DENSE
from edgepack.coreml.program import Function, Literal, Operation
from edgepack.errors import EvaluationFailed, PackageDamaged, UnsupportedOperator

_AGAIN = "copy or convert the package again"
_SCHEMES = {
    "constexpr_affine_dequantize": "linear",
    "constexpr_blockwise_shift_scale": "linear",
    "constexpr_lut_to_dense": "palettized",
    "constexpr_lut_to_sparse": "palettized",
    "constexpr_sparse_blockwise_shift_scale": "linear",
    "constexpr_sparse_to_dense": "sparse",
}
_DATA = ("indices", "indices_nonzero_data", "quantized_data", "data", "nonzero_data", "source_val", "val", "lut")


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A weight of the program: a value from the weight file, or one that is decompressed when the model is loaded."""

    name: str  # of the variable that the ops read
    dtype: str  # decompressed
    shape: tuple[int, ...]
    bytes: int  # as stored, with scales, offsets, tables and masks
    scheme: str  # "dense", or of "linear", "palettized" and "sparse" those that apply, joined by "+"
    bits: int  # of a stored weight or index
    readers: tuple[str, ...]  # the ops that use it, sorted

    @property
    def parameters(self) -> int:
        """Number of values."""
        return prod(self.shape)


class Store:
    """The values that a package stores, for all of its functions."""

    def __init__(self, package: Path, model: Path) -> None:
        self._package, self._model = package, model
        self._files: dict[str, Blobs] = {}

    def literal(self, literal: Literal) -> Array:
        """Read it as stored, types below a byte unpacked. Raises PackageDamaged, PackageFileMissing, PackageUnsafe."""
        if not literal.file:
            return np.asarray(literal.value)
        return self._blobs(literal.file).read(literal.offset, literal.dtype, literal.shape)

    def check(self, literal: Literal) -> None:
        """Check that it is where it is said to be. Raises as ``literal`` does."""
        if literal.file:
            self._blobs(literal.file).find(literal.offset, literal.dtype, literal.shape)

    def _blobs(self, file: str) -> Blobs:
        if file not in self._files:
            self._files[file] = Blobs(folder.weight_file(self._package, self._model, file))
        return self._files[file]


class Constants:
    """Those of one function, blocks inside included: ``constants.value(name)``, ``constants.listed()``."""

    def __init__(self, function: Function, store: Store) -> None:
        self._store = store
        self._readers: dict[str, set[str]] = defaultdict(set)
        self._made_by: dict[str, tuple[Operation, int]] = {}
        for operation in function.block.walk():
            if operation.constant:
                for name in operation.names:
                    self._at(name)  # made before, so that nothing is made of itself
                self._made_by |= {out.name: (operation, place) for place, out in enumerate(operation.outputs)}
            for name in operation.names:
                self._readers[name].add(operation.kind)

    def __contains__(self, name: str) -> bool:
        return name in self._made_by

    def __iter__(self) -> Iterator[str]:
        return iter(self._made_by)

    def value(self, name: str) -> Array:
        """Read and decompress it. Raises PackageDamaged and what reading its file raises."""
        operation, place = self._at(name)
        if operation.kind == "const":
            return self._store.literal(_stored(operation))
        if operation.kind not in DENSE:
            raise UnsupportedOperator(f"the evaluator does not know the op {operation.kind!r}")
        given = {role: self.argument(argument) for role, (argument, *_) in operation.inputs.items()}
        try:
            return DENSE[operation.kind](given)[place]
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise EvaluationFailed(
                f"the weight {name!r} cannot be decompressed ({operation.kind}): {error}", hint=_AGAIN
            ) from error

    def check(self) -> None:
        """Check that all of them are stored. Raises PackageDamaged, PackageFileMissing, PackageUnsafe."""
        for operation, _ in self._made_by.values():
            for arguments in operation.inputs.values():
                for argument in arguments:
                    if isinstance(argument, Literal):
                        self._store.check(argument)

    def parameters(self, name: str) -> int:
        """Return how many numbers a constant holds."""
        operation, place = self._at(name)
        return prod(side or 1 for side in operation.outputs[place].shape)

    def argument(self, argument: str | Literal) -> Array:
        """Return the value of an op's input."""
        return self.value(argument) if isinstance(argument, str) else self._store.literal(argument)

    def key(self, name: str) -> object:
        """Return a key that is equal for equal values, of whichever function."""
        operation, place = self._at(name)
        return place, self._key(operation)

    def listed(self) -> tuple[Constant, ...]:
        """Return the weights, in the program's order."""
        return tuple(self._constant(name) for name in self._made_by if self._weight(name))

    def _weight(self, name: str) -> bool:
        operation, _ = self._made_by[name]
        if operation.kind == "const":
            return bool(_stored(operation).file)
        return not all(reader.startswith("constexpr_") for reader in self._readers[name])

    def _constant(self, name: str) -> Constant:
        operation, place = self._made_by[name]
        variable, chain = operation.outputs[place], self._chain(operation)
        kinds = {_SCHEMES[one.kind] for one in chain if one.kind in _SCHEMES}
        stored = [(role, one) for before in chain for role, ones in before.inputs.items() for one in ones]
        literals = [(role, one) for role, one in stored if isinstance(one, Literal)]
        data = next((one for wanted in _DATA for role, one in literals if role == wanted), None)
        return Constant(
            name=name,
            dtype=variable.dtype.name if variable.dtype else "",
            shape=tuple(side or 0 for side in variable.shape),
            bytes=sum(literal.bytes for _, literal in literals),
            scheme="+".join(sorted(kinds, reverse=True)) or "dense",
            bits=_bits(operation) or (data.dtype.bits if data else 0),
            readers=tuple(sorted(self._readers[name])),
        )

    def _chain(self, operation: Operation) -> tuple[Operation, ...]:
        """Return ``operation`` and the constant ones before it, each once."""
        chain = {operation.name: operation}
        for name in operation.names:
            chain |= {one.name: one for one in self._chain(self._at(name)[0])}
        return tuple(chain.values())

    def _key(self, operation: Operation) -> object:
        parts: list[object] = [operation.kind]
        for role, (argument, *_) in sorted(operation.inputs.items()):
            if isinstance(argument, Literal):
                parts.append((role, argument.key))
            else:
                parts.append((role, self.key(argument)))
        return tuple(parts)

    def _at(self, name: str) -> tuple[Operation, int]:
        if name not in self._made_by:
            raise PackageDamaged(f"the program reads {name!r}, which nothing in it produces", hint=_AGAIN)
        return self._made_by[name]


def _stored(operation: Operation) -> Literal:
    (literal,) = operation.inputs.get("val", ("",))
    if not isinstance(literal, Literal):
        raise PackageDamaged(f"the const {operation.name!r} holds no value", hint=_AGAIN)
    return literal


def _bits(operation: Operation) -> int:
    """Return the bits of an index that iOS 16 packs into bytes, which its table tells; else 0."""
    lut = operation.inputs.get("lut", ("",))[0]
    packed = operation.kind == "constexpr_lut_to_dense" and "shape" in operation.inputs
    return prod(lut.shape).bit_length() - 1 if packed and isinstance(lut, Literal) else 0
