"""Core ML packages that cannot be read or computed."""

from __future__ import annotations

from edgepack.errors._root import EdgepackError


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
