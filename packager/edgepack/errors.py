"""Every way to fail on purpose: a class, an exit code, one line and a hint.

EdgepackError                      1   (never raised itself; 1 is "a check failed")
├── CheckFailed                    1   a release check or an accuracy floor was missed
├── UsageError                     2   the command line or a call is wrong
│   └── UnknownName                3   a target, recipe, task … that does not exist (nearest suggested)
├── ProjectError                   4   edgepack.toml or a suite file is wrong
├── MissingExtra                   5   a Python package that the command needs is not installed
├── ModelError                    10   a model that cannot be read
│   ├── ModelNotFound             11   no such folder, package or hub id
│   ├── NetworkError              12   the hub cannot be reached
│   ├── UnsafeModel               13   pickled weights or remote code
│   ├── DamagedWeights            14   truncated or corrupt safetensors
│   └── UnsupportedModel          15   an architecture or task that edgepack cannot pack
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
│   └── BundleTooNew              34   written by a newer edgepack
├── InputError                    40   an input that the model cannot take
└── Interrupted                  130   Ctrl-C
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
    "CheckFailed",
    "ConversionError",
    "CoverageTooLow",
    "DamagedWeights",
    "DataError",
    "DiskFull",
    "DoesNotFit",
    "EdgepackError",
    "FileTrouble",
    "InputError",
    "Interrupted",
    "MissingExtra",
    "ModelError",
    "ModelNotFound",
    "NetworkError",
    "ProjectError",
    "TargetError",
    "UnknownName",
    "UnsafeModel",
    "UnsupportedModel",
    "UsageError",
    "nearest",
]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None when none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
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
    """A Python package that the command needs is not installed."""

    exit_code = 5

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the Python package {package!r}, which is not installed",
            hint=f"pip install 'edgepack[{extra}]'",
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
    """An architecture or task that edgepack cannot pack."""

    exit_code = 15


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


class InputError(EdgepackError):
    """An input that the model cannot take."""

    exit_code = 40


class Interrupted(EdgepackError):
    """Ctrl-C."""

    exit_code = 130
