"""Check a value against a JSON Schema: as much of draft 2020-12 as edgepack's own schemas use.

A device then enforces what is published without the package jsonschema. A keyword that is not known here is an error of
the schema, never ignored. In one point it is stricter: 1.0 is no integer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from edgepack.documents import Json, JsonObject

Schema = JsonObject
_NOTES = {"$schema", "$id", "$defs", "title", "description", "then", "else"}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
_SHOWN = 60  # characters of a value in an error


class Mismatch(ValueError):
    """A value that is not as its schema says: ``str`` names its place and what is wrong."""


def check(value: Json, schema: Schema) -> None:
    """Raises Mismatch for the first thing in ``value`` that ``schema`` does not allow."""
    _Checker(schema).check(value, schema, "")


class _Checker:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._keywords: dict[str, Callable[[Json, Json, Schema, str], None]] = {
            "type": self._type, "const": self._const, "enum": self._enum, "properties": self._properties,
            "required": self._required, "additionalProperties": self._additional, "propertyNames": self._names,
            "items": self._items, "pattern": self._pattern, "minimum": self._bound, "maximum": self._bound,
            "exclusiveMinimum": self._bound, "exclusiveMaximum": self._bound, "minLength": self._length,
            "maxLength": self._length, "minItems": self._length, "maxItems": self._length,
            "minProperties": self._length, "maxProperties": self._length,
            "allOf": self._all, "anyOf": self._any, "if": self._if, "$ref": self._ref,
        }  # fmt: skip

    def check(self, value: Json, schema: Schema, place: str) -> None:
        for keyword, wanted in schema.items():
            if keyword not in _NOTES:
                self._keywords[keyword](value, wanted, schema, place)

    def _type(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        names = wanted if isinstance(wanted, list) else [wanted]
        if not any(_is(value, name) for name in names):
            raise Mismatch(f"{_at(place)} is {_shown(value)}, not {' or '.join(names)}")

    def _const(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        self._enum(value, [wanted], schema, place)

    def _enum(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        if not any(type(value) is type(one) and value == one for one in wanted):
            raise Mismatch(f"{_at(place)} is {_shown(value)}, not {' or '.join(map(_shown, wanted))}")

    def _properties(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        for name, own in wanted.items() if isinstance(value, dict) else ():
            if name in value:
                self.check(value[name], own, f"{place}.{name}")

    def _required(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        for name in wanted if isinstance(value, dict) else ():
            if name not in value:
                raise Mismatch(f"{_at(place)} lacks {name!r}")

    def _additional(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        for name in set(value) - set(schema.get("properties", ())) if isinstance(value, dict) else ():
            if wanted is False:
                raise Mismatch(f"{_at(place)} has {_shown(name)}, which is not known")
            self.check(value[name], wanted, f"{place}.{name[:_SHOWN]}")

    def _names(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        for name in value if isinstance(value, dict) else ():
            try:
                self.check(name, wanted, "")
            except Mismatch as error:
                raise Mismatch(
                    f"{_at(place)} has an invalid key: {str(error).removeprefix(_at('') + ' is ')}"
                ) from error

    def _items(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        for index, one in enumerate(value if isinstance(value, list) else ()):
            self.check(one, wanted, f"{place}[{index}]")

    def _pattern(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        if isinstance(value, str) and not re.search(wanted, value):
            raise Mismatch(f"{_at(place)} is {_shown(value)}, which does not match {wanted}")

    def _bound(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        if not _is(value, "number"):
            return
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        kept = low <= value <= high and (above is None or value > above) and (below is None or value < below)
        if not kept:
            bounds = [f"{k} {schema[k]}" for k in _BOUNDS if k in schema]
            raise Mismatch(f"{_at(place)} is {_shown(value)}; {', '.join(bounds)}")

    def _length(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        for keyword, kind, least in _LENGTHS:
            if keyword in schema and isinstance(value, (str, list, dict)) and isinstance(value, kind):
                kept = len(value) >= schema[keyword] if least else len(value) <= schema[keyword]
                if not kept and not value:
                    raise Mismatch(f"{_at(place)} is empty")
                if not kept:
                    raise Mismatch(f"{_at(place)} has the length {len(value)}; {keyword} {schema[keyword]}")

    def _all(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        for own in wanted:
            self.check(value, own, place)

    def _any(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        said = []
        for own in wanted:
            try:
                return self.check(value, own, place)
            except Mismatch as error:
                said.append(str(error))
        raise Mismatch("; or ".join(said))

    def _if(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        try:
            self.check(value, wanted, place)
        except Mismatch:
            return self.check(value, schema.get("else", {}), place)
        self.check(value, schema.get("then", {}), place)

    def _ref(self, value: Json, wanted: Json, schema: Schema, place: str) -> None:
        self.check(value, self._root["$defs"][wanted.removeprefix("#/$defs/")], place)


_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_LENGTHS: tuple[tuple[str, type, bool], ...] = (
    ("minLength", str, True), ("maxLength", str, False), ("minItems", list, True), ("maxItems", list, False),
    ("minProperties", dict, True), ("maxProperties", dict, False),
)  # fmt: skip


def _is(value: Json, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _at(place: str) -> str:
    return place.lstrip(".") or "the top level"


def _shown(value: Json) -> str:
    plain = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return plain[value]
    text = repr(value) if isinstance(value, str | int | float) else "an object" if isinstance(value, dict) else "a list"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
