"""The model's own thread: requests are answered one after the other, and those that wait are counted."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from edgepack.arrays import TaskModel
from edgepack.runtime.serving.exchange import Refused

Answer = Callable[[TaskModel, Callable[[], bool]], Iterator[Any]]  # the model, and whether to stop: the parts


@dataclass
class _Job:
    answer: Answer
    loop: asyncio.AbstractEventLoop
    parts: asyncio.Queue[tuple[str, Any]] = field(default_factory=asyncio.Queue)
    stopped: threading.Event = field(default_factory=threading.Event)

    def tell(self, kind: str, value: Any) -> None:
        """Send a part to the event loop, unless that is gone."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.parts.put_nowait, (kind, value))


class Worker:
    """A thread that opens the model with ``load`` and then runs answers; at most ``waiting`` of them wait."""

    def __init__(self, load: Callable[[], TaskModel], waiting: int) -> None:
        self._load, self._waiting = load, waiting
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._count = 0  # of jobs that are not finished; only the event loop's thread changes it
        self.opened = asyncio.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(asyncio.get_running_loop(),), daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """The requests that are being answered or wait."""
        return self._count

    async def parts(self, answer: Answer) -> AsyncIterator[Any]:
        """Yield the parts of an answer as they are made. Leaving early stops the rest of it.

        Raises Refused (429) where too many wait, and what ``answer`` raises.
        """
        if self._count > self._waiting:
            raise Refused(429, f"{self._waiting} requests wait already", headers={"Retry-After": "1"})
        job = _Job(answer, asyncio.get_running_loop())
        self._count += 1
        self._jobs.put(job)
        try:
            while True:
                kind, value = await job.parts.get()
                if kind == "part":
                    yield value
                elif kind == "end":
                    return
                else:
                    raise value
        finally:
            job.stopped.set()
            self._count -= 1

    def stop(self) -> None:
        """End the thread after what it does now."""
        self._jobs.put(None)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            model = self._load()
        except BaseException as error:  # told to who waits for the model
            self.failure = error
            loop.call_soon_threadsafe(self.opened.set)
            return
        loop.call_soon_threadsafe(self.opened.set)
        while (job := self._jobs.get()) is not None:
            self._answer(model, job)

    def _answer(self, model: TaskModel, job: _Job) -> None:
        if job.stopped.is_set():
            return
        try:
            parts = job.answer(model, job.stopped.is_set)
            for part in parts:
                if job.stopped.is_set():
                    break
                job.tell("part", part)
        except Exception as error:  # raised where the request is
            job.tell("error", error)
        else:
            job.tell("end", None)
