"""The machine that figures are measured on, and whether they can be trusted."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from edgepack.records import Where

EVALUATOR = "edgepack's Core ML evaluator"  # computes what a device would, and is none
_ISAS = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}
_BUSY = 0.2  # share of the processors that others may use before latencies say more about them
_TICKS = 0.5  # seconds: below, the kernel's ticks of 10 ms are too coarse to tell who used the time
_CPUINFO = Path("/proc/cpuinfo")
_X86_MAKERS = ("GenuineIntel", "AuthenticAMD")
_SYSTEM = Path("/sys/devices/system/cpu/cpu0/cpufreq")


@dataclass(frozen=True)
class State:
    """The state of a machine that can spoil a measurement; None: this machine does not tell."""

    wall: float  # seconds, monotonic
    others: float | None  # processor seconds that other programs have used since boot
    governor: str | None
    temperature: float | None  # degrees Celsius
    throttled: int | None  # the Raspberry Pi's bits, see `vcgencmd get_throttled`


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
    )


def _onnxruntime() -> str:
    import onnxruntime  # which takes 20 ms, and commands that measure nothing do without

    return f"onnxruntime {onnxruntime.__version__}"


def processor() -> str:
    """Return the board's or processor's own name."""
    board = _text(Path("/sys/firmware/devicetree/base/model")) or _text(Path("/proc/device-tree/model"))
    if board:
        return board.rstrip("\0")
    names = [line for line in (_text(_CPUINFO) or "").splitlines() if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()


def emulated() -> bool:
    """Tell whether this is an emulated processor, which is never timed.

    QEMU's user mode is known by the variable that chooses its processor, and by the host's own in /proc/cpuinfo.
    """
    foreign = isa() == "arm64" and any(f": {maker}" in (_text(_CPUINFO) or "") for maker in _X86_MAKERS)
    return bool(os.environ.get("QEMU_CPU")) or foreign


def state() -> State:
    """Return the clock, other programs' processor time, governor, temperature and throttling now."""
    temperature = _text(Path("/sys/class/thermal/thermal_zone0/temp"))
    return State(
        wall=time.monotonic(),
        others=_others(),
        governor=_text(_SYSTEM / "scaling_governor"),
        temperature=int(temperature) / 1000 if temperature and temperature.lstrip("-").isdigit() else None,
        throttled=_throttled(),
    )


def verdict(before: State, after: State) -> str:
    """Return "valid", or why figures between the two states are not to be trusted."""
    cores = os.cpu_count() or 1
    wall = after.wall - before.wall
    if before.others is not None and after.others is not None and wall > _TICKS:
        share = (after.others - before.others) / wall / cores
        if share > _BUSY:
            return f"other programs used {share:.0%} of the processors while measuring"
    if after.throttled and after.throttled & ~(before.throttled or 0):
        return f"throttled or under-voltage while measuring ({after.throttled:#x})"
    return "valid"


def peak_memory() -> int:
    """Return the largest resident size of this process so far, bytes."""
    status = _text(Path("/proc/self/status")) or ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory() -> int:
    """Return the resident size of this process, bytes; where the system does not tell, the largest so far."""
    status = _text(Path("/proc/self/status")) or ""
    own = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(own[0].split()[1]) * 1024 if own else peak_memory()


def _others() -> float | None:
    """Return busy processor seconds of the whole machine less this process's own (proc(5), /proc/stat)."""
    first = (_text(Path("/proc/stat")) or "").splitlines()[:1]
    if not first or not first[0].startswith("cpu "):
        return None
    user, nice, system, _idle, _wait, irq, softirq, *_ = (int(part) for part in first[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK") - time.process_time()


def _throttled() -> int | None:
    try:
        said = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=True)
        return int(said.stdout.strip().split("=")[1], 16)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _text(file: Path) -> str | None:
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:
        return None
