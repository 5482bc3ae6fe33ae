"""What a runtime does in benchmarks/language_models.py, and how it is asked.

A contestant is a process: one command a line on standard input, one JSON line on standard output. The peer_*.py
beside this file each put one runtime behind it, each in an environment of its own; this needs numpy alone.

    prefill N          seconds to read a prompt of N tokens into an empty cache, to the logits of its last
    decode N K         seconds per token: N tokens in the cache, then K more, one at a time, greedily
    logits IDS OUT     int64 ids [windows, tokens] in IDS (.npy) -> float32 [windows, tokens, vocabulary] in OUT (.npy)
    generate N ID...   N greedy ids after the prompt
    memory             the most bytes that this process has had resident
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Contestant(Protocol):
    """A model in a runtime. One sequence at a time; it never stops at an end-of-text token."""

    vocabulary: int

    def start(self, ids: list[int], more: int) -> None:
        """Read ``ids`` into an empty cache that has room for ``more`` tokens, to the logits of the last one."""

    def step(self) -> int:
        """Pick the likeliest token and read it."""

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """float32 [tokens, vocabulary] of ``ids`` [tokens]."""


def serve(make: Callable[[Path, int], Contestant]) -> None:
    """Answer the commands of standard input with the contestant that ``make(model, threads)`` opens."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    started = time.perf_counter()
    contestant = make(arguments.model, arguments.threads)
    print(json.dumps({"load": time.perf_counter() - started}), flush=True)
    for line in sys.stdin:
        name, *words = line.split()
        print(json.dumps(_COMMANDS[name](contestant, *words)), flush=True)


def _prefill(contestant: Contestant, count: str) -> float:
    ids = _prompt(contestant, int(count))
    started = time.perf_counter()
    contestant.start(ids, 8)
    return time.perf_counter() - started


def _decode(contestant: Contestant, count: str, more: str) -> float:
    contestant.start(_prompt(contestant, int(count)), int(more) + 8)
    contestant.step()
    started = time.perf_counter()
    for _ in range(int(more)):
        contestant.step()
    return (time.perf_counter() - started) / int(more)


def _logits(contestant: Contestant, ids: str, out: str) -> list[int]:
    found = np.stack([contestant.logits(window) for window in np.load(ids)])
    np.save(out, found)
    return list(found.shape)


def _generate(contestant: Contestant, more: str, *ids: str) -> list[int]:
    contestant.start([int(one) for one in ids], int(more) + 8)
    return [contestant.step() for _ in range(int(more))]


def _memory(contestant: Contestant) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def _prompt(contestant: Contestant, count: int) -> list[int]:
    """The same ids for everyone, none of them special."""
    return np.random.default_rng(0).integers(3, contestant.vocabulary, count).tolist()


_COMMANDS: dict[str, Callable[..., Any]] = {
    "prefill": _prefill, "decode": _decode, "logits": _logits, "generate": _generate, "memory": _memory,
}  # fmt: skip
