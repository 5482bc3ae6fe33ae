"""Recorders: what the submodels of an original are fed while the original works as its authors wrote it.

One module per kind of model, named by its task (RECORDER); a third party's is an entry point
``edgepack.original.recorders``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from edgepack import plugins
from edgepack.arrays import Feeds
from edgepack.original import Original
from edgepack.plans import Subject


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The inputs that a submodel was fed."""

    calibration: Sequence[Feeds]
    agreement: Sequence[Feeds]


Recording = Mapping[str, Recorded]


class Recorder(Protocol):
    """The contract of this package's modules."""

    def record(self, subject: Subject, originals: Mapping[str, Original]) -> Recording:
        """Return what each submodel is fed, by name."""


def record(subject: Subject, originals: Mapping[str, Original]) -> Recording:
    """Return what each submodel of ``subject`` is fed, where its task records that; else nothing."""
    name = getattr(subject.task, "RECORDER", "")
    return cast(Recorder, plugins.load("original.recorders", name)).record(subject, originals) if name else {}
