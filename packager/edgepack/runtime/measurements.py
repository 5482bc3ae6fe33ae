"""measurements.json: what was measured about a bundle, kept apart from what is in it.

Timings differ from run to run, so they are not part of the manifest, which is the same for the same build.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path

from edgepack.containment import open_file
from edgepack.documents import Failure, Json, JsonDict, JsonObject, parse_json, read_object, read_open
from edgepack.errors import BundleError
from edgepack.records import Accuracy, NotMeasured, Timing, Timings, Where
from edgepack.runtime.clock import timing, where
from edgepack.runtime.manifest import LARGEST, MEASUREMENTS
from edgepack.runtime.schema import Mismatch, check

SCHEMA = 3
_LARGEST = 1 << 60  # of a number in a device's timings, whose bytes are the largest
_EARLIER: dict[int, dict[str, str]] = {
    1: {"packed": "compressed"},
    2: {},
}  # the names of an earlier schema's figures, by those of today
_AGAIN = "delete it; edgepack validate and bench measure again"


def write(folder: Path, accuracy: tuple[Accuracy, ...], timings: Timings) -> None:
    """Write measurements.json into a bundle's folder."""
    table = {"schema": SCHEMA, "accuracy": [_written(a) for a in accuracy], "timings": _plain(timings)}
    (folder / MEASUREMENTS).write_text(json.dumps(table, indent=1) + "\n", "utf-8")


def read(folder: Path) -> tuple[tuple[Accuracy, ...], Timings]:
    """Return what was measured; nothing where the file is absent. Raises BundleError."""
    if not os.path.lexists(folder / MEASUREMENTS):
        return (), ()
    file = folder / MEASUREMENTS
    text = read_open(open_file(folder, MEASUREMENTS), file, hint=_AGAIN, largest=LARGEST)
    table = parse_json(text, str(file), hint=_AGAIN)
    if not isinstance(table, dict):
        raise BundleError(f"{file} does not hold an object", hint=_AGAIN)
    version = table.get("schema")
    if type(version) is not int or version not in (*_EARLIER, SCHEMA):
        raise BundleError(f"{file} has the schema {version!r}; this edgepack reads up to {SCHEMA}", hint=_AGAIN)
    try:
        check(table, _published(version))
        figures = [_renamed(figure, _EARLIER.get(version, {})) for figure in table["accuracy"]]
        return tuple(map(accuracy, figures)), _timings(table["timings"])
    except (Mismatch, KeyError, TypeError) as error:
        raise BundleError(f"{file} cannot be read: {error}", hint=_AGAIN) from error


@cache
def _published(version: int) -> JsonDict:
    return read_object(Path(__file__).parents[1] / "schemas" / f"measurements-{version}.json")


def _renamed(figure: JsonObject, names: Mapping[str, str]) -> JsonDict:
    return {names.get(key, key): value for key, value in figure.items()}


def _written(figure: Accuracy) -> JsonDict:
    """Return its JSON form; JSON has no NaN, which a metric of equal predictions is."""
    table = asdict(figure)
    if isinstance(figure.compressed, float) and not math.isfinite(figure.compressed):
        table["compressed"] = {"reason": f"it is {figure.compressed}"}
    if figure.original is not None and not math.isfinite(figure.original):
        table["original"] = None
    if figure.interval is not None and not all(map(math.isfinite, figure.interval)):
        table["interval"] = None
    return table


def _plain(timings: Timings) -> Json:
    return asdict(timings) if isinstance(timings, NotMeasured) else [asdict(t) for t in timings]


def checked_timings(told: Json, failure: Failure, *, who: str, hint: str) -> tuple[Timing, ...]:
    """Return timings from JSON that may be anything. Raises ``failure``, which says that ``who`` gives wrong ones."""
    try:
        check({"schema": SCHEMA, "accuracy": [], "timings": told}, _published(SCHEMA))
        if any(abs(number) > _LARGEST for number in _numbers(told)):
            raise ValueError("a number that no machine has")
        return tuple(map(timing, told))
    except (Mismatch, KeyError, TypeError, ValueError) as error:
        raise failure(f"{who} gives invalid timings: {error}", hint=hint) from error


def _numbers(value: Json) -> Iterator[float]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value


def checked_where(told: Json) -> Where:
    """Return a Where from JSON that another machine sent. Raises Mismatch."""
    check(told, _published(SCHEMA)["$defs"]["where"])
    return where(told)


def _timings(stored: Json) -> Timings:
    return NotMeasured(reason=stored["reason"]) if isinstance(stored, dict) else tuple(map(timing, stored))


def accuracy(table: JsonObject) -> Accuracy:
    """Return an Accuracy from its JSON form."""
    known = {field.name: table[field.name] for field in fields(Accuracy) if field.name in table}
    value = known["compressed"]
    return Accuracy(
        **{
            **known,
            "compressed": NotMeasured(reason=value["reason"]) if isinstance(value, dict) else value,
            "interval": tuple(known["interval"]) if known.get("interval") else None,
            "where": where(known["where"]) if known.get("where") else None,
        }
    )
