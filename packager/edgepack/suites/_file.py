"""Read a suite's file; whatever cannot be understood is an error with its place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from edgepack.data import DataSpec
from edgepack.documents import Json, JsonObject
from edgepack.errors import ProjectError, nearest
from edgepack.metrics.agreement import REDUCE
from edgepack.runtime.schema import Schema
from edgepack.suites._records import IMAGES, LIMITS, Check, Suite
from edgepack.toml_file import check_keys, check_table, read_toml
from edgepack.units import parse_duration, parse_size

_OPTIONS = {
    "agreement": {"metric", "statistic", "data", "submodel"},
    "metric": {"metric", "data", "sure"},
    "psnr": {"metric", "statistic", "data", "steps"},
    "clip": {"clip", "data", "steps", "sure"},
    "size": {"submodel"},
    "memory": {"input", "submodel"},
    "load": {"submodel"},
    "latency": {"input", "percentile", "submodel"},
    "golden": {"submodel"},
}
_ORIGINALS = ("", "transformers")
_STRING = {"type": "string", "maxLength": 1000}
_TYPES: Schema = {
    "properties": {
        "name": _STRING,
        "original": _STRING,
        "check": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **dict.fromkeys(("kind", "name", "metric", "statistic", "input", "submodel"), _STRING),
                    "clip": {**_STRING, "minLength": 1},
                    "steps": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "sure": {"type": "boolean"},
                    "percentile": {"type": "integer", "enum": [50, 90, 99]},
                    "data": {"type": "object"},
                },
            },
        },
    }
}
_DECIBELS = {"psnr", "sqnr_db"}  # measures of agreement
_WORDS = {"kl": "KL", "top1": "top-1", "sqnr_db": "SQNR"}  # how checks without a name are called
_BYTES = {"size", "memory"}
_SECONDS = {"load", "latency"}


def read(file: Path) -> Suite:
    """Return the suite of a file. Raises ProjectError."""
    if not file.exists():
        raise ProjectError(f"there is no suite {file}", hint="see docs/release-suites.md for one to start from")
    table = read_toml(file, ProjectError)
    check_table(table, _TYPES, file, ProjectError)
    original = table.get("original", "")
    if original not in _ORIGINALS:
        raise ProjectError(f"{file}: original = {original!r}", hint='original = "transformers", or leave it out')
    checks = table.get("check", [])
    if not checks:
        raise ProjectError(f"{file} has no [[check]]", hint="see docs/release-suites.md")
    parsed = tuple(_check(entry, f"{file}, check {number}", file.parent) for number, entry in enumerate(checks, 1))
    return Suite(name=table.get("name", file.stem), checks=parsed, original=original)


def _check(entry: JsonObject, place: str, root: Path) -> Check:
    kind = entry.get("kind")
    if kind not in _OPTIONS:
        close = nearest(str(kind), _OPTIONS)
        raise ProjectError(
            f"{place}: no kind {kind!r}",
            hint=f"did you mean {close!r}?" if close else f"known: {', '.join(_OPTIONS)}",
        )
    check_keys(entry, {"kind", "name", *LIMITS, *_OPTIONS[kind]}, place, ProjectError)
    decibels = kind == "psnr" or (kind == "agreement" and entry.get("metric") in _DECIBELS)
    limits = {limit: _limit(kind, limit, entry[limit], place, decibels) for limit in LIMITS if limit in entry}
    if not limits and kind != "golden":
        raise ProjectError(f"{place} has no limit", hint=f"give one of {', '.join(LIMITS)}")
    if kind in ("agreement", "metric", "psnr") and "metric" not in entry:
        raise ProjectError(f"{place} names no metric")
    if kind == "psnr":
        _check_psnr(entry["metric"], limits, place)
    if kind == "clip" and "clip" not in entry:
        raise ProjectError(f"{place} names no bundle of CLIP", hint='clip = "dist/clip-vit-base-patch32-rpi"')
    if entry.get("statistic", "mean") not in REDUCE:
        raise ProjectError(f"{place}: no statistic {entry['statistic']!r}", hint=f"known: {', '.join(REDUCE)}")
    if kind == "metric" and "data" not in entry:
        raise ProjectError(f"{place} names no data", hint='for example data = { path = "pairs.csv" }')
    return Check(
        kind=kind,
        name=entry.get("name", _title(kind, entry)),
        limits=limits,
        metric=entry.get("metric", ""),
        statistic=entry.get("statistic", "mean"),
        data=DataSpec.parse(entry["data"], root=root) if "data" in entry else None,
        sure=bool(entry.get("sure", False)),
        input=entry.get("input", ""),
        percentile=int(entry.get("percentile", 50)),
        submodel=entry.get("submodel", ""),
        steps=entry.get("steps"),
        clip=root / entry["clip"] if "clip" in entry else None,
    )


def _check_psnr(metric: str, limits: Mapping[str, float], place: str) -> None:
    """Raises ProjectError for a metric that there is not, and for limits that are relative to the original's."""
    if metric not in IMAGES:
        raise ProjectError(f"{place}: no metric {metric!r}", hint=f"known: {', '.join(IMAGES)}")
    if relative := sorted({*limits} - {"at_least", "at_most"}):
        raise ProjectError(f"{place}: {relative[0]} does not apply to psnr", hint='at_least = "35 dB"')


def _title(kind: str, entry: JsonObject) -> str:
    details = [str(entry[key]) for key in ("submodel", "metric", "statistic", "input") if key in entry]
    details = [_WORDS.get(detail, detail) for detail in details]
    if kind == "latency":
        details.append(f"p{entry.get('percentile', 50)}")
    return " ".join([kind, *details])


def _limit(kind: str, limit: str, value: Json, place: str, decibels: bool) -> float:
    """Return a bound in bytes, seconds, decibels or as it is."""
    try:
        if limit in ("at_least", "at_most") and kind in _BYTES:
            return _finite(parse_size(value))
        if limit in ("at_least", "at_most") and kind in _SECONDS:
            return _finite(parse_duration(value))
        if limit in ("at_least", "at_most") and decibels and isinstance(value, str):
            return _finite(_decibels(value))
        return _finite(value)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ProjectError(
            f"{place}: {limit} = {value!r} cannot be read", hint="write 24 MB, 50 ms, 35 dB or a number"
        ) from error


def _finite(value: Json) -> float:
    """Return a bound that something can keep and miss. Raises ValueError for NaN, infinity, truth values and texts."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def _decibels(text: str) -> float:
    """Read "35 dB". Raises ValueError."""
    match = re.fullmatch(r"\s*(-?[0-9]+(?:\.[0-9]+)?)\s*dB\s*", text)
    if not match:
        raise ValueError(text)
    return float(match[1])
