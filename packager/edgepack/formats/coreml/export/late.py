"""Large weights that wait in a file while a model is converted, so that the converter's copies of them cost nothing.

coremltools holds a weight several times: as PyTorch has it, as a constant, rounded, serialized. It is given one number
instead, spread over the weight's shape, and the weight's bytes take that number's place in the package's file. Each has
a number of its own, because constants that are equal become one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
import torch
from coremltools.proto import MIL_pb2 as mil
from torch import nn

from edgepack import memory
from edgepack.coreml import proto
from edgepack.coreml.folder import model_file, weight_file
from edgepack.errors import ConversionError
from edgepack.formats.coreml._mil import Node
from edgepack.formats.coreml.builder.store import Entry, place
from edgepack.formats.coreml.export.convert import parameters

LARGE = 1 << 16  # values
_STEP = 2.0**-24  # the least float16
_MOST = 1000  # weights: their numbers stay different in float16
_TYPES = {16: (np.float16, mil.FLOAT16), 32: (np.float32, mil.FLOAT32)}


@dataclass
class Late:
    """The weights of ``module``'s linear layers and convolutions, in ``file``; the module has them no more."""

    module: nn.Module
    file: Path
    bits: int
    _waiting: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)  # offset and shape

    def take(self, forget: Callable[[], None]) -> None:
        """Write the weights to the file, and give the module numbers in their place.

        ``forget``, called now and then, lets go of the pages of the files that the module's weights are mapped from.
        """
        passing = memory.Passing(forget)
        layers = [(path, one) for path, one in self.module.named_modules() if isinstance(one, nn.Linear | nn.Conv2d)]
        with self.file.open("wb") as stream:
            for path, layer in layers:
                weight = layer.weight
                if weight.numel() < LARGE or len(self._waiting) == _MOST:
                    continue
                name = f"{path}.weight"
                self._waiting[name] = stream.tell(), tuple(weight.shape)
                stream.write(np.ascontiguousarray(weight.detach().numpy().astype(_TYPES[self.bits][0])).data)
                passing(weight.nbytes)
                number = torch.tensor(len(self._waiting) * _STEP)
                layer.weight = nn.Parameter(number.expand(weight.shape), requires_grad=False)

    def give(self, package: Path) -> None:
        """Write the weights to their places in ``package``, which was converted. Raises ConversionError.

        A weight that no output depends on, as the encoder's of an autoencoder that only decodes, has no place.
        """
        program = proto.model(model_file(package)).mlProgram
        (function,) = program.functions.values()
        constants = {op.outputs[0].name: op for op in function.block_specializations[function.opset].operations}
        names = {theirs: ours for ours, theirs in parameters(self.module, "", self.bits).items()}
        places: set[int] = set()
        absent = [name for name in self._waiting if names[name] not in constants]
        for name, (offset, shape) in self._waiting.items():
            if name in absent:
                continue
            entry, start, file = self._place(package, name, constants[names[name]], shape)
            if start in places:
                raise _lost(name)
            places.add(start)
            target = np.memmap(file, np.uint8, "r+", start, (entry.bytes,))
            target[:] = np.memmap(self.file, np.uint8, "r", offset, (entry.bytes,))
            target.flush()
        if absent and any(_is_one_number(*_found(package, one)) for one in constants.values() if _large(one)):
            raise _lost(absent[0])

    def _place(self, package: Path, name: str, constant: Node, shape: tuple[int, ...]) -> tuple[Entry, int, Path]:
        """Return the constant's entry, where its data begin and in which file. Raises ConversionError."""
        if not _in_file(constant):
            raise _lost(name)
        kind, number = _TYPES[self.bits]
        stored = constant.attributes["val"].type.tensorType
        entry, start, file = _found(package, constant)
        sides = _sides(constant)
        if sides != shape or stored.dataType != number or entry.bytes != prod(shape) * np.dtype(kind).itemsize:
            raise _lost(name)
        return entry, start, file


def _in_file(constant: Node) -> bool:
    return constant.type == "const" and constant.attributes["val"].WhichOneof("value") == "blobFileValue"


def _large(constant: Node) -> bool:
    return _in_file(constant) and prod(_sides(constant)) >= LARGE


def _sides(constant: Node) -> tuple[int, ...]:
    return tuple(side.constant.size for side in constant.attributes["val"].type.tensorType.dimensions)


def _found(package: Path, constant: Node) -> tuple[Entry, int, Path]:
    value = constant.attributes["val"].blobFileValue
    file = weight_file(package, model_file(package), value.fileName)
    return *place(file, value.offset), file


def _is_one_number(entry: Entry, start: int, file: Path) -> bool:
    """Tell whether a constant's values are equal, as those are that still wait, whatever the converter made of them."""
    items = np.memmap(file, np.uint8, "r", start, (entry.bytes,)).view(np.uint16)
    return bool((items[::2] == items[0]).all() and (items[1::2] == items[1]).all())


def _lost(name: str) -> ConversionError:
    return ConversionError(
        f"coremltools has changed the weight {name} while it converted the model",
        hint="another version of coremltools may leave it as it is: see edgepack doctor",
    )
