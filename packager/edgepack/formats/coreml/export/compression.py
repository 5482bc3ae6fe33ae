"""Compress the weights of a saved ML Program: found by the operator that reads them, each in an encoding of its own.

Only weights that linear layers, convolutions and table look-ups read are compressed. coremltools' global setting takes
every constant: with positions that were folded into one tensor it costs MiniLM a cosine of 0.16.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
from coremltools.models.utils import _apply_graph_pass

from edgepack.arrays import Array
from edgepack.formats.coreml._mil import MLModel, Node
from edgepack.formats.coreml.export.compressed import Encoding
from edgepack.formats.coreml.export.constexpr import store
from edgepack.formats.coreml.export.quiet import quiet

_READERS = {("linear", "weight"), ("conv", "weight"), ("conv_transpose", "weight"), ("gather", "x"), ("matmul", "y")}
LEAST = 256  # values; a smaller constant is a bias or a norm, or not worth its scales
TABLE = 1024  # values of a table that is worth what its rows lose


@dataclass(frozen=True)
class Weight:
    """A constant that layers read."""

    name: str  # of the constant, in the program
    shape: tuple[int, ...]
    readers: tuple[str, ...]  # the operators
    value: Array  # float16 or float32

    @property
    def table(self) -> bool:
        """True if its rows are looked up."""
        return "gather" in self.readers


Choice = Callable[[Weight], Encoding | None]  # None: it stays as it is


def weights(package: Path) -> list[Weight]:
    """Return the weights of the program at ``package`` that can be compressed, in its order."""
    found: list[Weight] = []

    def note(weight: Weight) -> None:
        found.append(weight)

    _walk(package, note, read=True)
    return found


def compress(package: Path, choose: Choice, *, newest: bool) -> MLModel:
    """Return a coremltools MLModel of the program at ``package``, each weight encoded as ``choose`` says."""
    return _walk(package, choose, newest=newest)


def _walk(package: Path, choose: Choice, *, newest: bool = False, read: bool = False) -> MLModel:
    """Return the model that the choices make; the program as it is where it is only to be ``read``."""
    model = ct.models.MLModel(str(package), skip_model_load=True)
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of values that are infinite in float16 as they were in float32
        return _apply_graph_pass(model, _Pass(choose, newest), skip_model_load=True, return_pymil_prog=read)


class _Pass(AbstractGraphPass):
    def __init__(self, choose: Choice, newest: bool) -> None:
        self._choose, self._newest = choose, newest

    def apply(self, prog: Node) -> None:
        """Visit every function, the blocks of its control flow left alone."""
        for function in prog.functions.values():
            with function:
                for op in list(function.operations):
                    weight = _weight(op)
                    encoding = self._choose(weight) if weight else None
                    if encoding is not None:
                        self._replace(op, encoding)

    def _replace(self, op: Node, encoding: Encoding) -> None:
        block = op.enclosing_block
        block.replace_uses_of_var_after_op(
            anchor_op=op,
            old_var=op.outputs[0],
            new_var=store(encoding, op, newest=self._newest),
            no_check_var_types=True,
        )
        block.remove_ops([op])


def _weight(op: Node) -> Weight | None:
    """Return the weight that ``op`` is, where it is one."""
    if op.op_type != "const" or not isinstance(op.outputs[0].val, np.ndarray):
        return None
    value = op.outputs[0].val
    if value.dtype not in (np.float16, np.float32) or value.ndim < 2 or value.size < LEAST:
        return None
    made = op.outputs[0]
    uses = {(user.op_type, name) for user in made.child_ops for name, var in user.inputs.items() if var is made}
    if not uses or not uses <= _READERS or (value.size < TABLE and any(kind == "gather" for kind, _ in uses)):
        return None
    return Weight(op.name, value.shape, tuple(sorted(kind for kind, _ in uses)), value)
