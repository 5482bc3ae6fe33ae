"""A userland of Debian for arm64 on this machine, whose programs qemu's user mode runs as one processor core would.

Nothing of arm64 runs while it is unpacked: a minute instead of half an hour.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgepack import cachefolder
from edgepack.errors import DeviceError, DeviceLacks, NetworkError
from edgepack.progress import Say

_TOOLS = {
    "mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static", "update-binfmts": "binfmt-support",
    "unshare": "util-linux",
}  # fmt: skip
_PACKAGES = (
    "base-files,base-passwd,bash,dash,coreutils,procps,libc-bin,python3-minimal,libpython3-stdlib,libstdc++6,libgomp1"
)
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
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


def check(tools: Mapping[str, str]) -> None:
    """Raises DeviceLacks for the first thing that is missing here; ``tools`` are needed too (program -> package)."""
    if not sys.platform.startswith("linux"):
        raise DeviceLacks("emulating a board needs Linux", hint="in a container: docker run --privileged -it debian")
    absent = [package for tool, package in (_TOOLS | dict(tools)).items() if shutil.which(tool) is None]
    if absent:
        raise DeviceLacks(f"emulation needs {', '.join(absent)}", hint=f"sudo apt install {' '.join(absent)}")
    if os.geteuid() != 0:
        raise DeviceLacks("emulation needs root, to mount the board's /proc and /sys", hint="sudo edgepack device …")
    if platform.machine() != "aarch64" and not (_BINFMT / "qemu-aarch64").exists():
        if not (_BINFMT / "register").exists():
            run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)], "binfmt_misc cannot be mounted")
        run(["update-binfmts", "--enable", "qemu-aarch64"], "the system does not take programs of arm64")


def unpacked(name: str, suite: str, packages: str, finish: Callable[[Path], None], say: Say) -> Path:
    """Return the userland ``name`` of Debian ``suite``, with Python and ``packages``, made once.

    ``finish`` does what is left to do in it. Raises DeviceError, NetworkError.
    """
    place = cachefolder.root() / "emulated" / name
    if not place.is_dir():
        say(f"unpacking Debian {suite} for arm64")
        with cachefolder.room("emulated") as work:
            _unpack(work / name, suite, packages)
            finish(work / name)
            os.rename(work / name, place)
    return place


@contextmanager
def running(
    root: Path, board: Path, core: str, words: Sequence[str], log: Path, *, network: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``words`` as the first process of the userland ``root`` on ``core``; with it, all that runs there ends.

    ``board`` holds what /proc and /sys tell, ``log`` gets what is said. Without ``network`` it has one of its own.
    """
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    apart += [] if network else ["--net"]
    command = [*apart, "sh", "-c", _ENTER, "sh", str(root), str(board), *words]
    with log.open("wb") as said:
        environment = {**os.environ, "QEMU_CPU": core}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, seconds: float) -> None:
    """Wait until ``ready``. Raises DeviceError where the process ends before, or after ``seconds``."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if ready():
            return
        time.sleep(0.1)
    lines = log.read_text(errors="replace").strip().splitlines() or ["it says nothing"]
    raise DeviceError(f"the emulated board does not start: {lines[-1][:200]}", hint=f"{log} has all of it")


def listens(port: int) -> bool:
    """Return whether something takes connections at a port of this machine's loopback."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port of this machine's loopback that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def run(command: Sequence[str], trouble: str, failure: type[DeviceError] | type[NetworkError] = DeviceError) -> str:
    """Run a program of this machine; what it prints. Raises ``failure``."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise failure(f"{trouble}: {lines[-1][:200]}", hint=" ".join(command[:2]))
    return done.stdout


def _unpack(root: Path, suite: str, packages: str) -> None:
    """Unpack Debian's packages, and do what the scripts of the basic ones would have done."""
    wanted = f"--include={_PACKAGES},{packages}"
    run(["mmdebstrap", "--variant=extract", "--arch=arm64", wanted, suite, str(root), _mirror()],
        "Debian's packages cannot be unpacked", NetworkError)  # fmt: skip
    base = root / "usr" / "share" / "base-passwd"
    users = (base / "passwd.master").read_text().splitlines()
    users = ["root::0:0:root:/root:/bin/bash" if line.startswith("root:") else line for line in users]
    (root / "etc" / "passwd").write_text("\n".join([*users, ""]))
    shutil.copy(base / "group.master", root / "etc" / "group")
    for name in ("proc", "sys", "dev", "opt", "root", "var/log", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, mode in {"": 0o755, "root": 0o700, "tmp": 0o1777}.items():
        (root / name).chmod(mode)


def _mirror() -> str:
    """Return where this machine takes its own Debian from. Raises DeviceLacks."""
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Release: {own}"]
    found = run(asked, "apt does not tell where Debian's packages are").split()
    if not found:
        raise DeviceLacks("apt has no Debian repository", hint="sudo apt update, on Debian")
    return found[0]
