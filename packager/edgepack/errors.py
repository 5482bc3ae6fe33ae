"""Every way to fail on purpose: a class, an exit code, one line and a hint.

EdgepackError                      1   (never raised itself; 1 is "a check failed")
├── CheckFailed                    1   a release check or an accuracy floor was missed
├── UsageError                     2   the command line or a call is wrong
│   └── UnknownName                3   a target, recipe, task … that does not exist (nearest suggested)
├── ProjectError                   4   edgepack.toml or a suite file is wrong
├── MissingExtra                   5   a Python package that the command needs is not installed, or another version
├── ModelError                    10   a model that cannot be read
│   ├── ModelNotFound             11   no such folder, package or hub id
│   ├── NetworkError              12   the hub cannot be reached
│   ├── UnsafeModel               13   pickled weights or remote code
│   ├── DamagedWeights            14   truncated or corrupt safetensors
│   ├── UnsupportedModel          15   an architecture or task that edgepack does not support
│   ├── PreprocessingDiffers      23   a model's own library makes other inputs, or other vectors, of the same text
│   ├── UnreadSetting             24   a setting in config.json that edgepack does not know
│   └── ReadingDiffers            25   edgepack's reading of config.json computes something else than transformers
├── DoesNotFit                    16   the model does not fit the target's memory or store limit
├── ConversionError               17   a conversion broke its promise
├── CoverageTooLow                18   too few of the weights were compressed
├── TargetError                   19   a target.toml that is wrong
├── DataError                     20   a data set that is missing, empty or lacks columns
├── DiskFull                      21   no space left to write
├── FileTrouble                   22   a file or folder that cannot be read or written
├── BundleError                   30   not a bundle
│   ├── BundleDamaged             31   a byte differs from the manifest
│   ├── BundleFileMissing         32   a listed file is not there
│   ├── BundleUnsafe              33   a path outside the folder, or a zip bomb
│   ├── BundleTooNew              34   written by a newer edgepack
│   └── SignatureError            60   a signature that cannot be read
│       ├── SignatureMissing      61   a signature is asked for, and the bundle has none
│       ├── SignatureWrong        62   a signature of another key, or of something else
│       ├── CertificateUntrusted  63   a signer's certificate that leads to no trusted root, or is not for signing
│       ├── CertificateExpired    64   a signer's certificate that is not valid now
│       └── FileNotSigned         65   a file that the signature does not cover
├── InputError                    40   an input that the model cannot take
│   ├── InputMissing              41   an input that is not given
│   ├── InputUnknown              42   an input that the model does not have
│   ├── InputTypeWrong            43   an input of another dtype or kind
│   └── ShapeNotAllowed           44   a shape that the model does not take
├── PackageError                  50   not a Core ML package
│   ├── PackageDamaged            51   a Core ML package that is cut short or contradicts itself
│   ├── PackageFileMissing        52   a file that the package names is not there
│   ├── PackageUnsafe             53   a path or link that leads out of the package
│   ├── PackageTooNew             54   a specification that is newer than edgepack
│   ├── NotAProgram               55   a Core ML model of another kind than ML Program
│   ├── UnsupportedOperator       56   an op that the evaluator does not know
│   ├── OperatorTooNew            57   an op that the package's deployment target does not have
│   └── EvaluationFailed          58   an op that cannot compute what it is given
├── KeyUnusable                   66   a key or a certificate of yours that cannot be used
└── Unexpected                    70   a mistake in edgepack itself

and beside it, a BaseException:
Interrupted                      130   Ctrl-C
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BundleDamaged",
    "BundleError",
    "BundleFileMissing",
    "BundleTooNew",
    "BundleUnsafe",
    "CertificateExpired",
    "CertificateUntrusted",
    "CheckFailed",
    "ConversionError",
    "CoverageTooLow",
    "DamagedWeights",
    "DataError",
    "DiskFull",
    "DoesNotFit",
    "EdgepackError",
    "EvaluationFailed",
    "FileNotSigned",
    "FileTrouble",
    "InputError",
    "InputMissing",
    "InputTypeWrong",
    "InputUnknown",
    "Interrupted",
    "KeyUnusable",
    "MissingExtra",
    "ModelError",
    "ModelNotFound",
    "NetworkError",
    "NotAProgram",
    "OperatorTooNew",
    "PackageDamaged",
    "PackageError",
    "PackageFileMissing",
    "PackageTooNew",
    "PackageUnsafe",
    "PreprocessingDiffers",
    "ProjectError",
    "ReadingDiffers",
    "ShapeNotAllowed",
    "SignatureError",
    "SignatureMissing",
    "SignatureWrong",
    "TargetError",
    "Unexpected",
    "UnknownName",
    "UnreadSetting",
    "UnsafeModel",
    "UnsupportedModel",
    "UnsupportedOperator",
    "UsageError",
    "nearest",
]


def nearest(name: str, known: Iterable[str], *, least: float = 0.65) -> str | None:
    """Return the known name most like ``name``, or None when none is near: a slip of the pen, or (0.5) of the same
    family.
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=least)
    return matches[0] if matches else None


