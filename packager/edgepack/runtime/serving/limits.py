"""The limits of the service: whatever clients do, it takes no more memory and no more time than these."""

from __future__ import annotations

from dataclasses import dataclass


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
