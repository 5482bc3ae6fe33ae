"""model.sig itself: a sigstore bundle 0.3 in JSON, around a DSSE envelope, around the statement.

Formats: https://github.com/sigstore/protobuf-specs (bundle), https://github.com/secure-systems-lab/dsse (envelope).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgepack.documents import JsonDict, parse_json, read_object
from edgepack.errors import SignatureError
from edgepack.runtime.schema import Mismatch, check
from edgepack.runtime.signing.statement import AGAIN

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A signed ``payload``, and its key's ``hint`` or the signer's ``certificates`` (DER), its own first."""

    payload: bytes
    signature: bytes
    hint: str = ""
    certificates: tuple[bytes, ...] = ()


def signed_bytes(payload: bytes) -> bytes:
    """Return what is signed for ``payload``: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)


def encode(envelope: Envelope) -> str:
    """Return the text of model.sig."""
    chain = [{"rawBytes": _base64(certificate)} for certificate in envelope.certificates]
    material = {"x509CertificateChain": {"certificates": chain}} if chain else {"publicKey": {"hint": envelope.hint}}
    table = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": _base64(envelope.payload),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": _base64(envelope.signature), "keyid": ""}],
        },
    }
    return json.dumps(table, separators=(",", ":"))


def decode(text: bytes, place: str) -> Envelope:
    """Return the envelope in ``text``, which ``place`` names in errors; nothing is verified yet.

    Raises SignatureError.
    """
    table = parse_json(text, place, SignatureError, hint=AGAIN)
    try:
        check(table, _published())
        signed, material = table["dsseEnvelope"], table["verificationMaterial"]
        return Envelope(
            payload=_bytes(signed["payload"]),
            signature=_bytes(signed["signatures"][0]["sig"]),
            hint=material.get("publicKey", {}).get("hint") or "",
            certificates=tuple(
                _bytes(entry["rawBytes"]) for entry in material.get("x509CertificateChain", {}).get("certificates", ())
            ),
        )
    except Mismatch as wrong:
        raise SignatureError(f"{place}: {wrong}", hint=AGAIN) from wrong
    except ValueError as error:
        raise SignatureError(f"{place} holds broken base64", hint=AGAIN) from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


@cache
def _published() -> JsonDict:
    return read_object(Path(__file__).parents[2] / "schemas" / "model-signature-0.3.json")
