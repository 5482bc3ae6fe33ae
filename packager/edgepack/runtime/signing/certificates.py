"""Certificates of signers: the chain from the signer's to a trusted root, as RFC 5280 wants it, at a time.

Unlike model-signing, which takes the time at which the signer's certificate began, a certificate has to be valid now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey as PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from edgepack.errors import CertificateExpired, CertificateUntrusted, KeyUnusable, SignatureError
from edgepack.runtime.signing.envelope import Envelope
from edgepack.runtime.signing.keys import check_signature, usable
from edgepack.runtime.signing.statement import AGAIN

E = TypeVar("E", bound=x509.ExtensionType)
# what reading a certificate, its key or its extensions raises, beside ValueError
_BROKEN = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)  # fmt: skip
_RENEW = "sign the bundle again with a certificate that is valid"


class CertificateVerifier:
    """Holds an envelope against root certificates, ``now`` or at another time."""

    def __init__(self, roots: Sequence[Certificate], now: datetime | None = None) -> None:
        self._roots, self._now = list(roots), now

    def check(self, envelope: Envelope, place: str) -> None:
        """Raises CertificateUntrusted, CertificateExpired, SignatureWrong or SignatureError, which name ``place``."""
        if not envelope.certificates:
            raise CertificateUntrusted(f"{place} has no certificate", hint="it was signed with a key: --public-key")
        try:
            chain = [x509.load_der_x509_certificate(raw) for raw in envelope.certificates]
            self._check_chain(chain, place)
            check_usage(chain[0], place)
            key = usable(chain[0].public_key(), place)
        except (*_BROKEN, KeyUnusable) as error:
            raise SignatureError(f"{place} holds a certificate that cannot be read", hint=AGAIN) from error
        check_signature(key, envelope, place)

    def _check_chain(self, chain: Sequence[Certificate], place: str) -> None:
        """Raises CertificateExpired where dates alone are wrong, or the signer's are, else CertificateUntrusted."""
        now = self._now or datetime.now(UTC)
        trouble = self._trouble(chain, now)
        if trouble is None:
            return
        begins = [certificate.not_valid_before_utc for certificate in chain]
        own = not begins[0] <= now <= chain[0].not_valid_after_utc
        if own or any(self._trouble(chain, time) is None for time in (begins[0], max(begins))):
            raise CertificateExpired(
                f"a certificate of {place} is not valid on {now:%Y-%m-%d %H:%M} UTC; the signer's is from "
                f"{chain[0].not_valid_before_utc:%Y-%m-%d %H:%M} to {chain[0].not_valid_after_utc:%Y-%m-%d %H:%M}",
                hint=_RENEW,
            )
        raise CertificateUntrusted(
            f"the certificate of {place} does not lead to a trusted root: {trouble}",
            hint="check the root certificates, or do not use the bundle",
        )

    def _trouble(self, chain: Sequence[Certificate], time: datetime) -> str | None:
        """Say why no root leads to the first certificate at that time, or None."""
        builder = PolicyBuilder().store(Store(self._roots)).time(time)
        builder = builder.extension_policies(ca_policy=_CA, ee_policy=ExtensionPolicy.permit_all())
        try:
            builder.build_client_verifier().verify(chain[0], list(chain[1:]))
        except VerificationError as error:
            return str(error).splitlines()[0].removeprefix("validation failed: ")
        return None


def certificates(pem: bytes, name: str) -> list[Certificate]:
    """Return the certificates in ``pem``. Raises KeyUnusable, which says ``name``."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except _BROKEN as error:
        raise KeyUnusable(f"{name} is not a certificate in PEM", hint="it begins with BEGIN CERTIFICATE") from error


def check_usage(certificate: Certificate, place: str) -> None:
    """Raises CertificateUntrusted where the certificate says that it is for something else than signing code."""
    usage, purposes = _extension(certificate, x509.KeyUsage), _extension(certificate, x509.ExtendedKeyUsage)
    signs = usage is None or usage.digital_signature
    code = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if (usage is None and purposes is None) or not signs or not (purposes is None or code & set(purposes)):
        raise CertificateUntrusted(
            f"the certificate of {place} is not for signing",
            hint="its keyUsage must hold digitalSignature and its extendedKeyUsage, where it has one, codeSigning",
        )


def check_pair(certificate: Certificate, key: PublicKey, name: str) -> None:
    """Raises KeyUnusable where the certificate is of another key, CertificateExpired, CertificateUntrusted."""
    try:
        same = certificate.public_key() == key
        check_usage(certificate, name)
    except _BROKEN as error:
        raise KeyUnusable(f"{name} cannot be read", hint="a certificate in PEM is needed") from error
    if not same:
        raise KeyUnusable(f"{name} is the certificate of another key", hint="give the --certificate of this --key")
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        raise CertificateExpired(f"{name} is not valid now", hint="renew it")


def der(certificate: Certificate) -> bytes:
    """Return the certificate's bytes."""
    return certificate.public_bytes(Encoding.DER)


def _extension(certificate: Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _check_authority(policy: Policy, certificate: Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("an issuer in the chain is not a certificate authority")


def _check_authority_usage(policy: Policy, certificate: Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its issuer may not sign certificates")


_CA = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _check_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_authority_usage)
)
