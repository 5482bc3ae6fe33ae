"""Bundles that cannot be opened, and their signatures."""

from __future__ import annotations

from edgepack.errors._root import EdgepackError


class BundleError(EdgepackError):
    """Not a bundle."""

    exit_code = 30


class BundleDamaged(BundleError):
    """A byte differs from what the manifest says."""

    exit_code = 31


class BundleFileMissing(BundleError):
    """A file that the manifest lists is not there."""

    exit_code = 32


class BundleUnsafe(BundleError):
    """A path that climbs out of the folder, or an archive that unpacks to far more than it says."""

    exit_code = 33


class BundleTooNew(BundleError):
    """Written by a newer edgepack."""

    exit_code = 34


class BundleTooOld(BundleError):
    """Written in a form that apps cannot be generated from any more."""

    exit_code = 35


class SignatureError(BundleError):
    """A signature that cannot be read."""

    exit_code = 60


class SignatureMissing(SignatureError):
    """A signature is asked for, and the bundle has none."""

    exit_code = 61


class SignatureWrong(SignatureError):
    """A signature that was made with another key, or of something else."""

    exit_code = 62


class CertificateUntrusted(SignatureError):
    """A signer's certificate that leads to no trusted root, or is not for signing."""

    exit_code = 63


class CertificateExpired(SignatureError):
    """A signer's certificate, or one above it, that is not valid now."""

    exit_code = 64


class FileNotSigned(SignatureError):
    """A file that is in the bundle and that its signature does not cover."""

    exit_code = 65


class KeyUnusable(EdgepackError):
    """A key or a certificate that is given and cannot be used: not PEM, another kind, another key's."""

    exit_code = 66
