"""Results as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict

from edgepack.documents import JsonDict
from edgepack.suites import CheckResult, SuiteResult


def of_suite(result: SuiteResult) -> JsonDict:
    """Return a suite's result, for ``--json`` and the file beside the HTML report."""
    return {
        "suite": result.suite,
        "bundle": result.bundle,
        "device": result.device,
        "passed": result.passed,
        "checks": [_check(r) for r in result.results],
        "accuracy": [asdict(a) for a in result.accuracy],
        "timings": [asdict(t) for t in result.timings],
    }


def _check(result: CheckResult) -> JsonDict:
    value = result.value if isinstance(result.value, float | int) else {"reason": result.value.reason}
    return {
        "name": result.check.name,
        "kind": result.check.kind,
        "limits": dict(result.check.limits),
        "value": value,
        "original": result.original,
        "interval": result.interval,
        "passed": result.passed,
        "reason": result.reason,
        "where": None if result.where is None else asdict(result.where),
    }
