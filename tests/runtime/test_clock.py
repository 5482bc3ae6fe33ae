"""The measuring protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import BundleError
from edgepack.records import Bundle, NotMeasured
from edgepack.runtime import clock, machine
from edgepack.runtime.machine import State


@pytest.mark.parametrize(("share", "least"), [(0.9, 64), (0.99, 662)])
def test_percentiles_need_what_mlperf_says(share: float, least: int) -> None:
    assert isinstance(clock.percentile([1.0] * (least - 1), share), NotMeasured)
    assert clock.percentile([1.0] * least, share) == 1.0


@pytest.mark.parametrize("runs", [1000, 20_000])
def test_a_percentile_is_no_smaller_than_the_sample_s(runs: int) -> None:
    times = np.random.default_rng(0).exponential(size=runs)
    found = clock.percentile(list(times), 0.9)
    assert isinstance(found, float)
    assert np.quantile(times, 0.9) <= found <= np.quantile(times, 0.95)


def test_a_model_that_cannot_be_run(minilm: Bundle) -> None:
    feeds = {"input_ids": np.ones((1, 4), np.int64)}
    with pytest.raises(BundleError, match="could not be timed"):
        clock.measure(
            minilm.path / "model.onnx", "onnx", [("1x4", feeds)], threads=1, target_isa="arm64", runs=1, seconds=0
        )


def state(**values: object) -> State:
    return State(**{"wall": 0.0, "others": 0.0, "governor": None, "temperature": None, "throttled": 0, **values})


def test_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QEMU_CPU", raising=False)
    assert machine.verdict(state(), state(wall=2.0)) == "valid"
    assert "other programs" in machine.verdict(state(), state(wall=2.0, others=100.0))
    assert "throttled" in machine.verdict(state(), state(wall=2.0, throttled=0x4))
    # what happened before the measurement does not count
    assert machine.verdict(state(throttled=0x50000), state(wall=2.0, throttled=0x50000)) == "valid"


def test_an_emulated_processor_is_never_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("QEMU_CPU", raising=False)
    assert clock.untimed("onnx") is None
    monkeypatch.setattr(machine, "isa", lambda: "arm64")
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    assert clock.untimed("onnx") is None
    (tmp_path / "cpuinfo").write_text("vendor_id\t: GenuineIntel\n")  # the host's, which QEMU passes on
    assert "emulated" in str(clock.untimed("onnx"))
    (tmp_path / "cpuinfo").unlink()
    monkeypatch.setenv("QEMU_CPU", "cortex-a76")
    assert "emulated" in str(clock.untimed("onnx"))


def test_this_machine_is_named() -> None:
    where = machine.where(2, "arm64")
    assert where.machine
    assert where.target == (where.isa == "arm64")
    assert machine.peak_memory() > 10_000_000
