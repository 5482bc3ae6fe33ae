"""Models that cannot be read."""

from __future__ import annotations

from edgepack.errors._root import EdgepackError


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
