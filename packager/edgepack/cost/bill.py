"""The arithmetic of a bill: three courses of spending, and the day on which one has paid off.

hosted     every day:   requests x price
on device  each year:   installs x size x egress price, on its first day;  every day: a 365th of the same x updates
mixed      a share of the hosted, and the rest of what the devices cost; one-off costs are there in full
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgepack.cost.records import Delivery, Figure, Scenario
from edgepack.records import NotMeasured

YEAR = 365  # days
LONGEST = 100  # years in which a break-even is looked for


@dataclass(frozen=True, kw_only=True)
class Course:
    """Spending in the course of time, dollars: once, on the first day of each year, and every day."""

    once: float = 0.0
    yearly: float = 0.0
    daily: float = 0.0

    def total(self, days: int) -> float:
        """Return what was spent after ``days`` days; after 0, what the first day begins with."""
        return self.once + self.yearly * max(1, math.ceil(days / YEAR)) + self.daily * days

    @property
    def first_year(self) -> float:
        """The dollars of the first year, one-off costs among them."""
        return self.total(YEAR)

    @property
    def later_years(self) -> float:
        """The dollars of each year after the first."""
        return self.yearly + self.daily * YEAR

    def pays_off(self, other: Course) -> int | None:
        """Return the first day after which this has cost no more than ``other``, which has no yearly part.

        None where it saves nothing by the day, or has not paid off within 100 years.
        """
        saved = other.daily - self.daily
        if saved <= 0:
            return None
        once, by_year = self.once - other.once, saved * YEAR - self.yearly
        if by_year < 0 or (by_year == 0 and once > 0):
            return None
        years = math.ceil(once / by_year) if once > 0 else 1  # begun when it pays off
        if years > LONGEST:
            return None
        return max(1, math.ceil((once + self.yearly * years) / saved))


@dataclass(frozen=True, kw_only=True)
class Bill:
    """The bill of a scenario, three ways; what cannot be computed says what is missing."""

    scenario: Scenario
    hosted: Course
    device: Course | NotMeasured  # as if every device could run it
    mixed: Course | NotMeasured  # users whose device cannot run it stay on the server
    device_bytes: float | NotMeasured  # that a device downloads in a year
    delivered_bytes: float | NotMeasured  # that all of them download, those that can run it where that is known
    request_energy: float | NotMeasured  # joules
    user_energy: float | NotMeasured  # joules of a user a day
    year_energy: float | NotMeasured  # joules of all devices a year, those that can run it where that is known

    @property
    def chosen(self) -> Course | NotMeasured:
        """The course that a user of the scenario is on: mixed where the share is known, else on device."""
        return self.device if isinstance(self.mixed, NotMeasured) else self.mixed


def bill(scenario: Scenario) -> Bill:
    """Return the bill. Raises UsageError where tokens have a price and no number, or the reverse."""
    hosted = Course(daily=scenario.service.daily(scenario.use))
    device = _device(scenario)
    able = 1.0 if isinstance(scenario.unable, NotMeasured) else 1 - scenario.unable.value
    return Bill(
        scenario=scenario,
        hosted=hosted,
        device=device,
        mixed=_mixed(hosted, device, scenario.unable),
        **_data(scenario, able),
        **_energy(scenario, able),
    )


def _device(scenario: Scenario) -> Course | NotMeasured:
    delivery = scenario.delivery
    if isinstance(delivery, NotMeasured):
        return delivery
    once = 0.0 if scenario.one_off is None else scenario.one_off
    return Course(once=once, yearly=delivery.install_cost, daily=delivery.update_cost / YEAR)


def _mixed(hosted: Course, device: Course | NotMeasured, unable: Figure | NotMeasured) -> Course | NotMeasured:
    if isinstance(unable, NotMeasured):
        return unable
    if isinstance(device, NotMeasured):
        return device
    share, able = unable.value, 1 - unable.value
    daily = share * hosted.daily + able * device.daily
    return Course(once=device.once, yearly=able * device.yearly, daily=daily)


def _data(scenario: Scenario, able: float) -> dict[str, float | NotMeasured]:
    delivery = scenario.delivery
    if isinstance(delivery, Delivery):
        per_device = delivery.device_bytes
        return {"device_bytes": per_device, "delivered_bytes": per_device * delivery.installs * able}
    return {"device_bytes": delivery, "delivered_bytes": delivery}


def _energy(scenario: Scenario, able: float) -> dict[str, float | NotMeasured]:
    energy, use = scenario.energy, scenario.use
    if isinstance(energy, NotMeasured):
        return {"request_energy": energy, "user_energy": energy, "year_energy": energy}
    no_users = NotMeasured(reason="state --users")
    return {
        "request_energy": energy.value,
        "user_energy": no_users if use.users is None else energy.value * use.requests / use.users,
        "year_energy": energy.value * use.requests * YEAR * able,
    }
