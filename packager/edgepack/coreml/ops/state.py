"""States: read as a whole, written as a whole, and slices of tensors replaced."""

from __future__ import annotations

from torch import Tensor

from edgepack.coreml.ops.registry import Cell, Flags, Ints, op
from edgepack.coreml.ops.slicing import places


@op("read_state", exact=True)
def read_state(input: Cell) -> Tensor:
    """Return what the state holds."""
    return input.tensor


@op("write_state", exact=True)
def write_state(input: Cell, data: Tensor) -> tuple[()]:
    """Return the state holds ``data`` from now on."""
    input.tensor, input.written = data, True
    return ()


@op("slice_update", exact=True)
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Flags | None = None,
    end_mask: Flags | None = None,
    squeeze_mask: Flags | None = None,
    in_place: bool = False,
) -> Tensor:
    """Return ``x`` with ``update`` in the place that slice_by_index would cut out; ``in_place`` is the plan's to
    say.
    """
    where = places(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    result = x if in_place else x.clone()
    result[where] = update.reshape(result[where].shape)
    return result
