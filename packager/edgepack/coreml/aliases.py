"""Which slice updates may write into a state's own memory: copying a key-value cache for each layer is slow.

Safe is an update of what was just read from a state, if that is read by nothing else, its result is what the state is
written with next, and no value that may share the state's memory is still to be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from edgepack.coreml.ops.registry import find
from edgepack.coreml.program import Operation


def in_place(operations: Sequence[Operation], outputs: Sequence[str]) -> frozenset[str]:
    """Return the names of the results of those updates."""
    if any(operation.blocks for operation in operations):
        return frozenset()
    last = {name: place for place, operation in enumerate(operations) for name in operation.names}
    last |= dict.fromkeys(outputs, len(operations))
    shared = _shared(operations)
    read = {op.outputs[0].name: (place, _name(op, "input")) for place, op in enumerate(operations) if _reads(op)}
    found = set()
    for place, operation in enumerate(operations):
        x = _name(operation, "x")
        if operation.kind != "slice_update" or not operation.outputs or x not in read or last[x] != place:
            continue
        since, state = read[x]
        others = (name for name, made in shared[state].items() if made < place and name != x)
        result = operation.outputs[0].name
        if _next(operations[since + 1 :], state) == result and all(last.get(name, -1) < place for name in others):
            found.add(result)
    return frozenset(found)


def _shared(operations: Sequence[Operation]) -> dict[str, dict[str, int]]:
    """State -> the values that may lie in its memory, with the place at which each is made."""
    states: dict[str, set[str]] = {}
    shared: dict[str, dict[str, int]] = defaultdict(dict)
    for place, operation in enumerate(operations):
        if _reads(operation):
            of = {_name(operation, "input")}
        elif operation.kind == "cast" or find(operation.kind).exact:  # what changes no values may be a view
            of = {state for name in operation.names for state in states.get(name, ())}
        else:
            continue
        for out in operation.outputs:
            states[out.name] = of
            for state in of:
                shared[state][out.name] = place
    return shared


def _next(operations: Sequence[Operation], state: str) -> str:
    """Return what ``state`` is written with, if it is not read before."""
    for operation in operations:
        if operation.kind in ("read_state", "write_state") and _name(operation, "input") == state:
            return _name(operation, "data") if operation.kind == "write_state" else ""
    return ""


def _reads(operation: Operation) -> bool:
    return operation.kind == "read_state" and bool(operation.outputs)


def _name(operation: Operation, role: str) -> str:
    given = operation.inputs.get(role, ("",))[0]
    return given if isinstance(given, str) else ""
