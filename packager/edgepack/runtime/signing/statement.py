"""The statement of a signature: each file's SHA-256, as an in-toto statement of OpenSSF Model Signing 1.0."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from edgepack.containment import check_distinct, checked_name
from edgepack.documents import JsonDict, parse_json, read_object
from edgepack.errors import SignatureError
from edgepack.runtime.schema import Mismatch, check

AGAIN = "ask for the bundle again, or sign it again"
_METHOD = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


@dataclass(frozen=True)
class Statement:
    """The ``name`` of a model and the SHA-256 of its ``files``, in hexadecimal."""

    name: str
    files: Mapping[str, str]


def encode(statement: Statement, ignored: Iterable[str]) -> bytes:
    """Return the statement in JSON; other verifiers leave out the files ``ignored``."""
    names = sorted(statement.files, key=lambda name: PurePosixPath(name).parts)  # the order of model-signing
    digests = [statement.files[name] for name in names]
    table = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": statement.name, "digest": {"sha256": _total(digests)}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {**_METHOD, "ignore_paths": sorted(ignored)},
            "resources": [
                {"name": name, "algorithm": "sha256", "digest": digest}
                for name, digest in zip(names, digests, strict=True)
            ],
        },
    }
    return json.dumps(table, indent=1).encode()


def decode(payload: bytes, place: str) -> Statement:
    """Return the statement in ``payload``, of which ``place`` is named in errors. Raises SignatureError."""
    table = parse_json(payload, f"the statement in {place}", SignatureError, hint=AGAIN)
    try:
        check(table, _published())
    except Mismatch as wrong:
        raise SignatureError(f"the statement in {place}: {wrong}", hint=AGAIN) from wrong
    resources = table["predicate"]["resources"]
    names = [checked_name(resource["name"], place, SignatureError, AGAIN) for resource in resources]
    if len(set(names)) != len(names):
        raise SignatureError(f"{place} names a file twice", hint=AGAIN)
    check_distinct(names, place, SignatureError, AGAIN)
    digests = [resource["digest"] for resource in resources]
    subject = table["subject"][0]
    if _total(digests) != subject["digest"]["sha256"]:
        raise SignatureError(f"{place} contradicts itself: its digest is not that of the files it lists", hint=AGAIN)
    return Statement(subject["name"], dict(zip(names, digests, strict=True)))


def _total(digests: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


@cache
def _published() -> JsonDict:
    return read_object(Path(__file__).parents[2] / "schemas" / "model-statement-1.json")
