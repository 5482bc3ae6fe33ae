"""Signed bundles: model.sig beside the manifest, as OpenSSF Model Signing (OMS) has it and model-signing reads it.

It covers every file that the manifest lists and the manifest itself; not the measurements, which are made again on
every device. Reading a signature needs the standard library, checking it the package cryptography.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Protocol

from edgepack.containment import contained, open_file
from edgepack.documents import read_bytes, read_open
from edgepack.errors import (
    BundleDamaged,
    BundleFileMissing,
    FileNotSigned,
    KeyUnusable,
    MissingExtra,
    SignatureMissing,
    UsageError,
)
from edgepack.runtime.manifest import LARGEST, MANIFEST, MEASUREMENTS, SIGNATURE, Manifest, digest, found
from edgepack.runtime.signing.envelope import Envelope
from edgepack.runtime.signing.envelope import decode as decode_envelope
from edgepack.runtime.signing.statement import AGAIN, Statement
from edgepack.runtime.signing.statement import decode as decode_statement

Pem = str | Path | bytes
UNSIGNED = (SIGNATURE, MEASUREMENTS)  # what a signature need not cover
_LARGEST_PEM = 1_000_000  # bytes


class Verifier(Protocol):
    """The trust that an envelope is checked by: a public key, or root certificates."""

    def check(self, envelope: Envelope, place: str) -> None:
        """Raises SignatureError and its subclasses, which name ``place``."""


def verifier(public_key: Pem | None = None, root_certificates: Iterable[Pem] | None = None) -> Verifier | None:
    """Return the verifier for what is given, each a PEM file's path or its bytes; None for neither.

    Raises KeyUnusable, MissingExtra, UsageError.
    """
    if isinstance(root_certificates, str | Path | bytes):
        root_certificates = [root_certificates]
    given = root_certificates if root_certificates is not None else [] if public_key is None else [public_key]
    if not isinstance(given, list | tuple) or not all(isinstance(one, str | Path | bytes) for one in given):
        raise UsageError("a key or a certificate is a PEM file's path or its bytes", hint='public_key="signing.pub"')
    if public_key is not None and root_certificates is not None:
        raise UsageError("a public key and root certificates are given", hint="a bundle is signed with one of them")
    if public_key is not None:
        keys = cryptographic("keys")
        made: Verifier = keys.KeyVerifier(keys.public_key(pem(public_key), _named(public_key)))
        return made
    if root_certificates is None:
        return None
    reading = cryptographic("certificates")
    roots = [root for file in root_certificates for root in reading.certificates(pem(file), _named(file))]
    if not roots:
        raise UsageError("there are no root certificates", hint="give at least one, a PEM file")
    made = reading.CertificateVerifier(roots)
    return made


def check(manifest: Manifest, verifier: Verifier) -> None:
    """Check that the bundle's signature is by whom ``verifier`` says, and of the files that are there.

    The manifest is taken as it was read; its files are to be verified with it. Raises SignatureError and its
    subclasses, BundleDamaged, BundleFileMissing.
    """
    if not os.path.lexists(manifest.folder / SIGNATURE):
        raise SignatureMissing(f"{manifest.folder} is not signed: it has no {SIGNATURE}", hint=AGAIN)
    envelope, place = _envelope(manifest)
    verifier.check(envelope, place)
    check_files(manifest, decode_statement(envelope.payload, place))


def signed(manifest: Manifest) -> bool:
    """Return whether the bundle has a signature, whose files are those that are there; who signed them is not checked.

    Raises as ``check`` does.
    """
    if not os.path.lexists(manifest.folder / SIGNATURE):
        return False
    envelope, place = _envelope(manifest)
    check_files(manifest, decode_statement(envelope.payload, place))
    return True


def check_files(manifest: Manifest, statement: Statement) -> None:
    """Hold what is in the folder against ``statement``, with the hashes of files that the manifest tells.

    Raises FileNotSigned, BundleDamaged, BundleFileMissing.
    """
    folder = manifest.folder
    known = {name: str(entry["sha256"]) for name, entry in manifest.table["files"].items()}
    known[MANIFEST] = manifest.sha256
    if bare := sorted({*known, *found(folder)} - {*statement.files, *UNSIGNED}):
        raise FileNotSigned(f"{bare[0]} in {folder} is not covered by its {SIGNATURE}", hint="remove it, or sign again")
    for name, sha256 in statement.files.items():
        if not os.path.lexists(folder / name):
            raise BundleFileMissing(f"{folder} lacks {name}, which its {SIGNATURE} covers", hint=AGAIN)
        if (known.get(name) or digest(contained(folder, name))) != sha256:
            raise BundleDamaged(f"{name} in {folder} is not what was signed", hint=AGAIN)


def statement_of(manifest: Manifest) -> Statement:
    """Return what is to be signed: the hashes of the manifest's files, and of the manifest itself."""
    files = {name: str(entry["sha256"]) for name, entry in manifest.table["files"].items()}
    return Statement(manifest.name, files | {MANIFEST: manifest.sha256})


def cryptographic(name: str) -> ModuleType:
    """Return the module ``name`` of this package, which needs the package cryptography. Raises MissingExtra."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as missing:
        raise MissingExtra(str(missing.name).split(".")[0], "sign") from missing


def pem(given: Pem) -> bytes:
    """Return the bytes of a PEM file, or those given. Raises KeyUnusable."""
    if isinstance(given, bytes):
        return given
    return read_bytes(Path(os.path.expanduser(given)), KeyUnusable, hint="give a file in PEM", largest=_LARGEST_PEM)


def _named(given: Pem) -> str:
    return "what was given" if isinstance(given, bytes) else str(given)


def _envelope(manifest: Manifest) -> tuple[Envelope, str]:
    file = manifest.folder / SIGNATURE
    text = read_open(open_file(manifest.folder, SIGNATURE), file, largest=LARGEST)
    return decode_envelope(text, str(file)), str(file)
