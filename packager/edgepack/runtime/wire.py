"""The JSON form of what a device and its host send each other: arrays, and the records that tasks answer with."""

from __future__ import annotations

import base64
import binascii
import importlib
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np

from edgepack.arrays import Array
from edgepack.documents import Json, JsonObject
from edgepack.errors import DeviceAnswerWrong
from edgepack.runtime import record_json

_ARRAY, _RECORD, _PAIR, _NUMBER = "array", "record", "pair", "number"
_NUMBERS = ("nan", "inf", "-inf")  # that JSON has not
# The records that may be sent, by name: nothing else is made of what a device says
_RECORDS = {
    "Answer": "edgepack.runtime.tasks.question_answering",
    "Entity": "edgepack.runtime.tasks.token_classification",
    "Filled": "edgepack.runtime.tasks.fill_mask",
    "Label": "edgepack.runtime.labels",
}
_KINDS = "biuf"  # numpy's: truth values, numbers
_HINT = "another version of edgepack answers there, or another program"


def write(value: Json) -> Json:
    """Return JSON's form of arrays, records, texts and numbers, in lists and objects."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        return {_ARRAY: [str(array.dtype), value.shape, base64.b64encode(array.tobytes()).decode()]}
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: write(getattr(value, field.name)) for field in fields(value)}
        name = type(value).__name__
        return {_RECORD: name, "fields": own} if name in _RECORDS else own
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: str(value)}
    if isinstance(value, tuple):
        return {_PAIR: [write(one) for one in value]}
    if isinstance(value, list):
        return [write(one) for one in value]
    if isinstance(value, Mapping):
        return {key: write(one) for key, one in value.items()}
    return value


def read(value: Json) -> Json:
    """Return the value that ``write`` made this of. Raises DeviceAnswerWrong."""
    if isinstance(value, list):
        return [read(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {_ARRAY}:
        return array(value[_ARRAY])
    if set(value) == {_RECORD, "fields"}:
        return _record(value)
    if set(value) == {_PAIR} and isinstance(value[_PAIR], list):
        return tuple(read(one) for one in value[_PAIR])
    if set(value) == {_NUMBER} and value[_NUMBER] in _NUMBERS:
        return float(value[_NUMBER])
    return {key: read(one) for key, one in value.items()}


def array(told: Json) -> Array:
    """Return an array of [dtype, shape, base64]. Raises DeviceAnswerWrong."""
    try:
        name, shape, text = told
        dtype = np.dtype(str(name))
        if dtype.kind not in _KINDS:
            raise ValueError(f"an array of {dtype}")
        return np.frombuffer(base64.b64decode(text, validate=True), dtype).reshape(shape)
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise DeviceAnswerWrong(f"an invalid array was sent: {str(error)[:100]}", hint=_HINT) from error


def arrays(told: Json) -> dict[str, Array]:
    """Return arrays by name. Raises DeviceAnswerWrong."""
    found = read(told)
    if not isinstance(found, dict) or not all(isinstance(one, np.ndarray) for one in found.values()):
        raise DeviceAnswerWrong("arrays by name were expected", hint=_HINT)
    return found


def _record(told: JsonObject) -> Json:
    name, own = told[_RECORD], told["fields"]
    if not isinstance(name, str) or name not in _RECORDS or not isinstance(own, dict):
        raise DeviceAnswerWrong(f"an unknown record was sent: {str(name)[:60]!r}", hint=_HINT)
    place = _RECORDS[name]
    kind = getattr(importlib.import_module(place), name)
    try:
        return record_json.read(kind, own, name)
    except Exception as error:
        raise DeviceAnswerWrong(f"an invalid {name} was sent: {str(error)[:100]}", hint=_HINT) from error
