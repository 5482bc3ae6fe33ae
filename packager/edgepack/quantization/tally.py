"""A tally of the weights that were written, by component over all files of a model."""

from __future__ import annotations

from collections import defaultdict

from edgepack.records import PARTS, Component, Coverage

# What tensors in a file end in, where the role has another name
_ENDS = {"out": "o_proj", "inner": "gate_up", "router": "gate_up", "rates": "qkv"}


def role_of(name: str) -> str:
    """Return the role of the weight ``name`` of a file: embedding, positions, head or one of records.PARTS."""
    end = name.rpartition(".")[2]
    return _ENDS.get(end, end)


class Tally:
    """``matrix`` and ``vector`` count; ``components`` and ``coverage`` tell."""

    def __init__(self) -> None:
        self._parameters: dict[str, int] = defaultdict(int)
        self._bytes: dict[str, int] = defaultdict(int)
        self._compressed = 0

    def matrix(self, role: str, parameters: int, stored: int, *, compressed: bool) -> None:
        """Count a weight of ``role``, ``stored`` in bytes."""
        part = PARTS.get(role, role)
        self._parameters[part] += parameters
        self._bytes[part] += stored
        self._compressed += parameters if compressed else 0

    def vector(self, parameters: int, stored: int) -> None:
        """Count a norm, a bias or (of no ``parameters``) a table."""
        self._parameters["other"] += parameters
        self._bytes["other"] += stored

    @property
    def components(self) -> tuple[Component, ...]:
        """Bytes by part of the model."""
        return tuple(
            Component(name=name, parameters=self._parameters[name], bytes=stored)
            for name, stored in sorted(self._bytes.items())
        )

    @property
    def coverage(self) -> Coverage:
        """Coverage of all weights that are not vectors."""
        total = sum(count for name, count in self._parameters.items() if name != "other")
        return Coverage(compressed=self._compressed, total=total)
