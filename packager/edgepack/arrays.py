"""The types that pre-processing, sessions and post-processing pass to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]  # input name -> array
Outputs = dict[str, Array]  # output name -> array
Run = Callable[[Mapping[str, Array]], Outputs]  # an ONNX session, or the original model: the same signature


class Runs(Protocol):
    """An opened model."""

    @property
    def threads(self) -> int:
        """That it computes with."""

    @property
    def runtime(self) -> str:
        """What computes it, with its version."""

    def __call__(self, feeds: Mapping[str, Array], /) -> Outputs:
        """The outputs for ``feeds``."""

    def each(self, feeds: Sequence[Mapping[str, Array]], /) -> Iterator[Outputs]:
        """The outputs for each of ``feeds``, in order: what is large may pass over all of them a part at a time."""
