"""Inputs that a model cannot take."""

from __future__ import annotations

from edgepack.errors._root import EdgepackError


class InputError(EdgepackError):
    """An input that the model cannot take."""

    exit_code = 40


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
