"""measurements.json: what was measured about a bundle, kept apart from what is in it.

Timings differ from run to run, so they are not part of the manifest, which is the same for the same build.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from edgepack.errors import BundleError
from edgepack.records import Accuracy, NotMeasured, Timings, Where
from edgepack.runtime.clock import timing
from edgepack.runtime.manifest import MEASUREMENTS


def write(folder: Path, accuracy: tuple[Accuracy, ...], timings: Timings) -> None:
    """Write measurements.json into a bundle's folder."""
    table = {"schema": 1, "accuracy": [asdict(a) for a in accuracy], "timings": _plain(timings)}
    (folder / MEASUREMENTS).write_text(json.dumps(table, indent=1) + "\n", "utf-8")


def read(folder: Path) -> tuple[tuple[Accuracy, ...], Timings]:
    """What was measured; nothing where the file is absent. Raises BundleError."""
    file = folder / MEASUREMENTS
    if not file.is_file():
        return (), ()
    try:
        table = json.loads(file.read_text("utf-8"))
        return tuple(map(accuracy, table["accuracy"])), _timings(table["timings"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{file} cannot be read", hint="delete it; edgepack validate measures again") from error


def _plain(timings: Timings) -> Any:
    return asdict(timings) if isinstance(timings, NotMeasured) else [asdict(t) for t in timings]


def _timings(stored: Any) -> Timings:
    return NotMeasured(reason=stored["reason"]) if isinstance(stored, dict) else tuple(map(timing, stored))


def accuracy(table: Mapping[str, Any]) -> Accuracy:
    """An Accuracy from its JSON form."""
    known = {field.name: table[field.name] for field in fields(Accuracy) if field.name in table}
    packed = known["packed"]
    return Accuracy(
        **{
            **known,
            "packed": NotMeasured(reason=packed["reason"]) if isinstance(packed, dict) else packed,
            "interval": tuple(known["interval"]) if known.get("interval") else None,
            "where": Where(**known["where"]) if known.get("where") else None,
        }
    )
