"""Keys and certificates of signers, made for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CODE, TLS = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH
DAY = timedelta(days=1)


def key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def private_pem(key: object, password: str = "") -> bytes:
    how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)  # type: ignore[attr-defined,no-any-return]


def public_pem(key: object) -> bytes:
    pem: bytes = key.public_key().public_bytes(  # type: ignore[attr-defined]
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def written(folder: Path, name: str, pem: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pem)
    return folder / name


@dataclass
class Party:
    """A certificate and its key."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=key)
    certificate: x509.Certificate | None = None

    @property
    def pem(self) -> bytes:
        assert self.certificate is not None
        return self.certificate.public_bytes(Encoding.PEM)


def certified(
    name: str,
    by: Party | None = None,
    *,
    authority: bool = False,
    signs: bool | None = None,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    begins: timedelta = -DAY,
    ends: timedelta = DAY,
    own: ec.EllipticCurvePrivateKey | None = None,
) -> Party:
    """A party whose certificate is ``by`` another, or its own; ``signs`` None leaves keyUsage out."""
    party, now = Party(name, own or key()), datetime.now(UTC)
    by = by or party
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by.name))
        .public_key(party.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(party.key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
    )
    if signs is not None:
        usage = x509.KeyUsage(
            digital_signature=signs, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    party.certificate = builder.sign(by.key, hashes.SHA256())
    return party


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
