"""Emulated Raspberry Pis: Debian's Python for arm64 and the runtime's wheels, in qemu's user mode, as any user."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.clients import environments

_PACKAGER = environments.HERE.parents[1] / "packager"
_WANTED = environments.HERE / "requirements" / "raspberry-pi.txt"
_SUITE, _PYTHON = "bookworm", "3.11"  # the Debian that Raspberry Pi OS 12 is made of, and its Python
_PACKAGES = [f"python{_PYTHON}", "libstdc++6"]  # and what they depend on
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_WHEELS = ["manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"]
# each board's core, its part number and features: onnxruntime chooses its kernels by all of them
_CORTEX_A72 = ("cortex-a72", "0xd08", "fp asimd evtstrm crc32 cpuid")
_CORTEX_A76 = (
    "cortex-a76",
    "0xd0b",
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
)
BOARDS = {"pi-4": _CORTEX_A72, "pi-5": _CORTEX_A76}


def python(board: str, packages: Path = _PACKAGER) -> list[str | Path]:
    """The command of a board's interpreter, with ``packages``, edgepack by default, beside the runtime's own; skips
    where there is no qemu or no apt of Debian.
    """
    if not (shutil.which("qemu-aarch64-static") and shutil.which("apt-get") and _KEYS.is_file()):
        pytest.skip("qemu-aarch64-static and Debian's apt are not here")
    folder = environments.kept("raspberry-pi", [_WANTED, Path(__file__)], "", _make)
    settings = [
        f"QEMU_LD_PREFIX={folder / board}",  # a file below it hides the machine's own of that path
        f"QEMU_CPU={BOARDS[board][0]}",
        f"PYTHONPATH={folder / 'wheels'}:{packages}",
        "PYTHONDONTWRITEBYTECODE=1",
    ]
    interpreter = folder / board / "usr" / "bin" / f"python{_PYTHON}"
    return ["env", *settings, "qemu-aarch64-static", interpreter, "-S"]  # without the machine's own packages


def _make(folder: Path) -> None:
    """Unpack Debian's packages and the wheels; none of their programs is run."""
    _unpack_debian(folder / "debian")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    platforms = [part for name in _WHEELS for part in ("--platform", name)]
    target = ["--only-binary=:all:", "--python-version", _PYTHON, *platforms, "--target", folder / "wheels"]
    environments.run([*pip, *target, "--requirement", _WANTED])
    for board in BOARDS:
        _set_up(folder / board, board)


def _unpack_debian(folder: Path) -> None:
    """The packages of arm64, by lists and settings of their own beside the machine's."""
    apt = folder / "apt"
    for part in ("lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "status").touch()  # nothing is installed
    (apt / "sources.list").write_text(f"deb [signed-by={_KEYS}] {_mirror()} {_SUITE} main\n")
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State": apt,
        "Dir::State::status": apt / "status",
    }
    (apt / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    command: list[str | Path] = ["apt-get", "--config-file", apt / "apt.conf", "--quiet"]
    environments.run([*command, "update"])
    environments.run([*command, "install", "--yes", "--download-only", *_PACKAGES])
    for package in (apt / "cache" / "archives").glob("*.deb"):
        environments.run(["dpkg-deb", "--extract", package, folder])
    shutil.rmtree(apt)


def _mirror() -> str:
    """Where this machine takes its own Debian from."""
    own = platform.freedesktop_os_release()["VERSION_CODENAME"]
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Release: {own}"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0]


def _set_up(root: Path, board: str) -> None:
    """Debian with the files that tell of the board's cores: onnxruntime crashes on another architecture's."""
    cores = root / "sys" / "devices" / "system" / "cpu"
    for folder in (root / "proc", cores):
        folder.mkdir(parents=True)
    for part in ("etc", "lib", "usr"):
        (root / part).symlink_to(Path("..") / "debian" / part)
    _, part, features = BOARDS[board]
    core = f"Features\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {part}\n\n"
    (root / "proc" / "cpuinfo").write_text("".join(f"processor\t: {number}\n{core}" for number in range(4)))
    for name in ("possible", "present", "online"):
        (cores / name).write_text("0-3\n")
