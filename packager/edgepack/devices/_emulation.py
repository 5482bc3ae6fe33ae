"""Emulated Raspberry Pis: Debian for arm64 in qemu's user mode, with an sshd on this machine's loopback.

They compute what the boards compute, with the boards' kernels of ONNX Runtime, and say nothing about speed or memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgepack.devices import _boards, _userland
from edgepack.devices._boards import BOARDS, PROFILES
from edgepack.devices._device import Device, made
from edgepack.errors import UnknownName
from edgepack.progress import Say, silent

_SUITE = "bookworm"  # of which Raspberry Pi OS 12 is made
_PACKAGES = "openssh-server,openssh-sftp-server,tar,gzip,grep,sed"
_START = 60.0  # seconds for sshd to answer


@contextmanager
def emulated(name: str, *, port: int = 0, say: Say = silent) -> Iterator[Device]:
    """Provide the board ``name`` (rpi4, rpi5) at an address of this machine; it is gone afterwards.

    Raises UnknownName, DeviceLacks where a program or a right is missing here, NetworkError, DeviceError.
    """
    if name not in BOARDS:
        raise UnknownName("board", name, BOARDS)
    _userland.check({"ssh-keygen": "openssh-client"})
    root = _userland.unpacked("root", _SUITE, _PACKAGES, _set_up_sshd, say)
    board = BOARDS[name]
    _boards.write(board, root / "opt" / name)
    port = port or _userland.free_port()
    say(f"starting {board.title}, emulated")
    words = ["/usr/sbin/sshd", "-D", "-e", "-p", str(port), "-o", "ListenAddress=127.0.0.1"]
    words += ["-o", f"SetEnv=QEMU_CPU={board.core} XDG_CACHE_HOME=/root/{name} LC_ALL=C.UTF-8"]
    log = root.with_name(f"{name}.log")
    with _userland.running(root, root / "opt" / name, board.core, words, log) as process:
        _userland.wait(process, lambda: _userland.listens(port), log, _START)
        config = _ssh_config(root, name, port)
        address = f"ssh://root@127.0.0.1:{port}"
        yield made(address, name=name, target="rpi", profile=PROFILES[name], ssh_config=config)


def _set_up_sshd(root: Path) -> None:
    """Make sshd's user, its keys and settings, and the key that it takes."""
    with (root / "etc" / "passwd").open("a") as users:
        users.write("sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n")
    for name, mode in {"etc/ssh": 0o755, "run/sshd": 0o755, "root/.ssh": 0o700}.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    _userland.run(["ssh-keygen", "-A", "-f", str(root)], "no host keys")
    key = root / "opt" / "key"
    _userland.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], "no key")
    shutil.copy(key.with_suffix(".pub"), root / "root" / ".ssh" / "authorized_keys")
    settings = "UsePAM no\nPermitRootLogin prohibit-password\nPidFile none\nSubsystem sftp internal-sftp\n"
    (root / "etc" / "ssh" / "sshd_config").write_text(settings)


def _ssh_config(root: Path, name: str, port: int) -> Path:
    """Return a file of settings by which ssh knows the board's keys, and only those."""
    known, config = root.with_name(f"{name}.known_hosts"), root.with_name(f"{name}.ssh_config")
    kind, key, *_ = (root / "etc" / "ssh" / "ssh_host_ed25519_key.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    lines = [f"IdentityFile {root}/opt/key", "IdentitiesOnly yes", f"UserKnownHostsFile {known}"]
    config.write_text("\n".join(["Host *", *(f"  {line}" for line in lines), ""]))
    return config
