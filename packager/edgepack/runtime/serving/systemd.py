"""The words between systemd and a service: sockets that are open already, and that it is ready.

sd_listen_fds(3) and sd_notify(3): the protocols are a few environment variables.
"""

from __future__ import annotations

import os
import socket

_FIRST = 3  # the descriptor of the first socket


def sockets() -> list[socket.socket]:
    """Return the sockets that systemd opened for this process; none where it did not start it by a socket."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=number) for number in range(_FIRST, _FIRST + count)]


def notify(state: str) -> None:
    """Tell systemd ``state``, such as READY=1, where it asked to be told."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.connect(f"\0{place[1:]}" if place.startswith("@") else place)
        told.sendall(state.encode())
