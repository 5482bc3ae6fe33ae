"""The measuring protocol."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from tests.rounds import measured

from edgepack.errors import BundleError
from edgepack.records import Bundle, Conditions, NotMeasured, Timing, Where
from edgepack.runtime import clock, machine, measurements
from edgepack.runtime.percentiles import percentile
from edgepack.runtime.quiet import Rules, short
from edgepack.runtime.rounds import Round

ONCE = Rules(runs=3, seconds=0.0)


@pytest.mark.parametrize(("share", "least"), [(0.9, 64), (0.99, 662)])
def test_percentiles_need_what_mlperf_says(share: float, least: int) -> None:
    assert isinstance(percentile([1.0] * (least - 1), share), NotMeasured)
    assert percentile([1.0] * least, share) == 1.0


@pytest.mark.parametrize("runs", [1000, 20_000])
def test_a_percentile_is_no_smaller_than_the_sample_s(runs: int) -> None:
    times = np.random.default_rng(0).exponential(size=runs)
    found = percentile(list(times), 0.9)
    assert isinstance(found, float)
    assert np.quantile(times, 0.9) <= found <= np.quantile(times, 0.95)


def timed(path: Path, rules: Rules = ONCE, **feeds: np.ndarray) -> tuple[Timing, ...]:
    return clock.measure(path, "onnx", [("1x4", feeds)], rules, threads=1, target_isa=machine.isa())


def test_a_model_that_cannot_be_run(minilm: Bundle) -> None:
    with pytest.raises(BundleError, match="could not be timed"):
        timed(minilm.path / "model.onnx", input_ids=np.ones((1, 4), np.int64))


def test_what_is_recorded(minilm: Bundle) -> None:
    ids = {name: np.ones((1, 4), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    (timing,) = timed(minilm.path / "model.onnx", Rules(runs=30, seconds=0.0, repeat=0), **ids)
    assert (timing.runs, len(timing.rounds), timing.where.threads, timing.where.target) == (30, 3, 1, True)
    assert min(timing.rounds) <= timing.p50 <= max(timing.rounds)
    assert timing.cpu > 0
    assert timing.peak_memory > minilm.artifact.bytes
    assert isinstance(timing.load_cold, float) or "memory" in timing.load_cold.reason
    assert timing.throughput == pytest.approx(30 / timing.seconds)
    assert timing.before is not None
    assert timing.before.load is not None
    assert short(timing)
    assert clock.timing(json.loads(json.dumps(asdict(timing)))) == timing


def recorded(monkeypatch: pytest.MonkeyPatch, *answers: Round) -> list[float]:
    """Let rounds be these, a call after the other; the pauses that are made."""
    left, pauses = list(answers), list[float]()
    monkeypatch.setattr(clock, "ask", lambda *given: (left.pop(0),))
    monkeypatch.setattr(clock.time, "sleep", pauses.append)
    return pauses


BUSY, FREE = measured(1.2e-3, waited=1.7), measured()


def test_a_disturbed_measurement_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, said = Rules(runs=120, seconds=0.0, repeat=5), list[str]()
    pauses = recorded(monkeypatch, FREE, BUSY, FREE, BUSY, BUSY, BUSY, FREE, FREE, FREE, FREE)
    ids = {"x": np.ones((1, 4), np.int64)}
    (timing,) = clock.measure(Path("m"), "onnx", [("1x4", ids)], rules, threads=1, target_isa="arm64", say=said.append)
    assert (timing.verdict, timing.attempts, timing.p50) == ("valid", 3, FREE.median)
    assert [pause for pause in pauses if pause] == [2.0, 4.0]
    assert "measuring 1x4 again: threads waited" in said[0]


def test_the_fastest_of_disturbed_measurements_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = measured(1.4e-3, waited=1.7)
    recorded(monkeypatch, BUSY, worse)
    (timing,) = timed(Path("m"), Rules(runs=40, seconds=0.0, rounds=1, repeat=1), x=np.ones(1))
    assert (timing.p50, timing.attempts) == (BUSY.median, 2)
    assert "waited" in timing.verdict
    recorded(monkeypatch, BUSY, worse)
    (timing,) = timed(Path("m"), Rules(runs=40, seconds=0.0, rounds=1, repeat=1, patience=1.0), x=np.ones(1))
    assert timing.attempts == 1  # patience was over before the pause


def test_the_cold_load_is_no_part_of_the_others() -> None:
    rounds = [measured(cold=True, load=0.9), measured(load=0.2), measured(load=0.3)]
    made = clock.pooled("1x4", rounds)
    assert (made.load_cold, made.load) == (0.9, 0.25)
    assert made.throughput == pytest.approx(120 / (3 * 3.4))
    assert not short(made)
    alone = clock.pooled("1x4", [measured(load=0.2)])
    assert alone.load == 0.2
    assert str(alone.load_cold) == "not measured: a short measurement does not load the model twice"


def test_a_round_is_read_as_it_was_written() -> None:
    for each in (measured(), measured(cold=NotMeasured(reason="kept"), energy=1.5)):
        assert Round.read(json.loads(json.dumps(asdict(each)))) == each


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


def test_this_machine_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where = machine.where(2, "arm64")
    assert where.machine
    assert where.target == (where.isa == "arm64")
    assert machine.peak_memory() > 10_000_000
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp i8mm\n")
    assert machine.features() == ("dotprod", "i8mm", "fp16")


def test_peak_memory_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    told = machine.peak_memory()
    monkeypatch.setattr(machine, "_text", lambda file: None)
    assert machine.peak_memory() == pytest.approx(told, rel=0.1)
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")  # which counts bytes
    assert machine.peak_memory() == pytest.approx(told / 1024, rel=0.1)


@pytest.mark.parametrize(("record", "place"), [(Timing, "timings"), (Where, "where"), (Conditions, "conditions")])
def test_the_published_schema_has_every_field(record: type, place: str) -> None:
    schema = measurements._published(measurements.SCHEMA)
    timings = schema["properties"]["timings"]["anyOf"][1]["items"]
    assert {field.name for field in fields(record)} == set({"timings": timings, **schema["$defs"]}[place]["properties"])


def test_measurements_of_schema_2_are_still_read(tmp_path: Path, minilm: Bundle) -> None:
    measurements.write(tmp_path, (), (replace(clock.pooled("1x4", [measured()]), rounds=()),))
    file = tmp_path / "measurements.json"
    table = json.loads(file.read_text())
    new = {"load_cold", "seconds", "rounds", "attempts", "before", "after"}
    (entry,) = table["timings"]
    del entry["where"]["features"]
    table |= {"schema": 2, "timings": [{key: value for key, value in entry.items() if key not in new}]}
    file.write_text(json.dumps(table))
    _, (timing,) = measurements.read(tmp_path)
    assert (timing.p50, timing.rounds, timing.where.features) == (1e-3, (), ())
    assert str(timing.load_cold) == "not measured: not recorded"


def test_a_hot_machine_cools_down_between_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = recorded(monkeypatch, FREE, FREE)
    # at the start; before the second round, until it is as cool again
    heat = [55.0, 70.0, 63.0, 56.0]
    monkeypatch.setattr(clock.conditions, "now", lambda: Conditions(temperature=heat.pop(0)))
    timed(Path("m"), Rules(runs=40, seconds=20.0, rounds=2), x=np.ones(1))
    assert pauses == [3.0, 1.0, 1.0]
    assert not heat
