"""One protocol for speed on every device: load, first inference, warm-up until stable, then enough runs.

Percentiles follow MLPerf LoadGen's early stopping rule (inference_rules, appendix "Early Stopping Criterion"): with
99 % confidence the true percentile is no larger than the value reported, so a p90 needs 64 runs and a p99 662.

Run as ``python -m edgepack.runtime.clock FILE`` it reads a request (JSON) from standard input and answers on
standard output: a process of its own, whose peak memory is the model's and not the caller's.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from edgepack import child
from edgepack.arrays import Array, Run
from edgepack.documents import Json, JsonDict, JsonObject, parse_json
from edgepack.errors import BundleError
from edgepack.records import NotMeasured, Timing, Where
from edgepack.runtime import engines, graphs, machine, meter
from edgepack.runtime.decoding import Decoding

# What is timed with feeds, and the tokens that it processes: 0 where the model is not a language model
Work = Callable[[Mapping[str, Array]], tuple[Callable[[], object], int]]

_CONFIDENCE = 0.99
_STABLE = 0.05  # medians of the two halves of the warm-up agree this well
_LONGEST_WARMUP = 50  # runs
_LONGEST_WARMUP_SECONDS = 3.0
_EARLIER = {"1 picture": "1 image"}  # inputs as measurements of earlier versions call them


def untimed(format: str) -> NotMeasured | None:
    """Return why this machine cannot time models of ``format``; None where it can."""
    if machine.emulated():
        return NotMeasured(reason="an emulated processor says nothing about speed; run edgepack bench on the device")
    return engines.find(format).untimed()


def measure(
    path: Path,
    format: str,
    inputs: Sequence[tuple[str, Mapping[str, Array]]],
    *,
    threads: int,
    target_isa: str,
    runs: int = 64,
    seconds: float = 2.0,
    longest: float | None = None,
) -> tuple[Timing, ...]:
    """Time the model at ``path`` in a fresh process: one Timing per (name, feeds), smallest input first.

    Each is measured for at least ``runs`` runs and ``seconds`` seconds, but no run begins after ``longest`` seconds, if
    any. Raises BundleError when the model
    cannot be run there.
    """
    asked = {**request(inputs, threads, target_isa, runs, seconds), "longest": longest}
    return ask("edgepack.runtime.clock", str(path), {"format": format, **asked})


def request(
    inputs: Sequence[tuple[str, Mapping[str, Array]]],
    threads: int,
    target_isa: str,
    runs: int,
    seconds: float,
) -> JsonDict:
    """Return what is asked of a measuring process, in JSON's types."""
    return {
        "threads": threads,
        "isa": target_isa,
        "runs": runs,
        "seconds": seconds,
        "inputs": [
            [name, {key: [str(a.dtype), a.shape, a.tobytes().hex()] for key, a in feeds.items()}]
            for name, feeds in inputs
        ],
    }


def ask(module: str, argument: str, request: JsonObject) -> tuple[Timing, ...]:
    """Let ``module`` measure in a process of its own. Raises BundleError with its last word when it cannot."""
    done = child.run(module, argument, request=json.dumps(request))
    if done.code != 0:
        raise BundleError(f"the model could not be timed: {done.trouble or f'exit code {done.code}'}")
    return tuple(timing(entry) for entry in parse_json(done.output, "the timing process's answer"))


def timing(table: JsonObject) -> Timing:
    """Return a Timing from its JSON form."""
    percentiles = {key: _figure(table[key]) for key in ("p90", "p99", "energy") if key in table}
    what = _EARLIER.get(table["what"], table["what"])
    return Timing(**{**table, **percentiles, "what": what, "where": Where(**table["where"])})


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


def _figure(value: Json) -> float | NotMeasured:
    return NotMeasured(reason=value["reason"]) if isinstance(value, dict) else float(value)


def serve(opened: Callable[[int], Work], asked: JsonObject) -> list[JsonDict]:
    """Answer a request: ``opened(threads)`` loads the model and gives its work; loading is timed too."""
    started = time.perf_counter()
    work = opened(asked["threads"])
    load = time.perf_counter() - started
    return [asdict(_one(work, name, _arrays(feeds), load, asked)) for name, feeds in asked["inputs"]]


