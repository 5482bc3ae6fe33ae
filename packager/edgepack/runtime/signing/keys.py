"""Keys that sign and verify: ECDSA on P-256, P-384 and P-521, as OpenSSF Model Signing has them."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as PrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey as PublicKey

from edgepack.errors import KeyUnusable, SignatureWrong
from edgepack.runtime.signing.envelope import Envelope, signed_bytes

# each curve with the hash that is signed
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512(),
}  # fmt: skip
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)
CURVES = "P-256, P-384 or P-521"
_MAKE = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signing.key"
_DERIVE = "openssl pkey -in signing.key -pubout -out signing.pub"


class KeyVerifier:
    """Holds an envelope against one public key."""

    def __init__(self, key: PublicKey) -> None:
        self._key = key

    def check(self, envelope: Envelope, place: str) -> None:
        """Raises SignatureWrong where the envelope in ``place`` was not signed with the key."""
        if envelope.hint and envelope.hint != hint(self._key):
            raise SignatureWrong(f"{place} was signed with another key", hint="check which key was to be used")
        check_signature(self._key, envelope, place)


def check_signature(key: PublicKey, envelope: Envelope, place: str) -> None:
    """Raises SignatureWrong where ``key`` did not sign the envelope in ``place``."""
    try:
        key.verify(envelope.signature, signed_bytes(envelope.payload), ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature as error:
        raise SignatureWrong(
            f"{place} was changed, or signed with another key", hint="do not use the bundle, or check the key"
        ) from error


def sign(key: PrivateKey, payload: bytes) -> bytes:
    """Return the signature over ``payload`` in a DSSE envelope, in DER."""
    return key.sign(signed_bytes(payload), ec.ECDSA(_HASHES[key.curve.name]))


def hint(key: PublicKey) -> str:
    """Return what names a key in an envelope: SHA-256 of its PEM, in hexadecimal."""
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.PEM, info)).hexdigest()


def public_key(pem: bytes, name: str) -> PublicKey:
    """Return the key in ``pem``. Raises KeyUnusable, which says ``name``."""
    try:
        key = serialization.load_pem_public_key(pem)
    except _UNREADABLE as error:
        raise KeyUnusable(f"{name} is not a public key in PEM", hint=_DERIVE) from error
    return usable(key, name)


def private_key(pem: bytes, name: str, password: str | None = None) -> PrivateKey:
    """Return the key in ``pem``, decrypted with ``password``. Raises KeyUnusable, which says ``name``."""
    if b"ENCRYPTED" in pem and not password:
        raise KeyUnusable(f"{name} is encrypted", hint="put its password into the variable EDGEPACK_KEY_PASSWORD")
    try:
        key = serialization.load_pem_private_key(pem, password.encode() if password and b"ENCRYPTED" in pem else None)
    except _UNREADABLE as error:
        why = "is not a private key in PEM, or has another password" if password else "is not a private key in PEM"
        raise KeyUnusable(f"{name} {why}", hint=_MAKE) from error
    if not isinstance(key, PrivateKey):
        raise _other(key, name)
    usable(key.public_key(), name)
    return key


def usable(key: object, name: str) -> PublicKey:
    """Return ``key``, where it is on one of the curves. Raises KeyUnusable, which says ``name``."""
    if not isinstance(key, PublicKey) or key.curve.name not in _HASHES:
        raise _other(key, name)
    return key


def _other(key: object, name: str) -> KeyUnusable:
    kind = getattr(getattr(key, "curve", None), "name", type(key).__name__.lstrip("_"))
    return KeyUnusable(f"{name} is a key of another kind ({kind})", hint=f"{CURVES}: {_MAKE}")
