"""Sign a bundle: model.sig over every file that its manifest lists, and over the manifest."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgepack import outfolder
from edgepack.errors import FileNotSigned, UsageError
from edgepack.runtime import archive, completeness, manifest, signing
from edgepack.runtime.manifest import SIGNATURE, Manifest
from edgepack.runtime.signing import envelope, statement
from edgepack.runtime.signing.envelope import Envelope

if TYPE_CHECKING:  # where cryptography is not installed, the command says so
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as PrivateKey


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A private key, with the certificates (DER) that lead from its own to, but not including, a root."""

    key: PrivateKey
    certificates: tuple[bytes, ...] = ()

    @property
    def hint(self) -> str:
        """Name of the key in a signature: SHA-256 of the public key's PEM, in hexadecimal."""
        return str(signing.cryptographic("keys").hint(self.key.public_key()))


def signer(
    key: Path, *, password: str | None = None, certificate: Path | None = None, chain: Sequence[Path] = ()
) -> Signer:
    """Return the signer of these PEM files.

    Raises KeyUnusable, CertificateExpired, CertificateUntrusted, MissingExtra.
    """
    keys = signing.cryptographic("keys")
    private = keys.private_key(signing.pem(key), str(key), password)
    if certificate is None:
        if chain:
            raise UsageError("--chain is for certificates", hint="give the signer's own with --certificate")
        return Signer(key=private)
    reading = signing.cryptographic("certificates")
    own, *more = reading.certificates(signing.pem(certificate), str(certificate))
    reading.check_pair(own, private.public_key(), str(certificate))
    above = [one for file in chain for one in reading.certificates(signing.pem(file), str(file))]
    return Signer(key=private, certificates=tuple(reading.der(one) for one in (own, *more, *above)))


def sign(bundle: Path, signer: Signer, *, force: bool = False, trust: bool = False) -> Manifest:
    """Sign a bundle's folder or ``.edgepack`` file, in place of an earlier signature; what was signed.

    ``force`` replaces a model.sig that is no signature, ``trust`` unpacks what is much larger than its archive. Raises
    BundleError and its subclasses, FileTrouble.
    """
    if not bundle.is_file():
        return _sign(bundle, signer, force)
    with outfolder.replacing(bundle, partial(outfolder.check_archive, force=force)) as fresh:
        folder = fresh.with_name(f"{fresh.name}-unpacked")
        folder.mkdir()
        archive.unpack(bundle, folder, trust=trust)
        listed = _sign(folder, signer, force)
        archive.zip_folder(folder, fresh)
        fresh.chmod(stat.S_IMODE(bundle.stat().st_mode))
    return listed


def _sign(folder: Path, signer: Signer, force: bool) -> Manifest:
    outfolder.clear_leftovers(folder)
    listed = manifest.read(folder)
    completeness.check_submodels(listed)
    if extra := manifest.verify(listed):
        raise FileNotSigned(f"{extra[0]} in {folder} is not in its manifest", hint="remove it first")
    _check_links(listed)
    payload = statement.encode(signing.statement_of(listed), signing.UNSIGNED)
    made = Envelope(
        payload=payload,
        signature=signing.cryptographic("keys").sign(signer.key, payload),
        hint=signer.hint,
        certificates=signer.certificates,
    )
    place = folder / SIGNATURE
    check = partial(outfolder.check_signature, force=force)
    with outfolder.replacing(place, check, beside=outfolder.beside(folder)) as fresh:
        fresh.write_text(envelope.encode(made), "utf-8")
    return listed


def _check_links(listed: Manifest) -> None:
    """Raises FileNotSigned for a link, which other verifiers do not follow."""
    home = listed.folder.resolve()
    for name in listed.table["files"]:
        if (home / name).resolve() != home / name:
            raise FileNotSigned(f"{name} in {listed.folder} is a link", hint="put the file itself in its place")