def opener(path: Path, asked: JsonObject) -> Callable[[int], Work]:
    """Return a function that opens the model at ``path``: a language model with a cache for the longest input asked."""

    def opened(threads: int) -> Work:
        session = engines.open_session(graphs.generating(path), str(asked["format"]), threads)
        if not session.decodes:
            return one_pass(session)
        made = session.decoding(max(_length(_arrays(feeds)) for _, feeds in asked["inputs"]))
        made.reserve(made.longest)
        return partial(_by_token, made)

    return opened


def _length(feeds: Mapping[str, Array]) -> int:
    return sum(array.shape[-1] for array in feeds.values())


def one_pass(run: Run) -> Work:
    """Return the work of a model that is not a language model: a run."""
    return lambda feeds: (partial(run, feeds), 0)


def _by_token(run: Decoding, feeds: Mapping[str, Array]) -> tuple[Callable[[], object], int]:
    """Return the work of a language model: to process ``input_ids``, or the first of them after ``past_ids``."""
    past, new = (feeds[name][0].tolist() for name in ("past_ids", "input_ids"))
    if past:
        run.prefill(past)

    def step() -> None:
        run.rewind(len(past))
        run.step(new[0])

    def prefill() -> None:
        run.rewind(0)
        run.prefill(new)

    return (step, 1) if past else (prefill, len(new))


def _arrays(feeds: JsonObject) -> dict[str, Array]:
    return {
        key: np.frombuffer(bytes.fromhex(data), dtype).reshape(shape) for key, (dtype, shape, data) in feeds.items()
    }


def _one(work: Work, name: str, feeds: Mapping[str, Array], load: float, asked: JsonObject) -> Timing:
    step, tokens = work(feeds)
    first = _timed(step)
    warmup = _warm_up(step) if first < _LONGEST_WARMUP_SECONDS else 0  # which the first run was
    before, cpu = machine.state(), time.process_time()
    counted, began = meter.Reading.now(), time.perf_counter()
    times = [_timed(step)]
    started = time.perf_counter()
    while not _enough(len(times), time.perf_counter() - started, asked):
        times.append(_timed(step))
    energy = meter.each(counted, meter.Reading.now(), len(times), time.perf_counter() - began)
    used = (time.process_time() - cpu) / len(times)
    return Timing(
        what=name,
        load=load,
        first=first,
        warmup=warmup,
        runs=len(times),
        p50=statistics.median(times),
        p90=percentile(times, 0.9),
        p99=percentile(times, 0.99),
        cpu=used,
        peak_memory=machine.peak_memory(),
        where=machine.where(threads_of(asked), asked["isa"]),
        verdict=machine.verdict(before, machine.state()),
        tokens=tokens,
        energy=energy,
    )


def _enough(runs: int, seconds: float, asked: JsonObject) -> bool:
    """Return whether an input was timed as often as asked, or as long as it may be."""
    longest = asked.get("longest")
    if longest is not None and seconds >= longest:
        return True
    return bool(runs >= asked["runs"] and seconds >= asked["seconds"])


def threads_of(asked: JsonObject) -> int:
    """Return the threads that a request gets: at most what the machine has."""
    return min(int(asked["threads"]), os.cpu_count() or 1)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _warm_up(work: Callable[[], object]) -> int:
    """Run until the later half is as fast as the earlier one; how many runs that took."""
    times: list[float] = []
    while len(times) < _LONGEST_WARMUP and sum(times) < _LONGEST_WARMUP_SECONDS:
        times.append(_timed(work))
        half = len(times) // 2
        if half >= 5:
            early, late = statistics.median(times[:half]), statistics.median(times[half:])
            if abs(late - early) <= _STABLE * early:
                break
    return len(times)


if __name__ == "__main__":
    demand = json.load(sys.stdin)
    print(json.dumps(serve(opener(Path(sys.argv[1]), demand), demand)))
