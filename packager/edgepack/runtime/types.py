"""The types that pre-processing, sessions and post-processing pass to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]  # input name -> array
Outputs = dict[str, Array]  # output name -> array
Run = Callable[[Mapping[str, Array]], Outputs]  # an ONNX session, or the original model: the same signature
