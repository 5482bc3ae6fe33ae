"""Write what schemas/bundle-2.json says about ``processing`` from the records: python docs/make_bundle_schema.py"""

import json
import re
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import edgepack
from edgepack.runtime import record_json
from edgepack.runtime.processing import Classes, Embedding, Entities, Mask, Match, Processing, Span

FILE = Path(edgepack.__file__).parent / "schemas" / "bundle-2.json"
# the sections that edgepack's own tasks need, and the kind of answer
TASKS: dict[str, tuple[list[str], Any]] = {
    "text-embedding": (["text"], Embedding),
    "sparse-embedding": (["text"], Embedding),
    "text-classification": (["text"], Classes),
    "text-ranking": (["text"], Classes),
    "token-classification": (["text"], Entities),
    "question-answering": (["text"], Span),
    "fill-mask": (["text"], Mask),
    "image-classification": (["image"], Classes),
    "image-embedding": (["image"], Embedding),
    "audio-classification": (["audio"], Classes),
    "zero-shot-image-classification": (["text", "image"], Match),
    "text-generation": (["generation"], None),
    "text-to-image": (["diffusion", "schedule"], None),
}
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def definitions() -> dict[str, Any]:
    """The schema of each record, by its class's name."""
    found: dict[str, Any] = {}
    _schema(Processing, found)
    return dict(sorted(found.items()))


def conditions() -> list[dict[str, Any]]:
    """What each task needs of ``processing``."""
    return [
        {
            "if": {"type": "object", "properties": {"task": {"const": task}}, "required": ["task"]},
            "then": {"type": "object", "properties": {"processing": _needs(*needs)}},
        }
        for task, needs in TASKS.items()
    ]


def text() -> str:
    """The file with its part about ``processing`` renewed."""
    schema = json.loads(FILE.read_text("utf-8"))
    kept = {name: value for name, value in schema["$defs"].items() if not name[0].isupper()}
    schema["$defs"] = {**kept, **definitions()}
    schema["properties"]["processing"] = {"$ref": "#/$defs/Processing"}
    schema["allOf"] = conditions()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _needs(sections: list[str], answer: Any) -> dict[str, Any]:
    if answer is None:
        return {"type": "object", "required": sections}
    kind = {"type": "object", "properties": {"kind": {"const": answer.TAG[1]}}, "required": ["kind"]}
    return {"type": "object", "properties": {"answer": kind}, "required": [*sections, "answer"]}


def _schema(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field's type; records are put into ``found``."""
    rules = kind.__metadata__[0].keywords if hasattr(kind, "__metadata__") else {}
    kind = record_json.plain(kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {}
    if origin in (typing.Union, UnionType):
        return _alternatives([one for one in inner if one is not NoneType], found)
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin is tuple:
        return {"type": "array", "items": _schema(inner[0], found), **rules}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(inner[1], found), **rules}
    if is_dataclass(kind):
        return _record(kind, found)
    return {"type": _TYPES[kind], **rules}


def _record(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in found:
        found[kind.__name__] = {}  # keeps its place
        tag = {kind.TAG[0]: {"const": kind.TAG[1]}} if hasattr(kind, "TAG") else {}
        found[kind.__name__] = {
            "description": re.sub(r"``(.+?)``", r"\1", kind.__doc__),
            "type": "object",
            "properties": {**tag, **{name: _schema(hint, found) for name, hint in record_json.hints(kind).items()}},
            "required": [*tag, *record_json.required(kind)],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _alternatives(kinds: list[Any], found: dict[str, Any]) -> dict[str, Any]:
    """A schema whose errors are about the record that a value's tag names."""
    if len(kinds) == 1:
        return _schema(kinds[0], found)
    key = kinds[0].TAG[0]
    return {
        "type": "object",
        "properties": {key: {"enum": [kind.TAG[1] for kind in kinds]}},
        "required": [key],
        "allOf": [
            {
                "if": {"type": "object", "properties": {key: {"const": kind.TAG[1]}}, "required": [key]},
                "then": _schema(kind, found),
            }
            for kind in kinds
        ],
    }


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
