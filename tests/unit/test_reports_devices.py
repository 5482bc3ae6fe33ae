"""A bundle's speed over devices and over time, as a table and a page."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.rounds import COOL, measured
from tests.unit.test_history import EARLIER, LATER, entry

from edgepack import reports
from edgepack.errors import DeviceUnreachable
from edgepack.records import NotMeasured, Timing
from edgepack.reports import devices
from edgepack.reports.over_time import over_time
from edgepack.reports.plots import spaced
from edgepack.reports.table import readable
from edgepack.runtime import clock

HOT = replace(COOL, temperature=84.0, throttled=0x4)


def timing(median: float, **changes: object) -> Timing:
    return clock.pooled("1x32", [measured(median, **changes)] * 3)


BENCHED: devices.Benched = [
    ("kitchen", (timing(17e-3, after=HOT),)),
    ("attic", DeviceUnreachable("attic: no route <b>")),
    ("desk", (timing(6e-3),)),
    ("board", NotMeasured(reason="an emulated processor says nothing about speed")),
]


def test_a_device_that_failed_has_a_row() -> None:
    table = readable(devices.speed_table(BENCHED))
    assert [row[0] for row in table.rows] == ["kitchen", "attic", "desk", "board"]
    assert [row[-1] for row in table.rows] == [
        "throttled or under-voltage (0x4)", "attic: no route <b>", "–",
        "not measured: an emulated processor says nothing about speed",
    ]  # fmt: skip
    assert list(table.passed) == [None, False, None, None]
    assert "tokens/s" not in [column.name for column in table.columns]


def test_the_state_of_the_machines() -> None:
    (hot, cool) = readable(devices.conditions_table(BENCHED)).rows
    assert ("55 → 84" in hot, "0x0 → 0x4" in hot) == (True, True)
    assert ("55" in cool, "0x0" in cool, "ondemand" in cool) == (True, True, True)


def test_the_page() -> None:
    page = reports.of_speed("a-rpi", BENCHED, [entry(), entry(LATER, 2)], {"model": "m"})
    assert "1 of 4 devices failed; 1 of 2 measurements disturbed" in page
    assert "no route &lt;b&gt;" in page
    assert page.count("<svg") == 2  # the input over devices, and over time
    alone = reports.of_speed("a-rpi", BENCHED[2:3], [entry()], {"model": "m"})
    assert "<svg" not in alone


def test_medians_over_time() -> None:
    marked = replace(entry(LATER).timing, verdict="other programs used 45 % of the processors")
    entries = [entry(), entry(LATER, 1, "v<2>", timing=marked), entry(EARLIER, 2), entry(day=1, device="desk")]
    (drawn,) = over_time(entries)
    assert (drawn.count('class="mark"'), drawn.count('class="empty"')) == (3, 1)
    assert "v&lt;2&gt;" in drawn
    places = [float(x) for x in re.findall(r'<circle class="\w+" cx="([\d.]+)"', drawn)]
    assert places[:3] == [58.0, 194.0, 330.0]  # a day apart
    assert "now kitchen 1.01 ms, desk 1.01 ms" in drawn
    assert over_time([entry()]) == []


def test_lines_are_round() -> None:
    assert spaced(0.93) == [0.5, 1.0]
    assert [round(value, 9) for value in spaced(17e-3)] == [5e-3, 10e-3, 15e-3, 20e-3]
