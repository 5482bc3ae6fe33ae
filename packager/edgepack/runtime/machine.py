"""The machine that figures are measured on: its processor, system and runtime, and the memory of this process."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Collection
from pathlib import Path

from edgepack.records import Where
from edgepack.runtime import android

EVALUATOR = "edgepack's Core ML evaluator"  # computes what a device would, and is none
_ISAS = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}
# The features that decide which of onnxruntime's kernels run, by the names that /proc/cpuinfo has for them
FEATURES = {
    "asimddp": "dotprod", "i8mm": "i8mm", "sve": "sve", "asimdhp": "fp16", "avx2": "avx2", "avx_vnni": "avx-vnni",
    "avx512_vnni": "avx512-vnni",
}  # fmt: skip
_CPUINFO = Path("/proc/cpuinfo")
_X86_MAKERS = ("GenuineIntel", "AuthenticAMD")


def isa() -> str:
    """Return the instruction set of this machine."""
    machine = platform.machine().lower()
    return _ISAS.get(machine, machine)


def where(threads: int, target_isa: str, runtime: str = "") -> Where:
    """Return this machine, and whether it is of the target's kind; a ``runtime`` other than onnxruntime names
    itself.
    """
    same = isa() == target_isa and not emulated() and runtime != EVALUATOR
    return Where(
        machine=processor(),
        isa=isa(),
        os=f"{platform.system()} {platform.release()}",
        runtime=runtime or _onnxruntime(),
        threads=threads,
        target=same,
        features=features(),
    )


def _onnxruntime() -> str:
    import onnxruntime  # which takes 20 ms, and commands that measure nothing do without

    return f"onnxruntime {onnxruntime.__version__}"


def processor() -> str:
    """Return the phone's, the board's or the processor's own name."""
    if phone := android.model():
        return phone
    board = _text(Path("/sys/firmware/devicetree/base/model")) or _text(Path("/proc/device-tree/model"))
    if board:
        return board.rstrip("\0")
    names = [line for line in (_text(_CPUINFO) or "").splitlines() if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()


def emulated() -> bool:
    """Tell whether this is an emulated processor, which is never timed.

    QEMU's user mode is known by the variable that chooses its processor, and by the host's own in /proc/cpuinfo;
    Android's emulator by its properties.
    """
    foreign = isa() == "arm64" and any(f": {maker}" in (_text(_CPUINFO) or "") for maker in _X86_MAKERS)
    return bool(os.environ.get("QEMU_CPU")) or foreign or android.emulator()


def features() -> tuple[str, ...]:
    """Return the processor's features that decide which of onnxruntime's kernels run, as Linux tells them."""
    lines = [line.split(":", 1) for line in (_text(_CPUINFO) or "").splitlines() if ":" in line]
    told = {key.strip(): value for key, value in lines}
    return known_features((told.get("Features") or told.get("flags") or "").split())


def known_features(told: Collection[str]) -> tuple[str, ...]:
    """Return those of ``told``, names of /proc/cpuinfo, that FEATURES knows, in its order."""
    return tuple(name for sign, name in FEATURES.items() if sign in told)


def peak_memory() -> int:
    """Return the largest resident size of this process so far, bytes."""
    status = _text(Path("/proc/self/status")) or ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory() -> int:
    """Return the resident size of this process, bytes; where the system does not tell, the largest so far."""
    status = _text(Path("/proc/self/status")) or ""
    own = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(own[0].split()[1]) * 1024 if own else peak_memory()


def _text(file: Path) -> str | None:
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:
        return None
