"""Energy by a machine's meter, of which a folder in sysfs's form takes the place."""

from pathlib import Path

import pytest

from edgepack.records import NotMeasured
from edgepack.runtime import meter
from edgepack.runtime.meter import Reading

HIGHEST = 999_999


@pytest.fixture
def zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, a core's counter inside one, and one of the whole board, which would count twice."""
    monkeypatch.setattr(meter, "_ZONES", tmp_path)
    named = {"intel-rapl:0": "package-0", "intel-rapl:1": "package-1", "intel-rapl:0:0": "core", "intel-rapl:2": "psys"}
    for zone, name in named.items():
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "max_energy_range_uj").write_text(f"{HIGHEST}\n")
        (tmp_path / zone / "energy_uj").write_text("900000\n")
    return tmp_path


def test_joules_of_a_run_are_those_of_all_packages(zones: Path) -> None:
    before = Reading.now()
    (zones / "intel-rapl:0" / "energy_uj").write_text("950000\n")
    (zones / "intel-rapl:1" / "energy_uj").write_text("150000\n")  # which began again
    assert meter.each(before, Reading.now(), 2, 1.0) == pytest.approx((0.05 + 0.25) / 2)
    short = meter.each(before, Reading.now(), 2, 0.01)
    assert isinstance(short, NotMeasured)
    assert "10 ms of runs" in short.reason


def test_what_cannot_be_read_is_not_measured(zones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def forbidden(file: Path, *given: str) -> str:
        if file.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(file, *given)

    monkeypatch.setattr(Path, "read_text", forbidden)
    assert "may not read" in Reading.now().reason
    monkeypatch.setattr(meter, "_ZONES", zones / "none")
    nothing = Reading.now()
    assert "no energy meter" in nothing.reason
    assert meter.each(nothing, nothing, 1, 1.0) is nothing
