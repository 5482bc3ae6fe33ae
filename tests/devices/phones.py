"""A phone for adb: Debian's adbd in an emulated arm64 userland, with its network and an adb server of its own.

Its shell, its files and adb are real; ``getprop``, ``dumpsys`` and ``run-as`` answer as Android's do.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edgepack.devices import _boards, _userland
from edgepack.errors import DeviceLacks

SERIAL = "127.0.0.1:5555"  # of the phone
_ADBD = "/usr/lib/android-sdk/platform-tools/adbd"
_PROPERTIES = {
    "ro.product.manufacturer": "Fairphone",
    "ro.product.model": "Fairphone 6",
    "ro.soc.model": "SM7635",
}
_HEAT = (
    "IsStatusOverride: false\nThermal Status: $(cat /opt/status)\n"
    "Cached temperatures:\n\tTemperature{mValue=99.0, mType=0, mName=CPU0, mStatus=0}\nHAL Ready: true\n"
    "Current temperatures from HAL:\n\tTemperature{mValue=31.5, mType=3, mName=skin, mStatus=0}\n"
    "\tTemperature{mValue=38.2, mType=0, mName=CPU0, mStatus=0}\n"
    "\tTemperature{mValue=36.0, mType=0, mName=CPU1, mStatus=0}\n"
)
_WORDS = struct.Struct("<6I")  # of adb's packets: command, two arguments, length, sum of the data, not command
_AUTH, _TOKEN = 0x48545541, 1


@dataclass(frozen=True)
class Server:
    """An adb server, by the environment in which ``adb`` finds it."""

    environment: dict[str, str]

    def adb(self, *words: str) -> str:
        """Run adb; what it prints."""
        command = ["adb", *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr


@contextmanager
def server(folder: Path, within: Sequence[str] = ()) -> Iterator[Server]:
    """Run a server that is nobody else's, which has looked for an emulator."""
    place = f"localfilesystem:{folder}/adb"
    own = {"ADB_SERVER_SOCKET": place, "HOME": str(folder), "ADB_LOCAL_TRANSPORT_MAX_PORT": "5555"}
    environment = {**os.environ, **own}
    with (folder / "server.log").open("wb") as log:
        command = [*within, "adb", "-L", place, "server", "nodaemon"]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _userland.wait(process, (folder / "adb").exists, folder / "server.log", 20)
        started = Server(environment)
        started.adb("devices")
        time.sleep(0.5)
        yield started
    finally:
        process.kill()
        process.wait()


@contextmanager
def phone(folder: Path) -> Iterator[tuple[Server, Path]]:
    """Run a phone and a server that has it, as SERIAL; its files are in the folder that comes second.

    Raises DeviceError, NetworkError where this machine cannot emulate.
    """
    _userland.check({"adb": "adb", "ip": "iproute2"})
    root = _userland.unpacked("phone", "trixie", "adbd", _set_up, print)
    board = replace(_boards.BOARDS["rpi5"], title="Qualcomm Technologies, Inc. SM7635")
    _boards.write(board, root / "opt" / "board")
    shutil.rmtree(root / "opt" / "board" / "sys" / "class" / "thermal")  # which Android keeps from the shell
    (root / "opt" / "status").write_text("0\n")
    log = folder / "adbd.log"
    with _userland.running(root, root / "opt" / "board", board.core, [_ADBD], log, network=False) as process:
        within = ["nsenter", "--target", str(process.pid), "--net"]
        _userland.wait(process, lambda: "adbd" in log.read_text(errors="replace"), log, 30)
        with server(folder, within) as started:  # which looks for emulators before there is a network
            try:
                subprocess.run([*within, "ip", "link", "set", "lo", "up"], check=True, capture_output=True)
            except subprocess.CalledProcessError as error:
                raise DeviceLacks("a network of its own cannot be mounted", hint="docker run --privileged") from error
            until(lambda: started.adb("connect", SERIAL).startswith("connected"), 30)
            yield started, root


def _set_up(root: Path) -> None:
    """Add what an Android has beside Debian."""
    for name in ("data/local/tmp", "system/bin"):
        (root / name).mkdir(parents=True)
    cases = "".join(f'{name}) echo "{value}" ;;\n' for name, value in _PROPERTIES.items())
    programs = {
        "getprop": f'case "$1" in\n{cases}esac\n',
        "run-as": (
            'if [ -e "/data/data/$1/files/debuggable" ]; then shift; exec "$@"; fi\n'
            'echo "run-as: package not debuggable: $1" >&2; exit 1\n'
        ),
        "dumpsys": f'[ "$1" = thermalservice ] && cat <<END\n{_HEAT}END\n',
    }
    for name, text in programs.items():
        file = root / "usr" / "bin" / name
        file.write_text(f"#!/bin/sh\n{text}")
        file.chmod(0o755)


@contextmanager
def peer(*answers: bytes) -> Iterator[str]:
    """Listen as a phone would, and answer each packet with the next of ``answers``; yields its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        serving = threading.Thread(target=_serve, args=(listening, answers), daemon=True)
        serving.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    serving.join(10)


def token() -> bytes:
    """Return the packet by which a phone asks for a signature."""
    data = bytes(range(20))
    return _WORDS.pack(_AUTH, _TOKEN, 0, len(data), sum(data), _AUTH ^ 0xFFFFFFFF) + data


def _serve(listening: socket.socket, answers: Sequence[bytes]) -> None:
    connection, _ = listening.accept()
    with suppress(OSError, struct.error), connection, connection.makefile("rwb") as stream:
        for answer in answers:
            _, _, _, length, _, _ = _WORDS.unpack(stream.read(_WORDS.size))
            stream.read(length)
            stream.write(answer)
            stream.flush()
        while stream.read(1):
            pass


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until it holds. Fails after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
