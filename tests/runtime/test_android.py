"""What Android's programs say: read from programs on PATH that print what a phone's do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.runtime import android, clock, conditions, machine

HAL = (
    "Current temperatures from HAL:\n\tTemperature{mValue=31.5, mType=3, mName=skin, mStatus=0}\n"
    "\tTemperature{mValue=38.2, mType=0, mName=CPU0, mStatus=0}\n\tTemperature{mValue=NaN, mType=0, mName=CPU1}\n"
)
CACHED = "Cached temperatures:\n\tTemperature{mValue=99.0, mType=0, mName=CPU0, mStatus=0}\n"


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """``says("getprop", "echo 1")``: a program of that name on PATH, with this text for the shell."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def make(name: str, text: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    return make


def test_the_heat_of_a_phone(says: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(conditions, "_ZONES", tmp_path)  # which Android keeps from the shell
    assert android.thermal() == android.Thermal()
    says("dumpsys", f"cat <<END\nThermal Status: 3\n{CACHED}HAL Ready: true\n{HAL}END")
    state = conditions.now()
    assert (state.thermal_status, state.temperature) == (3, 38.2)
    says("dumpsys", f"cat <<END\nThermal Status: 0\n{CACHED}END")
    assert android.thermal() == android.Thermal(0, 99.0)
    says("dumpsys", "echo Permission Denial: cannot dump thermalservice >&2; exit 1")
    assert android.thermal() == android.Thermal()


def test_the_model_of_a_phone(says: Callable[[str, str], None]) -> None:
    assert android.model() == ""
    says(
        "getprop",
        'case "$1" in *manufacturer) echo Google;; *product.model) echo Pixel 9;; *soc.model) echo Tensor G4;; esac',
    )
    assert machine.processor() == "Google Pixel 9 (Tensor G4)"
    assert not machine.emulated()


def test_androids_emulator_is_not_timed(says: Callable[[str, str], None]) -> None:
    says("getprop", '[ "$1" = ro.boot.qemu ] && echo 1')
    assert "emulated" in str(clock.untimed("onnx"))
