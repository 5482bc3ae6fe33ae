"""The files by which programs know a Raspberry Pi: what an emulated one shows in /proc and /sys.

They have to be those of the emulated core: ONNX Runtime chooses its kernels by the part's number, and those of another
core end in an illegal instruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_CORES = 4


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board: its core as qemu calls it, and what that core tells of itself."""

    title: str
    core: str
    part: str
    variant: str
    revision: str
    features: str
    frequency: int  # kHz, the highest
    caches: tuple[int, int, int]  # KiB of the levels; 0: none


BOARDS = {
    "rpi4": Board(
        title="Raspberry Pi 4 Model B Rev 1.4",
        core="cortex-a72",
        part="0xd08",
        variant="0x0",
        revision="3",
        features="fp asimd evtstrm crc32 cpuid",
        frequency=1_800_000,
        caches=(32, 1024, 0),
    ),
    "rpi5": Board(
        title="Raspberry Pi 5 Model B Rev 1.0",
        core="cortex-a76",
        part="0xd0b",
        variant="0x4",
        revision="1",
        features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        frequency=2_400_000,
        caches=(64, 512, 2048),
    ),
}
PROFILES = {"rpi4": "pi4", "rpi5": "pi5"}  # of the target rpi


def write(board: Board, folder: Path) -> None:
    """Write ``cpuinfo`` and ``sys/`` into ``folder``."""
    core = (
        f"BogoMIPS\t: 108.00\nFeatures\t: {board.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: {board.variant}\nCPU part\t: {board.part}\nCPU revision\t: {board.revision}\n\n"
    )
    cores = "".join(f"processor\t: {number}\n{core}" for number in range(_CORES))
    files = {"cpuinfo": f"{cores}Model\t\t: {board.title}\n", "sys/firmware/devicetree/base/model": f"{board.title}\0"}
    files["sys/class/thermal/thermal_zone0/type"] = "cpu-thermal\n"
    files["sys/class/thermal/thermal_zone0/temp"] = "52350\n"
    every = f"0-{_CORES - 1}"
    files |= {f"sys/devices/system/cpu/{name}": f"{every}\n" for name in ("possible", "present", "online")}
    for number in range(_CORES):
        own = _core(board, number, every)
        files |= {f"sys/devices/system/cpu/cpu{number}/{name}": f"{text}\n" for name, text in own.items()}
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def _core(board: Board, number: int, every: str) -> dict[str, str]:
    """Return the files of a core."""
    found = {
        "topology/physical_package_id": "0",
        "topology/core_id": str(number),
        **dict.fromkeys(("topology/core_siblings_list", "topology/package_cpus_list"), every),
        "topology/cluster_cpus_list": every,
        "topology/thread_siblings_list": str(number),
        "cpufreq/cpuinfo_max_freq": str(board.frequency),
        "cpufreq/scaling_cur_freq": str(board.frequency),
        "cpufreq/scaling_governor": "ondemand",
    }
    first, second, third = board.caches
    shared = str(number) if third else every  # a second level of its own, where there is a third
    kinds = [("1", "Data", first, str(number)), ("1", "Instruction", first, str(number))]
    kinds += [("2", "Unified", second, shared), *([("3", "Unified", third, every)] if third else [])]
    for index, (level, kind, size, cores) in enumerate(kinds):
        told = {"level": level, "type": kind, "size": f"{size}K", "shared_cpu_list": cores, "coherency_line_size": "64"}
        found |= {f"cache/index{index}/{name}": text for name, text in told.items()}
    return found
