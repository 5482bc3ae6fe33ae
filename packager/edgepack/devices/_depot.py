"""The program that a device runs first: it takes in files by SHA-256, lays them out and watches over the runtime.

The host sends this file as source text to the device's Python, 3.8 or later with nothing installed, so that it imports
the standard library, and what is sent along (_folder.py). Requests and answers are lines of JSON; a request to ``put``
a file has its bytes behind it. All lies in one folder: ``store/`` holds files by SHA-256, ``packages/`` and ``site/``
what is laid out of them for every session, ``runs/`` what a session uses and is deleted with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from typing import IO, Any, Dict  # noqa: UP035 (Python 3.8)

from edgepack.devices import _board_facts

PROTOCOL = 1
_FOLDER = "edgepack-device"  # below the cache folder of the user
PACKAGES = ("numpy", "onnxruntime", "tokenizers", "jinja2", "packaging", "pillow", "coremltools")
Answer = Dict[str, Any]  # noqa: UP006 (Python 3.8)
_CHUNK = 1 << 16
_GRACE = 1.0  # seconds that the runtime has to end when the connection is gone
_HANGUP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class Depot:
    """The folder ``folder`` and the host at the other end of the standard streams."""

    def __init__(self, folder: str) -> None:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
        self.folder = os.path.abspath(os.path.expanduser(folder or os.path.join(cache, _FOLDER)))
        self.run = ""
        self._kept = b""
        self._locks: list[IO[str]] = []  # open as long as this program

    def serve(self) -> None:
        """Answer requests until the host leaves: the streams tell; adbd's signal would leave files behind."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            self.say(self.hello())
            while True:
                line = self.line()
                if not line:
                    return
                request = json.loads(line.decode("utf-8"))
                try:
                    self.say(getattr(self, "do_" + request.pop("do"))(**request))
                except OSError as error:
                    self.say({"trouble": error.errno, "said": str(error)})
        finally:
            if self.run:
                shutil.rmtree(self.run, ignore_errors=True)

    def hello(self) -> Answer:
        """Return what the host has to know before it sends anything."""
        libc = " ".join(filter(None, platform.libc_ver())) or _board_facts.musl()
        return {
            "edgepack": PROTOCOL,
            "python": platform.python_version(),
            "executable": sys.executable or "python3",
            "machine": platform.machine(),
            "system": platform.system(),
            "release": platform.release(),
            "libc": "bionic" if hasattr(sys, "getandroidapilevel") else libc,
            "packages": installed(self._site()),
            "folder": self.folder,
        }

    def do_lock(self, who: str) -> Answer:
        """Take the device for one session, and delete what sessions that were killed have left.

        A folder that held something before it was ever locked is somebody else's: it is left as it is.
        """
        os.makedirs(self.folder, exist_ok=True)
        if os.listdir(self.folder) and not os.path.isfile(os.path.join(self.folder, "lock")):
            return {"foreign": self.folder}
        file = open(os.path.join(self.folder, "lock"), "a+")  # noqa: SIM115 (held until the end)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            return {"busy": file.read(200)}
        self._locks.append(file)
        file.truncate(0)
        file.write(who)
        file.flush()
        for name in ("runs", "new"):
            shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)
        return {}

    def do_missing(self, files: list[list[Any]]) -> Answer:
        """Return the files [SHA-256, bytes] that are not here, with how much of each is; damaged ones are deleted."""
        lacking = []
        for name, size in files:
            place = self._stored(name)
            if os.path.isfile(place):
                if os.path.getsize(place) == size and digest(place) == name:
                    continue
                os.unlink(place)
            part = place + ".part"
            begun = os.path.getsize(part) if os.path.isfile(part) else 0
            lacking.append([name, begun if begun <= size else 0])
        return {"missing": lacking, "free": shutil.disk_usage(self._made("store")).free}

    def do_put(self, sha256: str, bytes: int, offset: int) -> Answer:
        """Take in a file from ``offset`` on; what was not received, or is not what its name says, is not kept."""
        place, trouble = self._stored(sha256), None
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place + ".part", "r+b" if offset else "wb", buffering=0) as file:
            file.seek(offset)
            file.truncate()
            left = bytes - offset
            while left:
                data = self.received(min(left, _CHUNK))
                left -= len(data)
                try:
                    while data and not trouble:
                        data = data[file.write(data) :]
                except OSError as error:  # a full disk: the rest is read and thrown away
                    trouble = error
        if trouble:
            os.unlink(place + ".part")
            raise trouble
        if digest(place + ".part") != sha256:
            os.unlink(place + ".part")
            return {"differs": sha256}
        os.replace(place + ".part", place)
        return {}

    def do_lay(self, folder: str, files: dict[str, str]) -> Answer:
        """Lay out ``files`` (name -> SHA-256) as ``folder``, unless they are there; links where the disk knows them."""
        place = self._made(folder)
        for name, sha256 in files.items():
            target = os.path.join(place, *name.split("/"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.exists(target):
                link(self._stored(sha256), target)
        return {"folder": place}

    def do_start(self) -> Answer:
        """Make the folder of a session."""
        self.run = tempfile.mkdtemp(dir=self._made("runs"))
        return {"folder": self.run}

    def do_unpack(self, wheels: list[str]) -> Answer:
        """Make wheels (SHA-256) what Python finds first, in place of those before."""
        fresh = tempfile.mkdtemp(dir=self._made("new"))
        for sha256 in wheels:
            with zipfile.ZipFile(self._stored(sha256)) as wheel:
                wheel.extractall(fresh)
        shutil.rmtree(self._site(), ignore_errors=True)
        os.makedirs(os.path.dirname(self._site()), exist_ok=True)
        os.rename(fresh, self._site())
        return {"packages": installed(self._site())}

    def do_clear(self) -> Answer:
        """Delete what lies in the folder; the bytes that were in it."""
        freed = 0
        for own in (os.path.join(self.folder, name) for name in ("store", "packages", "site", "runs", "new")):
            freed += sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(own) for name in names)
            shutil.rmtree(own, ignore_errors=True)
        return {"freed": freed}

    def do_facts(self) -> Answer:
        """Return what the machine is."""
        return _board_facts.facts(self.folder)

    def do_run(self, module: str, arguments: list[str], path: list[str]) -> Answer:
        """Run a module on the host's lines until it ends or the host leaves; its exit code."""
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([*path, self._site()]), TMPDIR=self.run or self.folder)
        command = [sys.executable or "python3", "-P", "-m", module, *arguments]
        child = subprocess.Popen(command, env=env, start_new_session=True)
        watch = select.poll()
        watch.register(0, _HANGUP)
        while child.poll() is None:
            if watch.poll(100):
                try:
                    child.wait(_GRACE)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, 9)
                    child.wait()
        return {"ended": child.returncode}

    def say(self, answer: Answer) -> None:
        """Send an answer."""
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(1, data) :]

    def line(self) -> bytes:
        """Return the next request; nothing where the host has left."""
        while b"\n" not in self._kept:
            data = os.read(0, _CHUNK)
            if not data:
                return b""
            self._kept += data
        found, _, self._kept = self._kept.partition(b"\n")
        return found

    def received(self, most: int) -> bytes:
        """Return up to ``most`` of the bytes that the host sends. Ends the program where it has left."""
        data, self._kept = (self._kept[:most], self._kept[most:]) if self._kept else (os.read(0, most), b"")
        if not data:
            raise SystemExit(1)
        return data

    def _stored(self, sha256: str) -> str:
        return os.path.join(self.folder, "store", sha256[:2], sha256)

    def _made(self, name: str) -> str:
        place = os.path.join(self.folder, name)
        os.makedirs(place, exist_ok=True)
        return place

    def _site(self) -> str:
        return os.path.join(self.folder, "site", "python{}.{}".format(*sys.version_info))


def digest(file: str) -> str:
    """Return SHA-256 of a file, in hexadecimal."""
    total = hashlib.sha256()
    with open(file, "rb") as stream:
        for data in iter(lambda: stream.read(1 << 20), b""):
            total.update(data)
    return total.hexdigest()


def link(stored: str, target: str) -> None:
    """Give a file a second name; a copy where the disk has no links."""
    try:
        os.link(stored, target)
    except OSError:
        shutil.copyfile(stored, target)


def installed(site: str) -> dict[str, str]:
    """Return the versions of the packages that the runtime uses, in ``site`` or of the system."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        for one in (*metadata.distributions(name=name, path=[site]), *metadata.distributions(name=name)):
            found.setdefault(name, one.version)
    return found
