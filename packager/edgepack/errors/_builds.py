"""Failures of a build or a check: a missed floor, a target, a data set, a disk."""

from __future__ import annotations

from edgepack.errors._root import EdgepackError


class CheckFailed(EdgepackError):
    """A release check or an accuracy floor was missed."""

    exit_code = 1


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
