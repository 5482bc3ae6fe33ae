"""A bill by arithmetic that a calculator repeats, and what must be true of every bill."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.cost import Asked, Bill, Course, Delivery, Egress, Figure, Scenario, Service, Use, bill, scenario
from edgepack.cost.bill import LONGEST, YEAR
from edgepack.errors import UsageError
from edgepack.records import NotMeasured

ROUNDED = 1e-9  # relative: sums of a few float64
UNKNOWN = NotMeasured(reason="not stated")


def spent(course: Course | NotMeasured) -> Course:
    assert isinstance(course, Course)
    return course


def test_the_home_decor_app() -> None:
    """A million daily users who make ten images each, at $1.50 for 1,000 images: 1e6 x 10 / 1000 x 1.50 x 365."""
    made = bill(scenario(Asked(users=1_000_000, each=10, per_thousand=1.50)))
    assert made.hosted.daily == 15_000
    assert made.hosted.first_year == made.hosted.later_years == 5_475_000
    assert isinstance(made.device, NotMeasured)
    assert isinstance(made.mixed, NotMeasured)
    assert isinstance(made.year_energy, NotMeasured)


def decor(**changes: object) -> Bill:
    stated: dict[str, object] = {
        "users": 1_000_000, "each": 10, "per_thousand": 1.50, "size": "600 MB", "installs": 2_000_000, "updates": 2,
        "egress": "0.085", "unable": 0.25, "energy": "40 J",
    }  # fmt: skip
    return bill(scenario(Asked(**{**stated, **changes})))


def test_on_the_devices_and_mixed() -> None:
    made = decor()
    device, mixed = spent(made.device), spent(made.mixed)
    assert device.yearly == pytest.approx(2e6 * 0.6 * 0.085)  # $102,000
    assert device.first_year == pytest.approx(306_000)  # each of 2e6 devices downloads 0.6 GB three times
    assert mixed.first_year == pytest.approx(0.25 * 5_475_000 + 0.75 * 306_000)
    assert made.device_bytes == pytest.approx(1.8e9)
    assert made.delivered_bytes == pytest.approx(0.75 * 2e6 * 1.8e9)
    assert made.request_energy == 40
    assert made.user_energy == pytest.approx(400)
    assert made.year_energy == pytest.approx(0.75 * 1e7 * 365 * 40)


def test_the_day_of_break_even() -> None:
    # 102,000 on the first day; 15,000 - 204,000 / 365 = 14,441.10 saved a day: 7.06 days
    assert spent(decor().device).pays_off(decor().hosted) == 8
    dear = decor(one_off=8e6)  # (8e6 + 2 x 102,000) / 14,441.10 = 568.1: in the second year
    assert spent(dear.device).pays_off(dear.hosted) == 569
    assert spent(dear.device).first_year == pytest.approx(8_306_000)
    assert spent(dear.device).later_years == pytest.approx(306_000)
    assert spent(decor(unable=1.0).mixed).pays_off(decor().hosted) is None  # nobody moves
    assert spent(decor(per_thousand=0.01).device).pays_off(decor(per_thousand=0.01).hosted) is None


def test_an_app_store_delivers_for_nothing() -> None:
    made = decor(egress="0")
    assert spent(made.device).first_year == 0
    assert spent(made.device).pays_off(made.hosted) == 1


def test_a_language_model_is_paid_by_the_token() -> None:
    asked = Asked(requests=1e6, per_million_in=0.15, per_million_out=0.60, tokens_in=800, tokens_out=300)
    assert bill(scenario(asked)).hosted.daily == pytest.approx(1e6 * (800 * 0.15 + 300 * 0.60) / 1e6)  # $300
    embeddings = Asked(requests=1e6, per_million_in=0.02, tokens_in=100)
    assert bill(scenario(embeddings)).hosted.daily == pytest.approx(2.0)
    for lacking in ({"tokens_in": None}, {"per_million_in": None}):
        with pytest.raises(UsageError, match="the input tokens"):
            bill(scenario(replace(asked, **lacking)))


def test_users_who_are_not_stated_leave_their_figure_out() -> None:
    made = decor(users=None, each=None, requests=1e7)
    assert made.user_energy == NotMeasured(reason="state --users")
    assert made.request_energy == 40


money = st.floats(0.01, 1e4)
deliveries = st.builds(
    Delivery,
    size=st.builds(Figure, value=st.floats(1e5, 1e10)),
    installs=st.floats(1, 1e8),
    updates=st.floats(0, 50),
    egress=st.builds(Egress, title=st.just(""), per_gb=st.floats(0, 1)),
)
scenarios = st.builds(
    Scenario,
    use=st.builds(Use, requests=st.floats(1, 1e9)),
    service=st.builds(Service, title=st.just(""), per_thousand=money),
    delivery=deliveries,
    unable=st.builds(Figure, value=st.floats(0, 1)),
    energy=st.just(UNKNOWN),
    one_off=st.none() | st.floats(0, 1e8),
)


@given(scenarios, st.integers(0, 5 * YEAR))
def test_mixed_is_the_sum_of_its_shares(stated: Scenario, days: int) -> None:
    made = bill(stated)
    device, share = spent(made.device), stated.unable.value  # type: ignore[union-attr]
    running = device.total(days) - device.once
    shares = share * made.hosted.total(days) + (1 - share) * running + device.once
    assert spent(made.mixed).total(days) == pytest.approx(shares, rel=ROUNDED, abs=ROUNDED)


@given(scenarios, st.floats(1, 10))
def test_more_of_anything_costs_no_less(stated: Scenario, factor: float) -> None:
    before = bill(stated)
    more = bill(replace(stated, use=Use(requests=stated.use.requests * factor)))
    assert more.hosted.first_year >= before.hosted.first_year
    assert spent(more.mixed).first_year >= spent(before.mixed).first_year * (1 - ROUNDED)
    assert more.device == before.device  # what a device computes costs the app nothing
    delivery = stated.delivery
    assert isinstance(delivery, Delivery)
    for name in ("installs", "updates"):
        larger = bill(replace(stated, delivery=replace(delivery, **{name: getattr(delivery, name) * factor})))
        assert spent(larger.device).first_year >= spent(before.device).first_year * (1 - ROUNDED)
        assert spent(larger.mixed).first_year >= spent(before.mixed).first_year * (1 - ROUNDED)


@given(scenarios, st.floats(0, 1))
def test_mixed_lies_between_both(stated: Scenario, share: float) -> None:
    made = bill(replace(stated, unable=Figure(value=share), one_off=None))
    both = [spent(made.device).first_year, made.hosted.first_year]
    assert min(both) * (1 - ROUNDED) <= spent(made.mixed).first_year <= max(both) * (1 + ROUNDED)


whole = st.integers(0, 2000)


@given(once=whole, yearly=whole, daily=st.integers(0, 10), hosted=st.integers(1, 12))
def test_the_day_of_break_even_is_the_first(once: int, yearly: int, daily: int, hosted: int) -> None:
    """Against the day that is found by looking at each, in whole dollars, which float64 holds exactly."""
    course, other = Course(once=once, yearly=yearly, daily=daily), Course(daily=hosted)
    found = next((day for day in range(1, 12 * YEAR) if course.total(day) <= other.total(day)), None)
    day = course.pays_off(other)
    if daily >= hosted:
        assert day is None  # nothing is saved, so that nothing is paid back
    elif found is None:
        assert day is None or day >= 12 * YEAR
    else:
        assert day == found


def test_after_a_century_it_never_pays_off() -> None:
    assert Course(once=1e9, daily=1).pays_off(Course(daily=2)) is None
    almost = Course(once=LONGEST * YEAR, daily=1).pays_off(Course(daily=2))
    assert almost == LONGEST * YEAR


@given(scenarios)
def test_every_figure_is_a_number(stated: Scenario) -> None:
    made = bill(stated)
    for course in (made.hosted, spent(made.device), spent(made.mixed)):
        assert all(map(math.isfinite, (course.once, course.yearly, course.daily, course.total(YEAR))))
