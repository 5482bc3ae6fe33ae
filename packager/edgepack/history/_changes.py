"""Changes of medians: the ratio of two states' and its 95 % interval, by Welch's t on the logarithms of rounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.history._entries import Entry
from edgepack.history._since import Since
from edgepack.records import NotMeasured

MARGIN = 0.05  # within which medians of the same bundle come again (runtime/quiet.py): no smaller change counts
# quantile 0.975 of Student's t for 1 to 30 degrees of freedom
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Change:
    """A bundle's median for an input on a device, earlier and now."""

    before: Entry
    now: Entry
    earlier: float  # seconds: the medians of the two states
    later: float
    interval: tuple[float, float] | NotMeasured  # of later / earlier

    @property
    def ratio(self) -> float:
        """The time it takes now as a multiple of the earlier: 1.1 is a tenth slower."""
        return self.later / self.earlier

    @property
    def slower(self) -> bool:
        """True if it is slower by more than MARGIN, and surely slower."""
        return not isinstance(self.interval, NotMeasured) and self.ratio > 1 + MARGIN and self.interval[0] > 1

    @property
    def faster(self) -> bool:
        """True if it is faster by more than MARGIN, and surely faster."""
        return not isinstance(self.interval, NotMeasured) and self.ratio < 1 / (1 + MARGIN) and self.interval[1] < 1


def changes(parted: Since) -> list[Change]:
    """Return the change of everything that was measured, and not disturbed, on both sides.

    Each side is its last state: the measurements of the last manifest and label together.
    """
    before, after = _by_subject(parted.before), _by_subject(parted.after)
    return [_change(before[subject], after[subject]) for subject in after if subject in before]


def _by_subject(entries: Sequence[Entry]) -> dict[tuple[str, ...], list[Entry]]:
    """Return the measurements of each subject's last state."""
    found = dict[tuple[str, ...], list[Entry]]()
    for entry in entries:
        if entry.timing.valid and min(entry.timing.p50, *entry.timing.rounds) > 0:
            own = found.setdefault(entry.subject, [])
            if own and _state(own[-1]) != _state(entry):
                own.clear()
            own.append(entry)
    return found


def _state(entry: Entry) -> tuple[str, str]:
    return entry.label, entry.manifest


def _change(before: Sequence[Entry], after: Sequence[Entry]) -> Change:
    first, second = _logarithms(before), _logarithms(after)
    return Change(
        before=before[-1],
        now=after[-1],
        earlier=math.exp(statistics.mean(first)),
        later=math.exp(statistics.mean(second)),
        interval=_interval(first, second),
    )


def _logarithms(entries: Sequence[Entry]) -> list[float]:
    return [math.log(median) for e in entries for median in (e.timing.rounds or (e.timing.p50,))]


def _interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float] | NotMeasured:
    """Return the interval of exp(mean(second) - mean(first)) (Welch 1947)."""
    if min(len(first), len(second)) < 2:
        return NotMeasured(reason="one round alone does not tell its spread")
    parts = [statistics.variance(side) / len(side) for side in (first, second)]
    middle, error = statistics.mean(second) - statistics.mean(first), math.sqrt(sum(parts))
    if not error:
        return math.exp(middle), math.exp(middle)
    freedom = sum(parts) ** 2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, (first, second), strict=True))
    reach = _T[min(max(int(freedom), 1), len(_T)) - 1] * error
    return math.exp(middle - reach), math.exp(middle + reach)
