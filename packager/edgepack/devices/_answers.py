"""The answers of a task's calls on a device, held to what the calls return by their annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

import numpy as np

from edgepack.documents import Json
from edgepack.runtime.labels import Label

# of calls whose annotation does not say it: one input gives one list, several a list of them
_STATED: dict[str, Any] = {"classify": list[Label] | list[list[Label]]}


def answers(call: Callable[..., Any], told: Json, examples: Json) -> bool:
    """Return whether ``told`` is what ``call`` may return for ``examples``: its types, and as many as there are."""
    kind = _STATED.get(call.__name__) or typing.get_type_hints(call).get("return", Any)
    if not _is(told, kind):
        return False
    return call.__name__ != "predict" or (len(told) == len(examples) and _even(told))


def _is(told: Json, kind: Any) -> bool:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_is(told, one) for one in inner)
    if origin is list:
        return isinstance(told, list) and all(_is(one, inner[0]) for one in told)
    if kind is int:
        return type(told) is int
    return isinstance(told, origin or kind)


def _even(told: list[Any]) -> bool:
    """Return whether the arrays among answers are vectors of one length, as a model's are."""
    arrays = [one for one in told if isinstance(one, np.ndarray)]
    return all(one.ndim == 1 and one.dtype.kind == "f" for one in arrays) and len({len(one) for one in arrays}) <= 1
