"""Emulated Raspberry Pis: Debian for arm64 in qemu's user mode, with an sshd on this machine's loopback.

They compute what the boards compute, with the boards' kernels of ONNX Runtime, and say nothing about speed or memory.
Nothing of arm64 runs while the system is unpacked: a minute instead of half an hour.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgepack import cachefolder
from edgepack.devices import _boards
from edgepack.devices._boards import BOARDS, PROFILES
from edgepack.devices._device import Device, made
from edgepack.errors import DeviceError, DeviceLacks, NetworkError, UnknownName
from edgepack.progress import Say, silent

_SUITE = "bookworm"  # of which Raspberry Pi OS 12 is made
_PACKAGES = (
    "base-files,base-passwd,bash,dash,coreutils,procps,libc-bin,python3-minimal,libpython3-stdlib,libstdc++6,libgomp1,"
    "openssh-server,openssh-sftp-server,tar,gzip,grep,sed"
)
_TOOLS = {
    "mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static", "update-binfmts": "binfmt-support",
    "ssh-keygen": "openssh-client", "unshare": "util-linux",
}  # fmt: skip
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_START = 60.0  # seconds for sshd to answer
_ENTER = """set -e
root=$1 board=$2; shift 2
mount -t proc proc "$root/proc"
mount --bind "$board/sys" "$root/sys"
mount --bind "$board/cpuinfo" "$root/proc/cpuinfo"
mount -t tmpfs tmpfs "$root/dev"
for name in null zero full random urandom tty ptmx; do
  touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 QEMU_CPU="$QEMU_CPU" chroot "$root" "$@"
"""


@contextmanager
def emulated(name: str, *, port: int = 0, say: Say = silent) -> Iterator[Device]:
    """Provide the board ``name`` (rpi4, rpi5) at an address of this machine; it is gone afterwards.

    Raises UnknownName, DeviceLacks where a program or a right is missing here, NetworkError, DeviceError.
    """
    if name not in BOARDS:
        raise UnknownName("board", name, BOARDS)
    _check()
    root = _root(say)
    board = BOARDS[name]
    _boards.write(board, root / "opt" / name)
    port = port or _free()
    say(f"starting {board.title}, emulated")
    words = ["/usr/sbin/sshd", "-D", "-e", "-p", str(port), "-o", "ListenAddress=127.0.0.1"]
    words += ["-o", f"SetEnv=QEMU_CPU={board.core} XDG_CACHE_HOME=/root/{name} LC_ALL=C.UTF-8"]
    # a namespace of processes too: with its first one, all that runs on the board ends
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    command = [*apart, "sh", "-c", _ENTER, "sh", str(root), str(root / "opt" / name), *words]
    log = root.with_name(f"{name}.log")
    with log.open("wb") as said:
        environment = {**os.environ, "QEMU_CPU": board.core}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment)
    try:
        _wait(process, port, log)
        config = _ssh_config(root, name, port)
        address = f"ssh://root@127.0.0.1:{port}"
        yield made(address, name=name, target="rpi", profile=PROFILES[name], ssh_config=config)
    finally:
        process.kill()
        process.wait()


def _check() -> None:
    """Raises DeviceLacks for the first thing that is missing on this machine."""
    if not sys.platform.startswith("linux"):
        raise DeviceLacks("emulating a board needs Linux", hint="in a container: docker run --privileged -it debian")
    absent = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if absent:
        raise DeviceLacks(f"emulation needs {', '.join(absent)}", hint=f"sudo apt install {' '.join(absent)}")
    if os.geteuid() != 0:
        raise DeviceLacks("emulation needs root, to mount the board's /proc and /sys", hint="sudo edgepack device …")
    if platform.machine() != "aarch64" and not (_BINFMT / "qemu-aarch64").exists():
        if not (_BINFMT / "register").exists():
            _run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)], "binfmt_misc cannot be mounted")
        _run(["update-binfmts", "--enable", "qemu-aarch64"], "the system does not take programs of arm64")


def _root(say: Say) -> Path:
    """Return the board's files, made once."""
    place = cachefolder.root() / "emulated" / "root"
    if not place.is_dir():
        say(f"unpacking Debian {_SUITE} for arm64")
        with cachefolder.room("emulated") as work:
            _unpack(work / "root")
            os.rename(work / "root", place)
    return place


def _unpack(root: Path) -> None:
    """Unpack Debian's packages, and do what their scripts would have done."""
    _run(["mmdebstrap", "--variant=extract", "--arch=arm64", f"--include={_PACKAGES}", _SUITE, str(root), _mirror()],
         "Debian's packages cannot be unpacked", NetworkError)  # fmt: skip
    base = root / "usr" / "share" / "base-passwd"
    users = (base / "passwd.master").read_text().splitlines()
    users = ["root::0:0:root:/root:/bin/bash" if line.startswith("root:") else line for line in users]
    (root / "etc" / "passwd").write_text("\n".join([*users, "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin", ""]))
    shutil.copy(base / "group.master", root / "etc" / "group")
    for name in ("proc", "sys", "dev", "opt", "etc/ssh", "run/sshd", "root/.ssh", "var/log", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, mode in {"": 0o755, "root": 0o700, "root/.ssh": 0o700, "run/sshd": 0o755, "tmp": 0o1777}.items():
        (root / name).chmod(mode)
    _run(["ssh-keygen", "-A", "-f", str(root)], "no host keys")
    key = root / "opt" / "key"
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], "no key")
    shutil.copy(key.with_suffix(".pub"), root / "root" / ".ssh" / "authorized_keys")
    settings = "UsePAM no\nPermitRootLogin prohibit-password\nPidFile none\nSubsystem sftp internal-sftp\n"
    (root / "etc" / "ssh" / "sshd_config").write_text(settings)


def _mirror() -> str:
    """Return where this machine takes its own Debian from. Raises DeviceLacks."""
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Release: {own}"]
    found = _run(asked, "apt does not tell where Debian's packages are").split()
    if not found:
        raise DeviceLacks("apt has no Debian repository", hint="sudo apt update, on Debian")
    return found[0]


def _ssh_config(root: Path, name: str, port: int) -> Path:
    """Return a file of settings by which ssh knows the board's keys, and only those."""
    known, config = root.with_name(f"{name}.known_hosts"), root.with_name(f"{name}.ssh_config")
    kind, key, *_ = (root / "etc" / "ssh" / "ssh_host_ed25519_key.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    lines = [f"IdentityFile {root}/opt/key", "IdentitiesOnly yes", f"UserKnownHostsFile {known}"]
    config.write_text("\n".join(["Host *", *(f"  {line}" for line in lines), ""]))
    return config


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until sshd takes connections. Raises DeviceError."""
    end = time.monotonic() + _START
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    lines = log.read_text(errors="replace").strip().splitlines() or ["it says nothing"]
    raise DeviceError(f"the emulated board does not start: {lines[-1][:200]}", hint=f"{log} has all of it")


def _run(command: Sequence[str], trouble: str, failure: type[DeviceError] | type[NetworkError] = DeviceError) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise failure(f"{trouble}: {lines[-1][:200]}", hint=" ".join(command[:2]))
    return done.stdout
