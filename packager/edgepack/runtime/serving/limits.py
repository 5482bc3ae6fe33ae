"""The limits of the service: whatever clients do, it takes no more memory and no more time than these."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from edgepack.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds for all clients together and for each request; times are seconds."""

    waiting: int = 32  # requests that wait while another is answered; one more is told to come again (429)
    connections: int = 128  # at once; a new one then ends the one that has been silent for longest
    body: int = 1_000_000  # bytes of a request
    tokens: int = 1024  # that a request may ask for
    texts: int = 256  # of one request for vectors
    head_time: float = 10.0  # for the first line and the headers, from their first byte or the connection on
    body_time: float = 30.0
    quiet_time: float = 60.0  # that a connection may be kept without a request
    write_time: float = 30.0  # that a client may take to read what it was sent
    answer_time: float = 300.0  # for an answer, waiting included
    stop_time: float = 30.0  # that those who wait are still answered in, once it is to stop
    idle_stop: float | None = None  # without a request, after which it stops by itself

    def __post_init__(self) -> None:
        """Raises UsageError for what bounds nothing: NaN, infinity, a negative number, or 0 where one is needed."""
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in _MAY_BE_0 else 1 if isinstance(value, int) else 0.001
            if value is not None and not (math.isfinite(value) and value >= least):
                raise UsageError(f"{field.name} is {value}", hint=f"a finite number, {least} or more")


_MAY_BE_0 = ("waiting", "stop_time")
