"""JUnit XML, which every CI service reads: a test case per check.

A missed limit is a ``failure``; a check that could not be measured is an ``error``, for it did not pass.
"""

from __future__ import annotations

from xml.etree import ElementTree

from edgepack.printable import printable
from edgepack.reports.checks import shown
from edgepack.suites import CheckResult, SuiteResult


def render(result: SuiteResult) -> str:
    """Return the document's text."""
    failed = sum(r.passed is False for r in result.results)
    unmeasured = sum(r.passed is None for r in result.results)
    counts = {"tests": str(len(result.results)), "failures": str(failed), "errors": str(unmeasured)}
    root = ElementTree.Element("testsuites", {"name": "edgepack", **counts})
    named = {"name": printable(result.suite), "hostname": printable(result.device)}
    suite = ElementTree.SubElement(root, "testsuite", {**named, **counts})
    for r in result.results:
        _case(suite, result.bundle, r)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, bundle: str, result: CheckResult) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", {"classname": printable(bundle), "name": printable(result.check.name)}
    )
    if not result.passed:
        kind = "error" if result.passed is None else "failure"
        ElementTree.SubElement(case, kind, {"message": printable(result.reason), "type": result.check.kind})
    ElementTree.SubElement(case, "system-out").text = printable(shown(result))
