"""Devices that are this machine: an sshd of our own on loopback, with its own keys."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgepack import devices, errors
from edgepack.devices import Device
from edgepack.suites import Check, Suite

GOLDEN = Suite(name="golden vectors", checks=(Check(kind="golden", name="golden vectors", limits={}),))
# what a container without rights, or without Debian's packages, cannot do
FORBIDDEN = ("cannot be mounted", "does not take programs of arm64", "cannot be unpacked", "places of Debian", "apt ")


@contextmanager
def refused(kind: type[errors.EdgepackError], said: str, hint: str) -> Iterator[None]:
    """Expect an error of exactly that kind, in one line, with that in its hint."""
    with pytest.raises(kind, match=said) as caught:
        yield
    assert type(caught.value) is kind
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def processes(wanted: Callable[[list[str]], bool]) -> list[int]:
    """Return the processes whose command, word by word, is ``wanted``."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if wanted(words):
            found.append(int(place.parent.name))
    return found


@dataclass(frozen=True)
class Sshd:
    """A running sshd, and the folder of its keys and settings."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    program = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if program is None:
        pytest.skip("there is no sshd on this machine")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\n"
        "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    kind, key, *_ = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    for name, identity, known in (("config", "key", "known"), ("no_key", "other", "known"), ("no_host", "key", "none")):
        (folder / name).write_text(
            f"Host *\n IdentityFile {folder}/{identity}\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/{known}\n"
            " GlobalKnownHostsFile /dev/null\n"
        )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    for _ in range(100):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield Sshd(process, folder, port)
    process.terminate()
    process.wait()


@pytest.fixture
def board(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Device]:
    """``board(python=…)``: this machine over ssh, by the name "board" in a devices.toml of the working folder."""

    def make(**settings: object) -> Device:
        own = {"address": sshd.address, "python": sys.executable, "folder": tmp_path / "there", **settings}
        if str(own["address"]).startswith("ssh:"):
            own.setdefault("ssh_config", sshd.folder / "config")
        lines = [f'{key} = "{value}"' for key, value in own.items()]
        (tmp_path / "devices.toml").write_text("\n".join(["[devices.board]", *lines, ""]))
        monkeypatch.chdir(tmp_path)
        return devices.find("board")

    return make


@pytest.fixture
def scripted(tmp_path: Path, board: Callable[..., Device]) -> Callable[[str], Device]:
    """``scripted("print('no')")``: a device whose interpreter runs this program instead of what it is given."""

    def make(program: str) -> Device:
        file = tmp_path / "hostile"
        reads = "threading.Thread(target=sys.stdin.buffer.read, daemon=True).start()"
        file.write_text(f"#!{sys.executable}\nimport json, sys, threading, time\n{reads}\n{program}\ntime.sleep(2)\n")
        file.chmod(0o755)
        return board(address="local", python=file)

    return make
