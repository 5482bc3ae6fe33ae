"""A bundle as a small HTTP service, compatible with OpenAI's: chat, completions and embeddings.

asyncio carries it, and h11 reads and writes HTTP: a library without dependencies, which tokenizers brings along by way
of huggingface-hub, so that a board needs nothing more than the runtime does. The standard library's http.server is not
made for open networks: it has a thread for each connection, and no bound on how long a client may take.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from edgepack.arrays import TaskModel
from edgepack.errors import AddressUnusable, UsageError
from edgepack.progress import Say, silent
from edgepack.runtime.serving import systemd
from edgepack.runtime.serving.api import TASKS
from edgepack.runtime.serving.limits import Limits
from edgepack.runtime.serving.service import Service

__all__ = ["TASKS", "Limits", "check", "serve"]

_BACKLOG = 128
_PORTS = 65_535


def check(name: str, task: str) -> None:
    """Raises UsageError for a bundle of a task that cannot be served."""
    if task not in TASKS:
        raise UsageError(f"{name} is for {task}, which is not served", hint=f"bundles for {' or '.join(TASKS)} are")


def serve(
    name: str,
    task: str,
    load: Callable[[], TaskModel],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    limits: Limits | None = None,
    key: str | None = None,
    say: Say = silent,
) -> None:
    """Serve the bundle ``name``, which ``load`` opens, until SIGTERM or SIGINT.

    Where systemd opened sockets for this process it listens at these, not at ``host`` and ``port`` (0: any that is
    free). Clients have to send ``key`` where there is one. ``say`` is told the addresses, and what goes wrong.
    Raises UsageError, AddressUnusable, and what ``load`` raises.
    """
    check(name, task)
    sockets = systemd.sockets() or [_listening(host, port)]
    service = Service(name, task, load, Limits() if limits is None else limits, key=key, say=say)
    try:
        asyncio.run(service.run(sockets))
    finally:
        for one in sockets:
            one.close()


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _PORTS:  # the system takes more, and leaves out the bits above
        raise UsageError(f"port is {port}", hint=f"0 (any that is free) to {_PORTS:,}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(_BACKLOG)
        except BaseException:
            made.close()
            raise
    except (OSError, ValueError) as error:  # a name with a label that is too long, or a zero byte, is a ValueError
        said = error.strerror if isinstance(error, OSError) else error
        raise AddressUnusable(
            f"cannot listen at {host}:{port}: {said}", hint="choose another --port or --host"
        ) from error
    return made
