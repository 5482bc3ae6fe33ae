"""The choice among recipes that were measured: the fastest that keeps the floors, or the finest that is fast enough."""

from __future__ import annotations

import dataclasses

import pytest
from tests.unit.test_reports import TIMING

from edgepack.errors import CheckFailed
from edgepack.records import NotMeasured
from edgepack.suites import Check, CheckResult
from edgepack.tuning import Candidate, chosen, front, report


def candidate(recipe: str, milliseconds: float, cosine: float, floor: float = 0.97) -> Candidate:
    check = Check(kind="agreement", name="cosine mean", metric="cosine", limits={"at_least": floor})
    return Candidate(
        recipe=recipe,
        bytes=1000,
        results=(CheckResult(check=check, value=cosine, passed=cosine >= floor),),
        timings=(dataclasses.replace(TIMING, p50=milliseconds / 1e3, calls=0),),
    )


FOUND = (
    candidate("fp32", 10, 1.0),
    candidate("int8-fine", 9, 0.9997),
    candidate("int8", 6, 0.998),
    candidate("int4", 7, 0.99),
    candidate("int2", 3, 0.5),
    Candidate(recipe="fp16", trouble="no kernel"),
)


def test_the_front_holds_what_nothing_beats() -> None:
    assert front(FOUND) == {"fp32", "int8-fine", "int8", "int2"}


@pytest.mark.parametrize(("within", "best"), [(None, "int8"), (0.0095, "int8-fine"), (1.0, "fp32"), (0.0065, "int8")])
def test_the_choice(within: float | None, best: str) -> None:
    assert chosen(FOUND, within).recipe == best


def test_lower_is_finer_where_a_floor_is_at_most() -> None:
    check = Check(kind="agreement", name="KL mean", metric="kl", limits={"at_most": 0.1})
    found = [
        dataclasses.replace(candidate(name, ms, 0), results=(CheckResult(check=check, value=kl, passed=kl <= 0.1),))
        for name, ms, kl in (("int4", 5, 0.09), ("int8", 6, 0.001), ("int2", 1, 0.5))
    ]
    assert chosen(found, 1.0).recipe == "int8"
    assert chosen(found, None).recipe == "int4"


def test_there_may_be_no_choice() -> None:
    with pytest.raises(CheckFailed, match="at most 1 ms") as raised:
        chosen(FOUND, 0.001)
    assert "the fastest takes 6 ms" in raised.value.hint
    with pytest.raises(CheckFailed, match="no recipe keeps the target's floors"):
        chosen([candidate("int2", 1, 0.5)], None)
    emulated = dataclasses.replace(candidate("int8", 1, 1.0), timings=NotMeasured(reason="the board is emulated"))
    with pytest.raises(CheckFailed, match="the board is emulated"):
        chosen([emulated], None)


def test_the_table_and_the_page() -> None:
    table = report.table(FOUND, front(FOUND), "int8")
    assert [row[0] for row in table.rows] == ["int2", "int8", "int4", "int8-fine", "fp32", "fp16"]
    assert [row[-1] for row in table.rows[:3]] == ["front; misses cosine mean", "chosen; front", None]
    assert table.rows[-1][-1] == "no kernel"
    page = report.page("a model", ("int8 is chosen", True), {}, FOUND, table)
    assert "int8-fine: agreement" in page
