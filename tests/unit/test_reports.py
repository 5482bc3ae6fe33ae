"""Reports: self-contained HTML, JUnit that others read, JSON."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from edgepack import reports
from edgepack.records import Accuracy, Bundle, Component, NotMeasured, Timing, Where
from edgepack.reports import data, junit, plots
from edgepack.suites import Check, CheckResult, SuiteResult

WHERE = Where(machine="Board <1>", isa="arm64", os="Linux", runtime="onnxruntime 1", threads=4, target=True)
TIMING = Timing(
    what="1x32", load=0.1, first=0.02, warmup=10, runs=64, p50=0.004, p90=0.005,
    p99=NotMeasured(reason="64 runs are too few for a p99"), cpu=0.008, peak_memory=10**8, where=WHERE,
)  # fmt: skip


@pytest.fixture
def result() -> SuiteResult:
    size = Check(kind="size", name="size", limits={"at_most": 24e6})
    load = Check(kind="load", name="load & more", limits={"at_most": 0.5})
    return SuiteResult(
        suite="release",
        bundle="b",
        results=(
            CheckResult(check=size, value=23e6, passed=True),
            CheckResult(check=size, value=25e6, passed=False, reason="misses at_most 24e6"),
            CheckResult(check=load, value=NotMeasured(reason="no original"), reason="no original"),
        ),
        accuracy=(Accuracy(metric="spearman", packed=0.86, original=0.87, interval=(-0.02, 0.001), samples=10),),
        timings=(TIMING,),
        samples={"cosine": [0.99, 0.98, 1.0]},
        pairs=[(0.1, 0.11), (0.9, 0.88)],
    )


def alone(page: str) -> bool:
    """Whether a page needs nothing from outside."""
    return not re.search(r"(src|href)\s*=|@import|url\(|<script|<link", page)


def test_the_suite_s_page(result: SuiteResult) -> None:
    components = [Component(name="mlp", parameters=100, bytes=110)]
    page = reports.of_suite(result, components, {"bundle": "<b>"})
    assert alone(page)
    assert "1 of 3 checks passed" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "load &amp; more" in page
    assert page.count("<svg") == page.count('role="img" aria-label=') == 5
    assert "8.80" in page  # bits per weight


def test_the_build_s_page(minilm: Bundle) -> None:
    page = reports.of_bundle(minilm, {"cosine": [0.99, 1.0], "sqnr_db": [20.0, 30.0]})
    assert alone(page)
    assert "keeps its floors" in page
    assert "token_type_embeddings" in page


def test_junit(result: SuiteResult) -> None:
    root = ElementTree.fromstring(junit.render(result))
    (suite,) = root
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    assert [[child.tag for child in case] for case in suite] == [
        ["system-out"],
        ["failure", "system-out"],
        ["error", "system-out"],
    ]


def test_json(result: SuiteResult) -> None:
    table = json.loads(json.dumps(data.of_suite(result)))
    assert table["passed"] is False
    assert [check["passed"] for check in table["checks"]] == [True, False, None]
    assert table["checks"][2]["value"] == {"reason": "no original"}


@pytest.mark.parametrize("values", [[0.5], [1.0] * 4, [1 - 2**-53, 1.0], [0.1, 0.9]])
def test_values_however_close_have_a_histogram(values: list[float]) -> None:
    drawn = ElementTree.fromstring(plots.histogram(values, "cosine"))
    bars = drawn.findall(".//{*}rect[@class='mark']")
    assert sum(int(str(bar[0].text).rsplit(": ")[-1]) for bar in bars) == len(values)


def test_what_is_not_the_target_says_so(result: SuiteResult) -> None:
    other = Timing(**{**vars(TIMING), "where": Where(**{**vars(WHERE), "target": False})})
    assert "not the target" in str(reports.speed_table([other]).rows)
    assert "not the target" not in str(reports.speed_table([TIMING]).rows)
