"""Sounds to labels, by @bundle@."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepack.runtime.labels import Label
from edgepack_model._bundle import BUNDLE, opened

Sound = NDArray[np.float32] | str | Path | bytes  # [samples] from -1 to 1, or a WAV file's path or bytes


class AudioClassification:
    """@model@: @labels@ labels of sounds, at @sampling_rate@ samples per second.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    @property
    def labels(self) -> list[str]:
        """The names of all labels, in the model's order."""
        return list(self._model.labels)

    def classify(self, sounds: Sequence[Sound], *, sampling_rate: int | None = None) -> list[list[Label]]:
        """Return the labels of each sound with their scores, best first. Raises InputError.

        ``sampling_rate`` is that of arrays (default: the model's); WAV files tell theirs.
        """
        found: list[list[Label]] = self._model.classify(list(sounds), sampling_rate=sampling_rate)
        return found
