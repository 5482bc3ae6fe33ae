"""Engines that compute models on the device: one for each format of model files, found by the manifest's ``format``.

An engine is a module of this package, or a third party's entry point ``edgepack.runtime.engines``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from edgepack import plugins, processors
from edgepack.arrays import Array, Outputs
from edgepack.errors import BundleError, UnknownName
from edgepack.records import NotMeasured, TensorSpec
from edgepack.runtime.decoding import Decoding


@runtime_checkable
class Session(Protocol):
    """An opened model: ``session(feeds)`` gives its outputs, all of them or those that are named."""

    inputs: tuple[TensorSpec, ...]
    optional: tuple[TensorSpec, ...]  # inputs with a default, which need no feeding
    outputs: tuple[TensorSpec, ...]
    path: Path  # of the model
    threads: int
    runtime: str  # what computes it, with its version
    decodes: bool  # whether it has a cache of keys and values

    def __call__(self, feeds: Mapping[str, Array], names: Sequence[str] | None = None, /) -> Outputs:
        """Return the outputs for ``feeds`` (input name -> array). Raises InputError."""

    def each(self, feeds: Sequence[Mapping[str, Array]], /) -> Iterator[Outputs]:
        """Return the outputs for each of ``feeds``, in order."""

    def decoding(self, longest: int) -> Decoding:
        """Return a language model's tokens, one by one, at most ``longest`` of them."""


class Engine(Protocol):
    """The contract of this package's modules."""

    @property
    def EXTRA(self) -> str:
        """The extra of its distribution that brings what it imports; "" where it needs none."""

    def open_session(self, path: Path, threads: int) -> Session:
        """Open the model at ``path``. Raises BundleError, MissingExtra."""

    def untimed(self) -> NotMeasured | None:
        """Return the reason why this machine cannot time models of the format; None where it can."""


def find(format: str) -> Engine:
    """Find the engine for models of ``format``.

    Raises BundleError where there is none here, MissingExtra, UsageError for a module that is none.
    """
    try:
        module = plugins.load("runtime.engines", format)
    except UnknownName as unknown:
        raise BundleError(
            f"there is no engine for models of the format {format!r} here; installed: {', '.join(unknown.known)}",
            hint="pip install the package that brings the format, or a newer edgepack",
        ) from unknown
    plugins.check("runtime.engines", format, module, Engine)
    return cast(Engine, module)


def open_session(path: Path, format: str, threads: int | None = None) -> Session:
    """Open the model at ``path`` with ``threads`` threads (default: as many as it has processors, which is the most).

    Raises BundleError, MissingExtra.
    """
    available = processors.count()
    return find(format).open_session(path, min(threads, available) if threads else available)
