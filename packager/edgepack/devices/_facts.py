"""The record of what a device tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A device as it describes itself; None: it does not tell."""

    model: str
    machine: str  # the processor's kind: "aarch64"
    system: str  # "Linux 6.6.31"
    python: str
    packages: Mapping[str, str]  # of the runtime -> version
    features: tuple[str, ...]
    emulated: bool
    cores: int | None = None
    memory: int | None = None  # bytes
    page: int | None = None  # bytes
    free: int | None = None  # bytes, on the disk of edgepack's folder there
    temperature: float | None = None  # degrees Celsius
