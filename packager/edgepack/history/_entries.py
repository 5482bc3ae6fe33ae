"""The record of a measurement in a history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edgepack.records import NotMeasured, Timing, Timings
from edgepack.runtime.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A measurement: when, of which bundle, on which device."""

    at: datetime  # in UTC
    label: str  # of the state that was measured, such as a commit; "": none
    bundle: str
    model: str
    target: str
    recipe: str
    manifest: str  # SHA-256
    device: str
    timing: Timing

    @property
    def subject(self) -> tuple[str, ...]:
        """The names that measurements which are compared have in common."""
        where = self.timing.where
        own = (self.bundle, self.model, self.target, self.recipe)
        return (*own, self.device, self.timing.label, where.machine, str(where.threads))


def entries(manifest: Manifest, timings: Timings, *, device: str, label: str, at: datetime) -> list[Entry]:
    """Return the measurements of a bundle on ``device`` as entries."""
    if isinstance(timings, NotMeasured):
        return []
    table = manifest.table
    return [
        Entry(
            at=at,
            label=label,
            bundle=manifest.name,
            model=table["source"]["model"],
            target=table["target"]["name"],
            recipe=table["recipe"]["name"],
            manifest=manifest.sha256,
            device=device,
            timing=timing,
        )
        for timing in timings
    ]
