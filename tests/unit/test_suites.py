"""Release suites: parsing and judging."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from edgepack import suites
from edgepack.errors import ProjectError
from edgepack.metrics.agreement import REDUCE
from edgepack.suites import Check


def write(folder: Path, text: str) -> Path:
    file = folder / "suite.toml"
    file.write_text(text, "utf-8")
    return file


def test_units_become_bytes_and_seconds(tmp_path: Path) -> None:
    text = (
        '[[check]]\nkind = "size"\nat_most = "24 MB"\nat_most_share = 0.3\n'
        '[[check]]\nkind = "latency"\nat_most = "50 ms"\npercentile = 90\ninput = "1x32"\n'
        '[[check]]\nkind = "load"\nat_most = "1.5 s"\n[[check]]\nkind = "golden"\n'
    )
    found = suites.read(write(tmp_path, text))
    assert found.name == "suite"
    assert [dict(check.limits) for check in found.checks] == [
        {"at_most": 24e6, "at_most_share": 0.3},
        {"at_most": 0.05},
        {"at_most": 1.5},
        {},
    ]
    assert found.checks[1].name == "latency 1x32 p90"


@pytest.mark.parametrize("bound", ['"35 dB"', '" 35.0dB "', "35"])
@pytest.mark.parametrize(
    "kind", ['kind = "psnr"\nmetric = "image"', 'kind = "agreement"\nmetric = "psnr"\nsubmodel = "unet"']
)
def test_decibels(tmp_path: Path, kind: str, bound: str) -> None:
    (check,) = suites.read(write(tmp_path, f"[[check]]\n{kind}\nat_least = {bound}\n")).checks
    assert check.limits == {"at_least": 35.0}


def test_a_bundle_of_clip_lies_beside_the_suite(tmp_path: Path) -> None:
    text = '[[check]]\nkind = "clip"\nclip = "dist/clip"\nsteps = 4\nat_least = 0.2\n'
    (check,) = suites.read(write(tmp_path, text)).checks
    assert (check.clip, check.steps) == (tmp_path / "dist" / "clip", 4)


def test_data_lies_beside_the_suite(tmp_path: Path) -> None:
    text = '[[check]]\nkind = "metric"\nmetric = "f1"\nat_least = 0.9\ndata = { path = "d.csv" }\n'
    data = suites.read(write(tmp_path, text)).checks[0].data
    assert data is not None
    assert data.path == tmp_path / "d.csv"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no [[check]]"),
        ("[[check]]\n", "no kind None"),
        ('[[check]]\nkind = "sise"\n', "did you mean 'size'?"),
        ('[[check]]\nkind = "size"\n', "has no limit"),
        ('[[check]]\nkind = "size"\nat_mots = "1 MB"\n', "did you mean 'at_most'?"),
        ('[[check]]\nkind = "size"\nat_most = "much"\n', "cannot be read"),
        ('[[check]]\nkind = "load"\nat_most = "24 MB"\n', "cannot be read"),
        ('[[check]]\nkind = "metric"\nat_least = 1\n', "names no metric"),
        ('original = "torch"\n[[check]]\nkind = "golden"\n', "original = 'torch'"),
        ('[[check]]\nkind = "metric"\nmetric = "f1"\nat_least = 1\n', "names no data"),
        ('[[check]]\nkind = "golden"\nmetric = "f1"\n', "unknown key 'metric'"),
        ('[[check]]\nkind = "agreement"\nmetric = "kl"\nat_most = 1\nstatistic = "p98"\n', "no statistic 'p98'"),
        ('[[check]]\nkind = "agreement"\nmetric = "kl"\nat_most = 1\nstatistic = "p98"\n', "median, p99"),
        ('[[check]]\nkind = "size"\nat_most = "1 MB"\nstatistic = "p99"\n', "unknown key 'statistic'"),
        ('[[check]]\nkind = "psnr"\nat_least = "35 dB"\n', "names no metric"),
        ('[[check]]\nkind = "psnr"\nmetric = "cosine"\nat_least = 1\n', "known: latents, image"),
        ('[[check]]\nkind = "psnr"\nmetric = "image"\nat_least = "35"\n', "cannot be read"),
        ('[[check]]\nkind = "psnr"\nmetric = "image"\nat_least = "35 db"\n', "cannot be read"),
        ('[[check]]\nkind = "psnr"\nmetric = "image"\nat_most_loss = 1\n', "does not apply to psnr"),
        ('[[check]]\nkind = "psnr"\nmetric = "image"\nat_least = 1\nsteps = 0\n', "steps"),
        ('[[check]]\nkind = "agreement"\nmetric = "cosine"\nat_least = "35 dB"\n', "cannot be read"),
        ('[[check]]\nkind = "clip"\nat_least = 0.2\n', "names no bundle of CLIP"),
        ("[[check]\n", "not valid TOML"),
        ("[[chekc]]\n", "did you mean 'check'?"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProjectError) as error:
        suites.read(write(tmp_path, text))
    assert said in f"{error.value} {error.value.hint}"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no suite"):
        suites.read(tmp_path / "none.toml")


def check(**limits: float) -> Check:
    return Check(kind="metric", name="m", limits=limits, metric="f1")


@pytest.mark.parametrize(
    ("limits", "value", "original", "passed"),
    [
        ({"at_least": 0.9}, 0.9, None, True),
        ({"at_least": 0.9}, 0.89, None, False),
        ({"at_most": 10}, 11, None, False),
        ({"at_most_loss": 0.01}, 0.895, 0.9, True),
        ({"at_most_loss": 0.01}, 0.88, 0.9, False),
        ({"at_most_loss": 0.01}, 0.95, 0.9, True),
        ({"at_least_share": 0.99}, 0.98, 1.0, False),
        ({"at_most_share": 0.3}, 0.2, 1.0, True),
        ({"at_least": 0.5, "at_most_loss": 0.01}, 0.8, 0.9, False),
        ({"at_most_loss": 0.01}, 0.9, None, None),
        ({"at_most_share": 0.5}, 1.0, 0.0, False),
        ({"at_most_loss": 0.5}, 0.9, math.nan, None),
        ({"at_least_share": 0.5}, 0.9, math.nan, None),
    ],
)
def test_judging(limits: dict[str, float], value: float, original: float | None, passed: bool | None) -> None:
    result = suites.judge(check(**limits), value, original)
    assert result.passed is passed
    assert bool(result.reason) is (passed is not True)


def test_being_sure_uses_the_interval() -> None:
    unsure = suites.judge(check(at_most_loss=0.01), 0.895, 0.9, (-0.02, 0.01))
    sure = suites.judge(
        Check(kind="metric", name="m", limits={"at_most_loss": 0.01}, sure=True), 0.895, 0.9, (-0.02, 0.01)
    )
    assert (unsure.passed, sure.passed) == (True, False)
    without = suites.judge(Check(kind="metric", name="m", limits={"at_most_loss": 0.01}, sure=True), 0.9, 0.9, None)
    assert without.passed is None


def test_statistics_are_known_where_they_are_reckoned(tmp_path: Path) -> None:
    assert set(REDUCE) == {"mean", "min", "max", "median", "p99"}
    for statistic in REDUCE:
        text = f'[[check]]\nkind = "agreement"\nmetric = "kl"\nat_most = 0.1\nstatistic = "{statistic}"\n'
        (found,) = suites.read(write(tmp_path, text)).checks
        assert (found.statistic, found.name) == (statistic, f"agreement KL {statistic}")
    values = np.array([0.0, 1.0, 2.0, 3.0, 94.0])
    found = {name: float(reduce(values)) for name, reduce in REDUCE.items()}
    assert found == {"mean": 20, "min": 0, "max": 94, "median": 2, "p99": pytest.approx(3 + 91 * 0.96)}


@pytest.mark.parametrize(
    ("value", "interval", "sure", "passed"),
    [
        (10.4, None, False, True),
        (10.6, None, False, False),
        (9.0, None, False, True),  # better than the original
        (10.4, (0.1, 0.6), False, True),
        (10.4, (0.1, 0.6), True, False),  # it may be 0.6 worse
        (10.4, (-0.9, 0.45), True, True),
    ],
)
def test_less_perplexity_is_no_loss(
    value: float, interval: tuple[float, float] | None, sure: bool, passed: bool
) -> None:
    wanted = Check(kind="metric", name="m", limits={"at_most_loss": 0.5}, metric="perplexity", sure=sure)
    assert suites.judge(wanted, value, 10.0, interval).passed is passed


@pytest.mark.parametrize(
    ("kind", "limits", "value", "told"),
    [
        ("size", {"at_most": 1e6}, 2e6, "2.0 MB is above 1.0 MB"),
        ("size", {"at_most": 1e6}, 1_000_001, "1000001 B is above 1000000 B"),
        ("latency", {"at_most_share": 0.5}, 0.02, "20.00 ms is above 0.5 × the original's 30.00 ms"),
        ("metric", {"at_least": 0.9}, 0.5, "0.5 is below 0.9"),
    ],
)
def test_a_missed_limit_is_told_in_words(kind: str, limits: dict[str, float], value: float, told: str) -> None:
    assert suites.judge(Check(kind=kind, name="x", limits=limits), value, 0.03).reason == told
