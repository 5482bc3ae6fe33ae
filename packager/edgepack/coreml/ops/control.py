"""Branches, loops, lists and the classifier's last step."""

from __future__ import annotations

import torch
from torch import Tensor

from edgepack.coreml.ops.registry import Blocks, Ints, Tensors, op
from edgepack.coreml.values import Value


@op("cond", exact=True)
def cond(pred: bool, blocks: Blocks) -> Tensors:
    """Return the first block where ``pred`` holds, else the second."""
    return blocks[0 if pred else 1]([])


@op("while_loop", exact=True)
def while_loop(loop_vars: Tensors, blocks: Blocks) -> Tensors:
    """Return the second block again and again on its own results, while the first says so."""
    holds, body = blocks
    while bool(holds(loop_vars)[0]):
        loop_vars = body(loop_vars)
    return loop_vars


@op("make_list", exact=True)
def make_list(
    elem_shape: list[Value] | None = None, init_length: int = 1, dynamic_length: bool = True, dtype: str = "fp32"
) -> tuple[list[Value]]:
    """Return a list of ``init_length`` places."""
    return ([None] * init_length,)


@op("list_length", exact=True)
def list_length(ls: list[Value]) -> Tensor:
    """Return how many places it has."""
    return torch.tensor(len(ls), dtype=torch.int32)


@op("list_read", exact=True)
def list_read(ls: list[Value], index: int) -> Tensor:
    """Return what is at a place."""
    found = ls[index]
    assert isinstance(found, Tensor)
    return found


@op("list_write", exact=True)
def list_write(ls: list[Value], index: int, value: Tensor) -> tuple[list[Value]]:
    """Return the list with ``value`` at a place, which may be one behind the end."""
    longer = ls + [None] * (index + 1 - len(ls))
    return ([*longer[:index], value, *longer[index + 1 :]],)


@op("list_gather", exact=True)
def list_gather(ls: list[Value], indices: Ints) -> Tensor:
    """Return the values at some places, stacked."""
    return torch.stack([ls[index] for index in indices])


@op("list_scatter", exact=True)
def list_scatter(ls: list[Value], indices: Ints, value: Tensor) -> tuple[list[Value]]:
    """Return the list with the rows of ``value`` at some places."""
    longer = ls + [None] * (max(indices) + 1 - len(ls))
    for index, row in zip(indices, value, strict=True):
        longer[index] = row
    return (longer,)


@op("classify", exact=True)
def classify(probabilities: Tensor, classes: list[str] | Tensor) -> tuple[Value, dict[Value, float]]:
    """Return (the most likely class, class -> probability)."""
    names: list[Value] = classes.tolist() if isinstance(classes, Tensor) else classes
    shares = probabilities.reshape(-1).tolist()
    return names[shares.index(max(shares))], dict(zip(names, shares, strict=True))
