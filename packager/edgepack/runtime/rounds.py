"""A round of measuring: a process of its own loads a model, warms up and times its runs; clock.py judges the rounds.

Run as ``python -m edgepack.runtime.rounds FILE`` it reads a request (JSON) from standard input and answers on
standard output. Its peak memory is the model's and not the caller's.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from edgepack import processors
from edgepack.arrays import Array, Run
from edgepack.documents import JsonDict, JsonObject
from edgepack.records import Conditions, NotMeasured, Where
from edgepack.runtime import conditions, engines, graphs, machine, meter, page_cache
from edgepack.runtime.conditions import Counters
from edgepack.runtime.decoding import Decoding

# What is timed with feeds, and the tokens that it processes: 0 where the model is not a language model
Work = Callable[[Mapping[str, Array]], tuple[Callable[[], object], int]]

_STABLE = 0.05  # medians of the two halves of the warm-up agree this well
_LONGEST_WARMUP = 50  # runs
_LONGEST_WARMUP_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Round:
    """The figures of one input from one process."""

    load: float  # seconds
    cold: bool | NotMeasured  # whether the file was read from the disk, as asked, or why it was not
    first: float
    warmup: int
    times: tuple[float, ...]  # seconds of each run
    counted: Counters  # while they ran
    energy: float | NotMeasured
    peak_memory: int | NotMeasured
    tokens: int
    where: Where
    before: Conditions
    after: Conditions

    @property
    def median(self) -> float:
        """The median of the runs, seconds."""
        return statistics.median(self.times)

    @classmethod
    def read(cls, table: JsonObject) -> Round:
        """Return a round from its JSON form, as this module wrote it."""
        parts = {name: Conditions(**table[name]) for name in ("before", "after")}
        figures = {
            name: NotMeasured(**table[name]) if isinstance(table[name], dict) else table[name]
            for name in ("cold", "energy", "peak_memory")
        }
        where = Where(**{**table["where"], "features": tuple(table["where"]["features"])})
        counted = Counters(**table["counted"])
        return cls(**{**table, **parts, **figures, "where": where, "counted": counted, "times": tuple(table["times"])})


def request(
    inputs: Sequence[tuple[str, Mapping[str, Array]]], threads: int, target_isa: str, *, runs: int, seconds: float
) -> JsonDict:
    """Return what is asked of a measuring process, in JSON's types."""
    return {
        "threads": threads,
        "isa": target_isa,
        "runs": runs,
        "seconds": seconds,
        "longest": None,  # seconds, after which no run begins
        "cold": False,  # whether the file is to be read from the disk
        "inputs": [
            [name, {key: [str(a.dtype), a.shape, a.tobytes().hex()] for key, a in feeds.items()}]
            for name, feeds in inputs
        ],
    }


def serve(opened: Callable[[int], Work], asked: JsonObject, model: Path | None = None) -> list[JsonDict]:
    """Answer a request: ``opened(threads)`` loads the model and gives its work; loading is timed too.

    ``model`` is the file that a cold load reads from the disk.
    """
    cold: bool | NotMeasured = False
    if asked["cold"] and model is not None:
        cold = page_cache.drop(model) or True
    started = time.perf_counter()
    work = opened(asked["threads"])
    load = time.perf_counter() - started
    return [asdict(_one(work, _arrays(feeds), load, cold, asked)) for _, feeds in asked["inputs"]]


def opener(path: Path, asked: JsonObject) -> Callable[[int], Work]:
    """Return a function that opens the model at ``path``: a language model with a cache for the longest input asked.

    What computes it is imported here, so that the import is no part of the load.
    """
    engines.find(str(asked["format"]))

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


def _one(work: Work, feeds: Mapping[str, Array], load: float, cold: bool | NotMeasured, asked: JsonObject) -> Round:
    step, tokens = work(feeds)
    first = _timed(step)
    warmup = _warm_up(step) if first < _LONGEST_WARMUP_SECONDS else 0  # which the first run was
    before, energy, counted = conditions.now(), meter.Reading.now(), Counters.now()
    times: list[float] = []
    started = time.perf_counter()
    while not times or not _enough(len(times), time.perf_counter() - started, asked):
        times.append(_timed(step))
    used = counted.until(Counters.now())
    return Round(
        load=load,
        cold=cold,
        first=first,
        warmup=warmup,
        times=tuple(times),
        counted=used,
        energy=meter.each(energy, meter.Reading.now(), len(times), used.wall),
        peak_memory=machine.peak_memory(),
        tokens=tokens,
        where=machine.where(threads_of(asked), asked["isa"]),
        before=before,
        after=conditions.now(),
    )


def _enough(runs: int, seconds: float, asked: JsonObject) -> bool:
    """Return whether an input was timed as often as asked, or as long as it may be."""
    longest = asked["longest"]
    if longest is not None and seconds >= longest:
        return True
    return bool(runs >= asked["runs"] and seconds >= asked["seconds"])


def threads_of(asked: JsonObject) -> int:
    """Return the threads that a request gets: at most one for each processor."""
    return min(int(asked["threads"]), processors.count())


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
    demand, place = json.load(sys.stdin), Path(sys.argv[1])
    print(json.dumps(serve(opener(place, demand), demand, place)))
