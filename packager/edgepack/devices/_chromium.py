"""A Chromium or Chrome of this machine, without a window, that ends with this process, at a kill -9 too.

It is started with a pipe for its debugger, which nothing is written to: a Chromium whose pipe is closed ends itself.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import DeviceLacks
from edgepack.records import NotMeasured

_NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser", "chrome", "microsoft-edge")
_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_FLAGS = (
    "--headless", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-renderer-backgrounding", "--disable-background-timer-throttling",
    "--remote-debugging-pipe", "--enable-unsafe-webgpu",
)  # fmt: skip
# a program that gives the pipes the numbers at which Chromium looks for them
_PIPES = "import os, sys; [os.dup2(int(sys.argv[n]), n + 2) for n in (1, 2)]; os.execv(sys.argv[3], sys.argv[3:])"
_HIGH = 32
_PREFIX = "edgepack-browser-"
_LONGEST = 107 - len(f"/{_PREFIX}12345678/org.chromium.Chromium.123456/SingletonSocket")  # of a socket's path: unix(7)
_END = 5.0  # seconds for its processes to end
_UNTOLD = NotMeasured(reason="this system does not tell what a browser's processes use")


def program(named: str) -> str:
    """Return the browser that is ``named``, or that is installed. Raises DeviceLacks."""
    wanted = (named,) if named else (*_NAMES, *_APPS)
    found = next((place for name in wanted if (place := shutil.which(name))), None)
    if found is None:
        what = f"no browser {named}" if named else "no Chromium and no Chrome"
        raise DeviceLacks(f"there is {what} on this machine", hint="apt install chromium; devices.toml: program = …")
    return found


@dataclass(frozen=True)
class Used:
    """The processor seconds of a browser so far, and the most memory that one of its pages had, bytes."""

    cpu: float | NotMeasured
    memory: int | NotMeasured


class Chromium:
    """``program`` showing ``address``, with a profile of its own."""

    def __init__(self, program: str, address: str, flags: Sequence[str] = ()) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_short(), ignore_cleanup_errors=True)
        to, back = os.pipe(), os.pipe()  # (read, write)
        reads, writes = _moved(to[0]), _moved(back[1])
        own = [*_FLAGS, *flags, f"--user-data-dir={self._profile.name}"]
        own += ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []  # which root cannot have
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PIPES, str(reads), str(writes), program, *own, address],
            env={**os.environ, "TMPDIR": self._profile.name},  # of its sockets
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(reads, writes),
            start_new_session=True,
        )
        os.close(reads)
        os.close(writes)
        self._pipes = (to[1], back[0])

    def close(self) -> None:
        """End all of its processes and delete its profile."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_END)
        for pipe in self._pipes:
            os.close(pipe)
        self._profile.cleanup()

    @property
    def ended(self) -> bool:
        """True once it is gone."""
        return self._process.poll() is not None

    def used(self) -> Used:
        """Return what its processes used (proc(5): /proc/PID/stat and status)."""
        if not sys.platform.startswith("linux"):
            return Used(_UNTOLD, _UNTOLD)
        ticks, memory = 0, 0
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # a process that has ended
                fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[2]) == self._process.pid:
                    ticks += int(fields[11]) + int(fields[12])
                    memory = max(memory, _peak(place))
        return Used(ticks / os.sysconf("SC_CLK_TCK"), memory)


def _short() -> str | None:
    """Return a folder for temporary files in which Chromium can have a socket; None where the usual one will do."""
    long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST
    return next((place for place in ("/tmp", "/var/tmp") if os.access(place, os.W_OK)), None) if long else None


def _moved(descriptor: int) -> int:
    """Give a descriptor a number that is not 3 or 4, in place of its own."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(descriptor)
    return moved


def _peak(place: Path) -> int:
    """Return the most memory of a process that shows a page, bytes; 0 of others."""
    if b"--type=renderer" not in (place / "cmdline").read_bytes():
        return 0
    lines = (place / "status").read_text(errors="replace").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
