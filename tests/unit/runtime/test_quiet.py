"""Which measurements count: the rules, on numbers as machines gave them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.rounds import COOL, WHERE, measured

from edgepack.runtime import quiet
from edgepack.runtime.quiet import Rules
from edgepack.runtime.rounds import Round


def verdict(*rounds: Round) -> str:
    return quiet.verdict(rounds, processors=4)


def test_nothing_disturbed() -> None:
    assert verdict(measured(), measured(1.02e-3), measured(0.995e-3)) == "valid"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"others": 3.4 * 4 * 0.45}, "other programs used 45 % of the processors"),
        ({"waited": 0.34}, "threads waited 10 % of the time for a processor"),
        ({"stolen": 0.17}, "the host of this virtual machine took 5 % of the time"),
        ({"others": None, "before": replace(COOL, load=6.0)}, "6.0 programs ran on 4 processors"),
        ({"late": 1.04e-3}, "the medians of the halves of a round are 4.0 % apart"),
        ({"median": 1.05e-3}, "the medians of rounds are 5.0 % apart"),
        ({"after": replace(COOL, throttled=0x4)}, "throttled or under-voltage (0x4)"),
        ({"after": replace(COOL, throttled=0x20000)}, "throttled or under-voltage (0x20000)"),
        ({"after": replace(COOL, frequency=1.8e9)}, "the frequency fell from 2.40 to 1.80 GHz"),
        ({"after": replace(COOL, temperature=85.0, headroom=0.0)}, "so hot that the system slows down (85 °C)"),
        ({"after": replace(COOL, thermal_status=3)}, "throttled (thermal status 3)"),
    ],
)
def test_one_round_in_three_was_disturbed(changes: dict[str, object], said: str) -> None:
    first = {"others": changes["others"], "before": changes["before"]} if "before" in changes else {}
    assert verdict(measured(**first), measured(**changes), measured()) == said


def test_what_was_so_before_does_not_count() -> None:
    since_the_start = replace(COOL, throttled=0x50000)
    assert verdict(measured(before=since_the_start, after=since_the_start)) == "valid"
    hot = replace(COOL, throttled=0xE0008)
    assert "0xe0008" in verdict(measured(before=hot, after=hot))  # but it is so now


def test_a_board_that_is_held_back_throughout() -> None:
    slow = replace(COOL, frequency=1.5e9)
    assert verdict(measured(before=slow, after=slow)) == "the frequency was 1.50 GHz of 2.40"
    turbo = replace(WHERE, isa="x86_64")  # whose highest frequency is one core's alone
    assert verdict(measured(before=slow, after=slow, where=turbo)) == "valid"


def test_what_is_too_short_to_tell() -> None:
    assert verdict(measured(1e-3, 2e-3, runs=8), measured(3e-3, runs=8)) == "valid"
    assert verdict(measured(wall=0.1, waited=0.0, others=0.3)) == "valid"  # of ticks of 10 ms
    assert verdict(measured(wall=0.01, waited=0.008)) == "valid"


def test_reasons_are_said_once() -> None:
    busy = measured(others=9.0, waited=1.7)
    assert verdict(busy, busy, measured()).count("; ") == 1


def test_a_machine_cools_down() -> None:
    assert quiet.cooled(COOL, replace(COOL, temperature=56.5))
    assert not quiet.cooled(COOL, replace(COOL, temperature=60.0))
    assert quiet.cooled(replace(COOL, temperature=None), COOL)


@pytest.mark.parametrize("runs", [1, 2, 3, 16, 100])
def test_rounds_share_the_runs(runs: int) -> None:
    rules = Rules(runs=runs)
    assert sum(rules.runs_of(index) for index in range(rules.count)) == runs
    assert all(rules.runs_of(index) for index in range(rules.count))
