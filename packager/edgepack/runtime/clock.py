"""One protocol for speed on every device: load, first inference, warm-up until stable, then enough runs, in rounds.

An input is measured in several processes one after another (rounds.py): the first reads the model's file from the
disk, and what differs from process to process shows. Where quiet.py finds that a measurement was disturbed, it is made
again.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgepack import child
from edgepack.arrays import Array
from edgepack.documents import Json, JsonObject, parse_json
from edgepack.errors import BundleError
from edgepack.progress import Say, silent
from edgepack.records import Conditions, NotMeasured, Timing, Where
from edgepack.runtime import conditions, engines, machine, quiet
from edgepack.runtime.percentiles import percentile
from edgepack.runtime.quiet import Rules
from edgepack.runtime.rounds import Round, request

EMULATED = NotMeasured(  # of a machine on which a model runs, and is not timed
    reason="an emulated processor's speed means nothing, and the emulator does not count instructions; "
    "run edgepack bench on the device"
)
_EARLIER = {"1 picture": "1 image"}  # inputs as measurements of earlier versions call them
_FIGURES = ("p90", "p99", "cpu", "energy", "load_cold", "seconds")  # which may be not measured
_UNASKED = NotMeasured(reason="a short measurement does not load the model twice")
_UNTOLD = NotMeasured(reason="this machine does not tell what a process used")
_LOOK = 1.0  # seconds between two looks at a temperature
_REST = 0.3  # of a round's seconds, between it and the next
_COOL_DOWN = 60.0  # seconds, at most
_PAUSE = 2.0  # seconds before the first repetition; each later one waits twice as long


def untimed(format: str) -> NotMeasured | None:
    """Return why this machine cannot time models of ``format``; None where it can."""
    if machine.emulated():
        return EMULATED
    return engines.find(format).untimed()


def measure(
    path: Path,
    format: str,
    inputs: Sequence[tuple[str, Mapping[str, Array]]],
    rules: Rules,
    *,
    threads: int,
    target_isa: str,
    say: Say = silent,
) -> tuple[Timing, ...]:
    """Time the model at ``path`` in fresh processes: one Timing per (name, feeds), smallest input first.

    ``say`` is told why something is measured again. Raises BundleError when the model cannot be run there.
    """
    given, start = dict(inputs), conditions.now()

    def attempt(names: Sequence[str]) -> list[tuple[Round, ...]]:
        return _attempt(path, format, [(name, given[name]) for name in names], rules, threads, target_isa, start)

    return repeated(list(given), attempt, rules, say)


def repeated(
    inputs: Sequence[str], attempts: Callable[[Sequence[str]], list[tuple[Round, ...]]], rules: Rules, say: Say
) -> tuple[Timing, ...]:
    """Time ``inputs``, and those whose measurement was disturbed again; ``attempts`` gives the rounds of each.

    ``say`` is told why something is measured again.
    """
    named, found, attempt, ended = list(inputs), dict[str, Timing](), 1, 0.0
    while named:
        made = attempts(named)
        for name, each in zip(named, made, strict=True):
            found[name] = _better(found.get(name), replace(pooled(name, each), attempts=attempt))
        ended = ended or time.monotonic()
        named = [name for name in named if not found[name].valid]
        pause = _PAUSE * 2 ** (attempt - 1)
        if attempt > rules.repeat or time.monotonic() + pause > ended + rules.patience:
            break
        for name in named:
            say(f"measuring {name} again: {found[name].verdict}")
        if named:
            time.sleep(pause)
        attempt += 1
    return tuple(found[name] for name in inputs)


def ask(module: str, argument: str, asked: JsonObject) -> tuple[Round, ...]:
    """Let ``module`` measure a round in a process of its own. Raises BundleError with its last word when it cannot."""
    done = child.run(module, argument, request=json.dumps(asked))
    if done.code != 0:
        raise BundleError(f"the model could not be timed: {done.trouble or f'exit code {done.code}'}")
    return tuple(Round.read(entry) for entry in parse_json(done.output, "the timing process's answer"))


def pooled(what: str, made: Sequence[Round]) -> Timing:
    """Return the measurement of an input from its rounds."""
    times = [seconds for each in made for seconds in each.times]
    warm = [each.load for each in made if each.cold is False] or [each.load for each in made]
    joules = [each.energy for each in made]
    known = [value for value in joules if not isinstance(value, NotMeasured)]
    return Timing(
        what=what,
        load=statistics.median(warm),
        load_cold=_cold(made[0]),
        first=statistics.median(each.first for each in made),
        warmup=sum(each.warmup for each in made),
        runs=len(times),
        seconds=sum(each.counted.wall for each in made),
        p50=statistics.median(times),
        p90=percentile(times, 0.9),
        p99=percentile(times, 0.99),
        rounds=tuple(each.median for each in made),
        cpu=_cpu(made, len(times)),
        peak_memory=_peak(made),
        where=made[0].where,
        verdict=quiet.verdict(made, os.cpu_count() or 1),
        tokens=made[0].tokens,
        energy=statistics.mean(known) if len(known) == len(made) else joules[0],
        before=made[0].before,
        after=made[-1].after,
    )


def _cpu(made: Sequence[Round], runs: int) -> float | NotMeasured:
    used = [each.counted.own for each in made]
    known = [seconds for seconds in used if seconds is not None]
    return sum(known) / runs if len(known) == len(used) else _UNTOLD


def _peak(made: Sequence[Round]) -> int | NotMeasured:
    known = [each.peak_memory for each in made if not isinstance(each.peak_memory, NotMeasured)]
    return max(known) if len(known) == len(made) else made[0].peak_memory


def timing(table: JsonObject) -> Timing:
    """Return a Timing from its JSON form."""
    figures = {key: _figure(table[key]) for key in _FIGURES if key in table}
    if isinstance(table["peak_memory"], dict):
        figures["peak_memory"] = NotMeasured(reason=table["peak_memory"]["reason"])
    what = _EARLIER.get(table["what"], table["what"])
    states = {key: Conditions(**table[key]) for key in ("before", "after") if table.get(key) is not None}
    rounds = tuple(table.get("rounds", ()))
    return Timing(**{**table, **figures, **states, "what": what, "where": where(table["where"]), "rounds": rounds})


def where(table: JsonObject) -> Where:
    """Return a Where from its JSON form."""
    return Where(**{**table, "features": tuple(table.get("features", ()))})


def _attempt(
    path: Path,
    format: str,
    inputs: Sequence[tuple[str, Mapping[str, Array]]],
    rules: Rules,
    threads: int,
    target_isa: str,
    start: Conditions,
) -> list[tuple[Round, ...]]:
    """Return the rounds of each input."""

    def one(index: int) -> tuple[Round, ...]:
        asked = request(inputs, threads, target_isa, runs=rules.runs_of(index), seconds=rules.seconds / rules.count)
        asked |= {"format": format, "cold": rules.count > 1 and index == 0}
        asked["longest"] = None if rules.longest is None else rules.longest / rules.count
        return ask("edgepack.runtime.rounds", str(path), asked)

    return in_rounds(one, rules, start)


def in_rounds(one: Callable[[int], tuple[Round, ...]], rules: Rules, start: Conditions) -> list[tuple[Round, ...]]:
    """Return the rounds of each input; ``one(index)`` makes a round of all. Between rounds the machine cools down."""
    made = [one(0)]
    for index in range(1, rules.count):
        _cool_down(start, _REST * rules.seconds / rules.count)
        made.append(one(index))
    return list(zip(*made, strict=True))


def _cool_down(start: Conditions, rest: float) -> None:
    """Wait for ``rest`` seconds, and then until the machine is as cool as at the start, or a minute is over."""
    time.sleep(rest)
    latest = time.monotonic() + _COOL_DOWN
    while not quiet.cooled(start, conditions.now()) and time.monotonic() < latest:
        time.sleep(_LOOK)


def _better(earlier: Timing | None, now: Timing) -> Timing:
    """Return the valid one of two attempts, or else the faster, which was disturbed less."""
    if earlier is None:
        return now
    best = now if now.valid or now.p50 < earlier.p50 else earlier
    return replace(best, attempts=now.attempts)


def _cold(first: Round) -> float | NotMeasured:
    if isinstance(first.cold, NotMeasured):
        return first.cold
    return first.load if first.cold else _UNASKED


def _figure(value: Json) -> float | NotMeasured:
    return NotMeasured(reason=value["reason"]) if isinstance(value, dict) else float(value)
