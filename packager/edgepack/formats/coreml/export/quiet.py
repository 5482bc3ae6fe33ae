"""coremltools without its progress bars: edgepack shows its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

from tqdm import tqdm


@contextmanager
def quiet() -> Iterator[None]:
    """Silence tqdm's bars meanwhile."""
    kept: Any = tqdm.__init__  # mypy takes no other function in its place
    tqdm.__init__ = partialmethod(kept, disable=True)
    try:
        yield
    finally:
        tqdm.__init__ = kept
