"""The tables, the JSON and the page of a bill."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from edgepack import reports
from edgepack.cli import show
from edgepack.cost import Asked, Bill, bill, scenario
from edgepack.reports import bill as bills
from edgepack.reports import courses
from edgepack.reports.table import DASH, readable
from edgepack.units import energy, money, price, size

STATED = {
    "users": 1e6, "each": 10.0, "per_thousand": 1.5, "size": "600 MB", "installs": 2e6, "updates": 2.0,
    "egress": "cloudfront", "unable": 0.25, "energy": "40 J",
}  # fmt: skip


def made(**changes: object) -> Bill:
    return bill(scenario(Asked(**{**STATED, **changes})))


def hosted() -> Bill:
    return bill(scenario(Asked(users=1e6, each=10, per_thousand=1.5)))


def test_the_table() -> None:
    table = readable(bills.bill_table(made()))
    assert [column.name for column in table.columns] == ["", "a day", "first year", "saved, first year", "breaks even"]
    assert table.rows[0] == ("hosted", "$15,000", "$5,475,000", DASH, DASH)
    assert table.rows[1] == ("on device", "$558.90", "$306,000", "$5,169,000", "day 8")
    assert table.rows[2] == ("mixed", "$4,169", "$1,598,250", "$3,876,750", "day 8")
    assert any("not counted: developing and supporting" in note for note in table.notes)
    with_once = readable(bills.bill_table(made(one_off=8e6)))
    assert with_once.rows[1][3] == "$306,000"  # each later year
    assert with_once.rows[1][4] == "−$2,831,000"


def test_what_is_missing_is_a_note_that_says_what_to_state() -> None:
    table = readable(bills.bill_table(hosted()))
    assert table.rows == [("hosted", "$15,000", "$5,475,000")]
    assert "on device (state a bundle or --size, --installs, --updates and --egress)" in table.notes[0]
    assert readable(bills.device_table(hosted())).rows == []


def test_where_prices_come_from() -> None:
    table = readable(bills.scenario_table(made().scenario))
    assert ("egress of a GB", "$0.085", "cloudfront in presets.toml") in table.rows
    assert any("https://" in note and "read 20" in note for note in table.notes)


def test_json_has_units_in_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    show.as_json(bills.of_bill(made(one_off=8e6)))
    table = json.loads(capsys.readouterr().out)
    assert table["currency"] == "USD"
    assert table["hosted"]["first_year"] == 5_475_000
    assert table["device"]["break_even_day"] == 569
    assert table["joules_per_user_per_day"] == 400
    assert table["device_bytes_per_year"] == 1.8e9
    show.as_json(bills.of_bill(hosted()))
    assert json.loads(capsys.readouterr().out)["mixed"] == {"reason": "state --unable, or --devices"}


def test_the_page_needs_nothing_from_outside_and_is_honest() -> None:
    page = reports.of_bill(made(), "<b>")
    assert not re.search(r"(src|href)\s*=|@import|url\(|<script|<link", page)
    assert "&lt;b&gt;: the bill" in page
    assert "$3,876,750 less in the first year, mixed, than hosted" in page
    assert "not counted: developing and supporting" in page
    assert 'class="verdict bad"' in reports.of_bill(made(one_off=8e6), "")
    assert "hosted, $5,475,000 a year" in reports.of_bill(hosted(), "")


def points(drawn: ElementTree.Element, name: str) -> list[tuple[float, float]]:
    (line,) = drawn.findall(f".//{{*}}polyline[@class='course {name}']")
    return [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]  # type: ignore[misc]


def test_the_curve_crosses_where_it_breaks_even() -> None:
    drawn = ElementTree.fromstring(courses.curve(made(one_off=8e6)))
    assert "day 569: on device breaks even" in "".join(drawn.itertext())
    hosted_, device = points(drawn, "hosted"), points(drawn, "device")
    assert hosted_[0][1] > device[0][1]  # y grows downwards: nothing is spent on the server yet
    assert hosted_[-1][1] < device[-1][1]
    spots = drawn.findall(".//{*}circle[@class='spot']")
    assert len(spots) == 2
    (x0, _), (x1, _) = hosted_[0], hosted_[-1]
    assert (float(spots[0].attrib["cx"]) - x0) / (x1 - x0) == pytest.approx(569 / (3 * 365), abs=1e-3)


@pytest.mark.parametrize("changes", [{}, {"one_off": 8e6}, {"one_off": 1e11}, {"unable": 1.0}, {"per_thousand": 1e-6}])
def test_names_in_the_curve_stay_apart_and_inside(changes: dict[str, object]) -> None:
    drawn = ElementTree.fromstring(courses.curve(made(**changes)))
    (svg,) = drawn.findall(".//{*}svg")
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    texts = [(float(text.attrib["x"]), float(text.attrib["y"])) for text in drawn.findall(".//{*}text")]
    assert all(0 <= x <= width and 8 <= y <= height for x, y in texts)
    ends = sorted(y for x, y in texts if x > 340)
    assert len(ends) == 6  # a name and an amount for each course
    assert all(b - a >= 14 for a, b in pairwise(ends))


def test_a_bill_of_the_server_alone_is_drawn_too() -> None:
    drawn = ElementTree.fromstring(courses.curve(hosted()))
    assert len(drawn.findall(".//{*}polyline")) == 1


def test_amounts_are_written_with_the_digits_that_count() -> None:
    assert [money(x) for x in (5_475_000, 999.999, 12.5, 0.0015, 0, -7.2)] == [
        "$5,475,000", "$1,000", "$12.50", "$0.0015", "$0.00", "−$7.20",
    ]  # fmt: skip
    assert [price(x) for x in (1.5, 0.085, 1200, 0.000001)] == ["$1.50", "$0.085", "$1,200.00", "$0.000001"]
    assert [energy(x) for x in (0.0311, 40, 7200, 1.095e11)] == ["31.1 mJ", "40 J", "2 Wh", "30.42 MWh"]
    assert [size(x) for x in (1.8e9, 2.7e15, 9.973e13)] == ["1.80 GB", "2.70 PB", "99.73 TB"]
