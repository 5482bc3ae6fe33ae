"""Constants that float16 cannot hold, brought within it before a program is rounded.

Masks are made of float32's least number, which coremltools rounds to -inf: a mask that is multiplied by it then has NaN
where it hides nothing.
"""

from __future__ import annotations

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)
from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
from coremltools.converters.mil.mil.passes.pass_registry import register_pass

from edgepack.formats.coreml._mil import Node

_FAR = np.float32(3e4)  # hides what it is added to; twice that is still a float16
_MOST = np.finfo(np.float16).max
_ROUNDED = "common::add_fp16_cast"  # coremltools' pass that rounds


def pipeline() -> ct.PassPipeline:
    """Return the passes of coremltools for a program in float16, with ours before it is rounded."""
    passes = ct.PassPipeline.DEFAULT
    passes.insert_pass(passes.passes.index(_ROUNDED), "edgepack::bounded")
    return passes


@register_pass(namespace="edgepack", name="bounded")
class _Bounded(AbstractGraphPass):
    def apply(self, prog: Node) -> None:
        """Visit every function, the blocks of its control flow included."""
        for function in prog.functions.values():
            _bound(function)


def _bound(block: Node) -> None:
    for op in list(block.operations):
        for inner in op.blocks:
            _bound(inner)
        value = op.outputs[0].val if op.op_type == "const" else None
        if not isinstance(value, np.ndarray | np.float32) or value.dtype != np.float32:
            continue
        far = np.abs(value) > _MOST
        if far.any():
            with block:
                held = np.where(far, np.sign(value) * _FAR, value)
                made = mb.const(val=held.astype(np.float32), name=f"{op.name}_bounded", before_op=op)
            block.replace_uses_of_var_after_op(anchor_op=op, old_var=op.outputs[0], new_var=made)