class EdgepackError(Exception):
    """A deliberate failure: ``str(error)`` is one line, ``hint`` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CheckFailed(EdgepackError):
    """A release check or an accuracy floor was missed."""

    exit_code = 1


class UsageError(EdgepackError):
    """The command line or a call is wrong."""

    exit_code = 2


class UnknownName(UsageError):
    """A name of a kind (target, recipe, task, …) that does not exist."""

    exit_code = 3

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = nearest(name, names)
        hint = f"did you mean {close!r}?" if close else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"no {kind} named {name!r}", hint=hint)
        self.kind, self.name, self.known = kind, name, names


class ProjectError(EdgepackError):
    """edgepack.toml or a suite file is wrong."""

    exit_code = 4


class MissingExtra(EdgepackError):
    """A Python package that the command needs is not installed, or in a version that will not do."""

    exit_code = 5

    def __init__(
        self, package: str, extra: str | None, distribution: str = "edgepack", *, found: str = "", wanted: str = ""
    ) -> None:
        """Name what brings ``package``: ``extra`` of ``distribution``, "" where it needs none, None where no extra
        does.

        ``found`` is the version that is installed, where it is another than the ``wanted``.
        """
        told = f"{package} {found} is installed, and this needs {package}{wanted}"
        bringing = package if extra is None else f"'{distribution}[{extra}]'" if extra else distribution
        super().__init__(
            told if found else f"this needs the Python package {package!r}, which is not installed",
            hint=f"pip install {bringing}",
        )


class ModelError(EdgepackError):
    """A model that cannot be read."""

    exit_code = 10


class ModelNotFound(ModelError):
    """No such folder, package or hub id."""

    exit_code = 11


class NetworkError(ModelError):
    """The hub cannot be reached."""

    exit_code = 12


class UnsafeModel(ModelError):
    """Pickled weights or remote code: both run other people's programs when loaded."""

    exit_code = 13


class DamagedWeights(ModelError):
    """Truncated or corrupt safetensors."""

    exit_code = 14


class UnsupportedModel(ModelError):
    """An architecture or task that edgepack does not support."""

    exit_code = 15


class PreprocessingDiffers(ModelError):
    """The model's own library makes other token ids, or another vector, of the same text."""

    exit_code = 23


class UnreadSetting(ModelError):
    """A setting in config.json that edgepack neither used nor knows to change nothing."""

    exit_code = 24


class ReadingDiffers(ModelError):
    """A difference between what edgepack computes by its reading of a model's files and what transformers computes."""

    exit_code = 25


class DoesNotFit(EdgepackError):
    """The model does not fit the target's memory or store limit."""

    exit_code = 16


class ConversionError(EdgepackError):
    """A conversion broke its promise: other inputs or outputs, or values that are not finite."""

    exit_code = 17


class CoverageTooLow(EdgepackError):
    """Too few of the weights were compressed."""

    exit_code = 18


class TargetError(EdgepackError):
    """A target.toml that is wrong."""

    exit_code = 19


class DataError(EdgepackError):
    """A data set that is missing, empty or lacks columns."""

    exit_code = 20


class DiskFull(EdgepackError):
    """No space left to write."""

    exit_code = 21


class FileTrouble(EdgepackError):
    """A file or folder that cannot be read or written: no such folder, a file in its place, no permission."""

    exit_code = 22


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


class InputError(EdgepackError):
    """An input that the model cannot take."""

    exit_code = 40


class Interrupted(BaseException):
    """Ctrl-C: not an Exception, since libraries catch those and go on, or make others of them."""

    exit_code = 130

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Unexpected(EdgepackError):
    """A mistake in edgepack itself: an exception that nobody foresaw."""

    exit_code = 70


class InputMissing(InputError):
    """An input that is not given."""

    exit_code = 41


class InputUnknown(InputError):
    """An input that the model does not have."""

    exit_code = 42


class InputTypeWrong(InputError):
    """An input of another dtype or kind than the model's."""

    exit_code = 43


class ShapeNotAllowed(InputError):
    """A shape outside the ranges, or not among the shapes, that the model takes."""

    exit_code = 44


class PackageError(EdgepackError):
    """Not a Core ML package."""

    exit_code = 50


class PackageDamaged(PackageError):
    """A Core ML package that is cut short or contradicts itself."""

    exit_code = 51


class PackageFileMissing(PackageError):
    """A file that the package names is not there."""

    exit_code = 52


class PackageUnsafe(PackageError):
    """A path or a link that leads out of the package."""

    exit_code = 53


class PackageTooNew(PackageError):
    """A Core ML specification that is newer than this edgepack."""

    exit_code = 54


class NotAProgram(PackageError):
    """A Core ML model of another kind: a neural network, a pipeline, a tree."""

    exit_code = 55


class UnsupportedOperator(PackageError):
    """An op, or an input of one, that the evaluator does not know."""

    exit_code = 56


class OperatorTooNew(PackageError):
    """An op that the package's own deployment target does not have."""

    exit_code = 57


class EvaluationFailed(PackageError):
    """An op that cannot compute what it is given."""

    exit_code = 58
