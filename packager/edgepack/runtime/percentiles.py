"""Percentiles by MLPerf LoadGen's early stopping rule (inference_rules, appendix "Early Stopping Criterion").

With 99 % confidence the true percentile is no larger than the value reported, so a p90 needs 64 runs and a p99 662.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgepack.records import NotMeasured

_CONFIDENCE = 0.99


def percentile(times: Sequence[float], share: float) -> float | NotMeasured:
    """Return the ``share`` quantile (0.9, 0.99) that holds with 99 % confidence; NotMeasured for too few runs."""
    discarded, likely = 0, math.exp(_log_binomial(0, len(times), 1 - share))
    while discarded < len(times):
        likely += math.exp(_log_binomial(discarded + 1, len(times), 1 - share))  # P(X <= discarded + 1)
        if likely > 1 - _CONFIDENCE:
            break
        discarded += 1
    if not discarded:
        return NotMeasured(reason=f"{len(times)} runs are too few for a p{share * 100:.0f}")
    return sorted(times)[-discarded]


def _log_binomial(count: int, total: int, chance: float) -> float:
    """Return ln P(X = count) for X binomial over ``total`` tries; in logarithms, since thousands of runs overflow."""
    ways = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    return ways + count * math.log(chance) + (total - count) * math.log1p(-chance)
