"""What machines tell of themselves, from files and programs in their form."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgepack.runtime import conditions, page_cache
from edgepack.runtime.conditions import Counters

THERMAL = "IsStatusOverride: false\\nThermalEventListeners:\\nThermal Status: 3\\nCached temperatures:"


def written(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def program(folder: Path, name: str, said: str) -> None:
    written(folder / name, f'#!/bin/sh\nprintf "{said}\\n"\n')
    (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that tells nothing."""
    for name in ("ZONES", "PROCESSORS", "STAT", "TASKS"):
        monkeypatch.setattr(conditions, f"_{name}", tmp_path / name.lower())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_a_board(machine: Path) -> None:
    written(machine / "zones/thermal_zone0/temp", "51234\n")
    written(machine / "zones/thermal_zone1/temp", "48000\n")
    for point, (kind, limit) in enumerate((("critical", 49_000), ("passive", 70_000), ("passive", 0))):
        written(machine / f"zones/thermal_zone1/trip_point_{point}_type", f"{kind}\n")
        written(machine / f"zones/thermal_zone1/trip_point_{point}_temp", f"{limit}\n")
    for core, frequency in enumerate((1_500_000, 2_400_000)):
        written(machine / f"processors/cpu{core}/cpufreq/scaling_cur_freq", f"{frequency}\n")
        written(machine / f"processors/cpu{core}/cpufreq/cpuinfo_max_freq", "2400000\n")
    written(machine / "processors/cpu0/cpufreq/scaling_governor", "ondemand\n")
    os.environ["PATH"] += f"{os.pathsep}/bin"
    program(machine / "bin", "vcgencmd", "throttled=0x50005")
    program(machine / "bin", "dumpsys", THERMAL)
    told = conditions.now()
    assert (told.temperature, told.frequency, told.highest, told.governor) == (51.234, 2.4e9, 2.4e9, "ondemand")
    assert (told.throttled, told.thermal_status, told.headroom) == (0x50005, 3, 22.0)
    assert told.load is not None


def test_a_machine_that_tells_nothing(machine: Path) -> None:
    told = conditions.now()
    assert {name for name, value in vars(told).items() if value is not None} == {"load"}
    program(machine / "bin", "vcgencmd", "VCHI initialization failed")
    assert conditions.now().throttled is None
    counted = Counters.now().until(Counters.now())
    assert (counted.others, counted.stolen, counted.waited) == (None, None, None)
    assert counted.wall >= 0


def test_who_used_the_processors(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    written(machine / "stat", "cpu  100 0 50 900 7 0 0 10 0 0\ncpu0 1 2 3 4 5 6 7\n")
    written(machine / "tasks/1/schedstat", "500 1000000 3\n")
    before = Counters.now()
    written(machine / "stat", "cpu  300 0 150 900 7 0 0 60 0 0\n")
    written(machine / "tasks/1/schedstat", "900 3000000 9\n")
    written(machine / "tasks/2/schedstat", "900 500000000 9\n")  # a thread that is new
    counted = before.until(Counters.now())
    assert counted.others == pytest.approx(3.0 - counted.own)
    assert counted.stolen == 0.5
    assert counted.waited == pytest.approx(0.502)


def test_a_file_leaves_the_system_s_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(bytes(100_000))
    os.sync()
    told = page_cache.drop(model)
    if told is not None:  # a file system in memory
        assert "memory" in told.reason
        return
    model.read_bytes()
    assert page_cache.drop(model) is None
    held = tmp_path / "model.onnx_data"
    held.write_bytes(bytes(100_000))
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: None)  # a system that keeps it
    told = page_cache.drop(model)
    assert told is not None
    assert "keeps the model's file" in told.reason
    monkeypatch.delattr(os, "RWF_NOWAIT")
    told = page_cache.drop(model)
    assert told is not None
    assert "cannot be asked" in told.reason
