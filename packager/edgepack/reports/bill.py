"""Tables of a bill: what it comes to, what a device takes, and what goes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgepack.cost.bill import Bill, Course
from edgepack.cost.records import STATED, Delivery, Figure, Scenario, Service
from edgepack.documents import JsonDict
from edgepack.records import NotMeasured
from edgepack.reports.courses import NAMES
from edgepack.reports.table import Cell, Table
from edgepack.units import energy, money, price, size

NOT_COUNTED = (
    "not counted: developing and supporting either way, testing on devices, whatever servers the app needs anyhow, "
    "discounts, free allowances and tiers by volume, taxes, and the electricity, which the users pay"
)
_DELIVERED = (
    "on device: all installs of a year are paid on its first day, each update by all devices of the year, and every "
    "download is the whole bundle as it lies on the disk; the app is used as much on device as on the server"
)


def bill_table(bill: Bill) -> Table:
    """Tabulate what is spent hosted, on device and mixed, and when going on-device has paid off.

    What cannot be computed has no row but a note, which says what is to be stated.
    """
    head = ["", "a day", "first year", "each later year", "saved, first year", "breaks even"]
    rows, missing = _known([_row(name, getattr(bill, name), bill) for name in NAMES])
    notes = [*missing, *([_DELIVERED] if isinstance(bill.device, Course) else []), _one_off(bill.scenario), NOT_COUNTED]
    return Table(head, rows, figures=head[1:], notes=notes)


def device_table(bill: Bill) -> Table:
    """Tabulate data and energy, of a device and of all."""
    origin = bill.scenario.energy.origin if isinstance(bill.scenario.energy, Figure) else STATED
    able = " that can run it" if isinstance(bill.scenario.unable, Figure) else ""
    cells: list[list[Cell]] = [
        ["download of a device in a year", _cell(bill.device_bytes, size)],
        ["energy of a request", _cell(bill.request_energy, energy)],
        ["energy of a user a day", _cell(bill.user_energy, energy)],
        [f"download of all devices{able} in a year", _cell(bill.delivered_bytes, size)],
        [f"energy of all devices{able} in a year", _cell(bill.year_energy, energy)],
    ]
    rows, missing = _known(cells)
    said = [f"energy: {origin}"] if origin != STATED else []
    return Table(["", "value"], rows, figures=["value"], notes=[*missing, *said])


def scenario_table(scenario: Scenario) -> Table:
    """Tabulate what a bill is made of, and where each figure comes from; below, the sources of prices."""
    use, service, delivery = scenario.use, scenario.service, scenario.delivery
    rows: list[list[Cell]] = [["requests a day", _number(use.requests), "stated"]]
    if use.users is not None:
        each = f"stated; {use.requests / use.users:,.4g} requests each"
        rows.append(["daily users", _number(use.users), each])
    for side, tokens in (("input", use.tokens_in), ("output", use.tokens_out)):
        rows += [[f"{side} tokens of a request", _number(tokens), "stated"]] if tokens is not None else []
    rows += [[name, price, service.origin] for name, price in _prices(service)]
    if isinstance(delivery, Delivery):
        rows += [
            ["size of the bundle", size(delivery.size.value), delivery.size.origin],
            ["installs a year", _number(delivery.installs), "stated"],
            ["updates a year", _number(delivery.updates), "stated"],
            ["egress of a GB", price(delivery.egress.per_gb), delivery.egress.origin],
        ]
    if scenario.one_off is not None:
        rows.append(["one-off cost", money(scenario.one_off), "stated"])
    if isinstance(scenario.unable, Figure):
        rows.append(["users who stay on the server", f"{scenario.unable.value:.4g}", scenario.unable.origin])
    if isinstance(scenario.energy, Figure):
        rows.append(["energy of a request", energy(scenario.energy.value), scenario.energy.origin])
    priced = [service.source, delivery.egress.source if isinstance(delivery, Delivery) else ""]
    return Table(["", "value", "from"], rows, figures=["value"], notes=[source for source in priced if source])


def verdict(bill: Bill) -> tuple[str, bool]:
    """Say what the first year comes to, and whether going on-device saves."""
    if isinstance(bill.chosen, NotMeasured):
        return f"hosted, {money(bill.hosted.first_year)} a year", False
    saved = bill.hosted.first_year - bill.chosen.first_year
    way = "mixed" if bill.chosen is bill.mixed else "on device"
    told = f"{money(abs(saved))} {'less' if saved > 0 else 'more'} in the first year, {way}, than hosted"
    return told, saved > 0


def of_bill(bill: Bill) -> JsonDict:
    """Return the bill as plain JSON values: dollars, bytes, joules and days; null for what is never."""
    scenario = bill.scenario
    return {
        "currency": "USD",
        "scenario": scenario,
        **{name: _course(getattr(bill, name), bill) for name in NAMES},
        "device_bytes_per_year": bill.device_bytes,
        "delivered_bytes_per_year": bill.delivered_bytes,
        "joules_per_request": bill.request_energy,
        "joules_per_user_per_day": bill.user_energy,
        "joules_per_year": bill.year_energy,
        "not_counted": NOT_COUNTED.partition(": ")[2],
    }


def _row(name: str, course: Course | NotMeasured, bill: Bill) -> list[Cell]:
    if isinstance(course, NotMeasured):
        return [NAMES[name], course, course, course if bill.scenario.one_off else None, course, course]
    later = money(course.later_years) if bill.scenario.one_off else None
    spent: list[Cell] = [NAMES[name], money(course.daily), money(course.first_year), later]
    if course is bill.hosted:
        return [*spent, None, None]
    day = course.pays_off(bill.hosted)
    return [*spent, money(bill.hosted.first_year - course.first_year), "never" if day is None else f"day {day:,}"]


def _known(rows: Sequence[Sequence[Cell]]) -> tuple[list[Sequence[Cell]], list[str]]:
    """Return the rows with a figure, and a note for each reason why others have none."""
    names: dict[str, list[str]] = {}
    known: list[Sequence[Cell]] = []
    for row in rows:
        name, first = str(row[0]), row[1]
        if isinstance(first, NotMeasured):
            names.setdefault(first.reason, []).append(name)
        else:
            known.append(row)
    return known, [f"not computed: {', '.join(missed)} ({reason})" for reason, missed in names.items()]


def _course(course: Course | NotMeasured, bill: Bill) -> JsonDict | NotMeasured:
    if isinstance(course, NotMeasured):
        return course
    spent = {
        "once": course.once,
        "per_year": course.yearly,
        "per_day": course.daily,
        "first_year": course.first_year,
        "later_years": course.later_years,
    }
    return spent if course is bill.hosted else {**spent, "break_even_day": course.pays_off(bill.hosted)}


def _one_off(scenario: Scenario) -> str:
    told = "none is stated" if scenario.one_off is None else f"{money(scenario.one_off)}, on device and mixed"
    return f"one-off costs of going on-device: {told}"


def _prices(service: Service) -> list[tuple[str, str]]:
    priced = (
        (f"price of 1,000 {service.unit}s", service.per_thousand),
        ("price of a million input tokens", service.per_million_in),
        ("price of a million output tokens", service.per_million_out),
    )
    return [(name, price(each)) for name, each in priced if each is not None]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


def _cell(value: float | NotMeasured, written: Callable[[float], str]) -> Cell:
    return value if isinstance(value, NotMeasured) else written(value)
