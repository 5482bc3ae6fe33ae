"""Where models come from: one module per kind of place.

Each has ``fetch(reference, progress) -> Fetched``: ``folder`` takes a path, ``python`` a folder that an installed
package carries (``python:package/model``), ``hub`` a Hugging Face id (``org/name`` or ``org/name@revision``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from edgepack import plugins
from edgepack.progress import Say


@dataclass(frozen=True)
class Fetched:
    """A model folder on this disk, and the hub commit it came from (None: not from a hub)."""

    path: Path
    name: str
    revision: str | None = None


def named(path: Path, otherwise: str) -> str:
    """Return the folder's own name, or ``otherwise`` where that is a word that says nothing, such as "model"."""
    return otherwise if path.name in {"model", "models", "checkpoint"} else path.name


def find(kind: str) -> Place:
    """Find the kind of place ``kind``: folder, hub or python. Raises UnknownName, MissingExtra, UsageError."""
    module = plugins.load("sources", kind)
    plugins.check("sources", kind, module, Place)
    return cast(Place, module)


class Place(Protocol):
    """The contract of this package's modules."""

    def fetch(self, reference: str, say: Say) -> Fetched:
        """Make the model available on this disk. Raises ModelNotFound, NetworkError."""
