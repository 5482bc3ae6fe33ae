"""Work on the parts of a large array in threads, in order and with few parts in memory.

Each thread multiplies for itself: BLAS's own threads split a product in fixed halves, and wait for the slower one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from edgepack import processors

T = TypeVar("T")
_THREADS = min(processors.count(), 8)
_VALUES = 1 << 20  # that a thread holds at once


def rows_at_once(width: int) -> int:
    """Return rows of so many values that a thread may hold at once."""
    return max(_VALUES // width, 1)


def in_parts(step: Callable[[int, int], T], rows: int, at_once: int) -> Iterator[T]:
    """Yield ``step(start, stop)`` for each part of ``rows``, at most ``at_once`` in one; the results in order."""
    parts = -(-rows // max(at_once, 1))
    parts += -parts % _THREADS  # no thread waits for the last part of another
    size = max(-(-rows // parts), 1)
    with alone(), ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[T]] = deque()
        for start in range(0, rows, size):
            waiting.append(pool.submit(step, start, min(start + size, rows)))
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def alone() -> AbstractContextManager[object]:
    """Run BLAS in one thread, for products that are too small to share or whose threads are ours."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


@cache
def _controller() -> ThreadpoolController:
    """Look for the loaded libraries, once: it takes a while."""
    return ThreadpoolController()
