"""Frozen records to JSON's types and back, by their annotations: nothing is lost, nothing unknown is let in.

A field holds a text, a number, a truth value, a record, a Literal, ``tuple[X, ...]`` (a list), ``Mapping[str, X]``
or Any (JSON as it stands); a field that is None is left out. A union is of records with a ``TAG``: the key and the
value that tell them apart.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal

from edgepack.documents import Json, JsonDict
from edgepack.errors import BundleError, nearest

_SCALARS: dict[type, tuple[type, ...]] = {str: (str,), int: (int,), float: (float, int), bool: (bool,)}
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_AGAIN = "copy the bundle again, or build it again"
_NEWER = "a newer edgepack may know it: pip install -U edgepack"
_LARGE = 10**20
_SHOWN = 60  # characters of a value in an error


Annotation = Any  # a type as a field states it, with what ``Annotated`` says: Python 3.11 has no type of these


class Rule:
    """JSON Schema's keywords for a value, beside its type in ``Annotated``."""

    def __init__(self, **keywords: Json) -> None:
        self.keywords = keywords


def write(record: Json) -> Json:
    """Return JSON's form of a record, or of a value in one."""
    if is_dataclass(record):
        named = ((each.name, getattr(record, each.name)) for each in fields(record))
        tag = dict([record.TAG]) if hasattr(record, "TAG") else {}
        return {**tag, **{name: write(value) for name, value in named if value is not None}}
    if isinstance(record, tuple):
        return [write(value) for value in record]
    return {key: write(value) for key, value in record.items()} if isinstance(record, Mapping) else record


def read(kind: Annotation, value: Json, place: str) -> Json:
    """Return ``value``, JSON that stands at ``place``, as a ``kind``. Raises BundleError, which names what is wrong."""
    kind = plain(kind)
    origin: object = typing.get_origin(kind)
    inner = typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, UnionType):
        return _alternative([one for one in inner if one is not NoneType], value, place)
    if origin is Literal:
        return _literal(inner, value, place)
    if origin is tuple:
        return tuple(read(inner[0], one, f"{place}[{i}]") for i, one in enumerate(_held(list, "a list", value, place)))
    if origin is Mapping:
        table = _held(dict, "an object", value, place)
        return {key: read(inner[1], one, f"{place}[{_shown(key)}]") for key, one in table.items()}
    if is_dataclass(kind):
        return _record(kind, value, place)
    if not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind is not bool):
        raise BundleError(f"{place} is {_shown(value)}, not {_NAMES[kind]}", hint=_AGAIN)
    try:
        return kind(value)
    except OverflowError as error:
        raise BundleError(f"{place} is too large a number", hint=_AGAIN) from error


def plain(kind: Annotation) -> Annotation:
    """Return a type without what ``Annotated`` says beside it."""
    origin: object = typing.get_origin(kind)
    return typing.get_args(kind)[0] if origin is typing.Annotated else kind


@cache
def hints(record: type) -> JsonDict:
    """Return the types of a record's fields, with what ``Annotated`` says beside them."""
    found = typing.get_type_hints(record, include_extras=True)
    return {each.name: found[each.name] for each in fields(record)}


def required(record: Json) -> list[str]:
    """Return the names of the fields that have no value by default."""
    return [each.name for each in fields(record) if each.default is MISSING and each.default_factory is MISSING]


def _record(kind: Annotation, value: Json, place: str) -> Json:
    table, known = _held(dict, "an object", value, place), hints(kind)
    given = {key: one for key, one in table.items() if not hasattr(kind, "TAG") or key != kind.TAG[0]}
    for key in given.keys() - known.keys():
        raise _unknown(f"{place} has {_shown(key)}", key, known)
    for name in required(kind):
        if name not in given:
            raise BundleError(f"{place} lacks {name!r}", hint=_AGAIN)
    return kind(**{key: read(known[key], one, f"{place}.{key}") for key, one in given.items()})


def _alternative(kinds: list[Annotation], value: Json, place: str) -> Json:
    """Return the one of several records that ``value`` names, or the only kind that there is."""
    if len(kinds) == 1:
        return read(kinds[0], value, place)
    table, key = _held(dict, "an object", value, place), kinds[0].TAG[0]
    known = {kind.TAG[1]: kind for kind in kinds}
    name = table.get(key)
    if not isinstance(name, str) or name not in known:
        raise _unknown(f"{place}.{key} is {_shown(name)}", str(name), known)
    return _record(known[name], value, place)


def _literal(allowed: tuple[Json, ...], value: Json, place: str) -> Json:
    if not any(type(value) is type(one) and value == one for one in allowed):
        raise _unknown(f"{place} is {_shown(value)}", str(value), map(str, allowed))
    return value


def _held(kind: type, name: str, value: Json, place: str) -> Json:
    if not isinstance(value, kind):
        raise BundleError(f"{place} is {_shown(value)}, not {name}", hint=_AGAIN)
    return value


def _unknown(said: str, name: str, known: typing.Iterable[str]) -> BundleError:
    names = list(known)
    close = nearest(name, names)
    hint = f"did you mean {close!r}?" if close else f"known: {', '.join(names)}"
    return BundleError(f"{said}, which this edgepack does not know", hint=f"{hint}; {_NEWER}")


def _shown(value: Json) -> str:
    """Return ``value`` in an error, on one line and not too long."""
    if value is None or isinstance(value, dict | list):
        return "null" if value is None else "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) > _LARGE:
        return "a number of many digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
