"""The rules by which a measurement counts: how long it is, and what must not disturb it. Pure functions of its rounds.

The least numbers of runs and seconds follow MLPerf's (inference_rules): so does that a measurement is made again where
it was disturbed. A median that is not marked is meant to come again within 5 %, so the limits below lie under that.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.records import Conditions, Timing
from edgepack.runtime.rounds import Round

FULL_RUNS, FULL_SECONDS = 100, 10.0
_BUSY = 0.1  # share of the processors that other programs may use
_WAITED = 0.02  # share of its time that a thread may wait for a processor, or lose to the host of a virtual machine
_SLOWER = 0.95  # of a frequency, below which it has fallen
_CAPPED = 0.9  # of the highest frequency, below which a processor without turbo is held back
_DRIFT = 0.03  # between the medians of rounds, and of the halves of one
_HALF = 10  # runs whose median says something
_TICKS = 0.5  # seconds: below, the kernel's ticks of 10 ms are too coarse to tell who used the time
_BRIEF = 0.1  # seconds: below, a wait says nothing about the median
_COOL = 2.0  # degrees Celsius above the first reading at which a machine has cooled down
_NOW = 0xF  # of the Raspberry Pi's bits, those that are about now; the others, about the time since the start
_MODERATE = 2  # Android's thermal status from which on it throttles


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The length of a measurement: at least ``runs`` runs and ``seconds`` seconds, in ``rounds`` processes.

    No run begins after ``longest`` seconds, if any. Where it was disturbed it is measured again, at most ``repeat``
    times, none of which begins later than ``patience`` seconds after the first measurement.
    """

    runs: int = FULL_RUNS
    seconds: float = FULL_SECONDS
    longest: float | None = None
    rounds: int = 3
    repeat: int = 2
    patience: float = 120.0

    def runs_of(self, index: int) -> int:
        """Return the runs of a round: all together, ``runs``."""
        return self.runs // self.count + (index < self.runs % self.count)

    @property
    def count(self) -> int:
        """Number of rounds, each of which has a run."""
        return min(self.rounds, self.runs)


def short(timing: Timing) -> bool:
    """Return whether a measurement has fewer runs or seconds than those that are compared with others need."""
    return timing.runs < FULL_RUNS or not isinstance(timing.seconds, float) or timing.seconds < FULL_SECONDS


def verdict(rounds: Sequence[Round], processors: int) -> str:
    """Return "valid", or what disturbed the measurement in ``rounds``, on a machine that has so many ``processors``."""
    reasons = [
        *_by_others(rounds, processors),
        *_by_heat(rounds),
        *_apart([_halves(each) for each in rounds], "of the halves of a round"),
        *_apart([[each.median for each in rounds if len(each.times) >= _HALF]], "of rounds"),
    ]
    return "; ".join(reasons) or "valid"


def cooled(first: Conditions, now: Conditions) -> bool:
    """Return whether a machine is as cool as it was at ``first``, or does not tell."""
    if first.temperature is None or now.temperature is None:
        return True
    return now.temperature <= first.temperature + _COOL


def _by_others(rounds: Sequence[Round], processors: int) -> list[str]:
    """Look at who else had the processors, in the round in which that was most."""
    reasons = []
    timed = [each for each in rounds if each.counted.wall >= _TICKS]
    others = max((_share(each.counted.others, each.counted.wall * processors) for each in timed), default=0)
    stolen = max((_share(each.counted.stolen, _busy(each)) for each in timed), default=0)
    longer = [each for each in rounds if each.counted.wall >= _BRIEF]
    waited = max((_share(each.counted.waited, _busy(each)) for each in longer), default=0)
    load = rounds[0].before.load
    if others > _BUSY:
        reasons.append(f"other programs used {100 * others:.0f} % of the processors")
    elif rounds[0].counted.others is None and load is not None and load > processors / 2 + rounds[0].where.threads:
        reasons.append(f"{load:.1f} programs ran on {processors} processors")
    if waited > _WAITED:
        reasons.append(f"threads waited {100 * waited:.0f} % of the time for a processor")
    if stolen > _WAITED:
        reasons.append(f"the host of this virtual machine took {100 * stolen:.0f} % of the time")
    return reasons


def _share(counted: float | None, whole: float) -> float:
    return 0.0 if counted is None else counted / whole


def _busy(each: Round) -> float:
    """Return the processor seconds that a round could have."""
    return each.counted.wall * each.where.threads


def _by_heat(rounds: Sequence[Round]) -> list[str]:
    reasons = []
    before, after = rounds[0].before, [each.after for each in rounds]
    bits = 0
    for each in after:
        bits |= each.throttled or 0
    if bits & _NOW or bits & ~(before.throttled or 0):
        reasons.append(f"throttled or under-voltage ({bits:#x})")
    status = max(each.thermal_status or 0 for each in after)
    if status >= _MODERATE:
        reasons.append(f"throttled (thermal status {status})")
    if any(each.headroom is not None and each.headroom <= 0 for each in after):
        reasons.append(f"so hot that the system slows down ({max(each.temperature or 0 for each in after):.0f} °C)")
    return [*reasons, *_by_frequency(rounds)]


def _by_frequency(rounds: Sequence[Round]) -> list[str]:
    known = [each.frequency for one in rounds for each in (one.before, one.after) if each.frequency is not None]
    if not known:
        return []
    slowest, fastest, highest = min(known), max(known), rounds[0].before.highest
    if slowest < _SLOWER * fastest:
        return [f"the frequency fell from {fastest / 1e9:.2f} to {slowest / 1e9:.2f} GHz"]
    if rounds[0].where.isa == "arm64" and highest is not None and slowest < _CAPPED * highest:
        return [f"the frequency was {slowest / 1e9:.2f} GHz of {highest / 1e9:.2f}"]
    return []


def _halves(each: Round) -> list[float]:
    """Return the medians of a round's halves; nothing where they are too short to have one."""
    half = len(each.times) // 2
    return [statistics.median(each.times[:half]), statistics.median(each.times[half:])] if half >= _HALF else []


def _apart(groups: Sequence[Sequence[float]], named: str) -> list[str]:
    """Say how far the medians of a group are apart, in the group where that is most."""
    apart = max((max(medians) / min(medians) - 1 for medians in groups if medians), default=0)
    return [f"the medians {named} are {100 * apart:.1f} % apart"] if apart > _DRIFT else []
