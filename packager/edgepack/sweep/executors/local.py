"""Units on this machine: some at once, as many as there is memory for; a device is used by one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition

from edgepack import memory, processors
from edgepack.sweep import unit
from edgepack.sweep._records import Job, Result
from edgepack.sweep.planning import Plan


def start(plan: Plan, workers: int | None) -> Local:
    """Return the executor; by default a worker for each processor that the units' threads leave."""
    usual = max(processors.count() // plan.sweep.threads, 1)
    return Local(usual if workers is None else workers, plan.devices, memory.available())


class Local:
    """A thread for each worker, which waits for a process at a time, and one for each device."""

    def __init__(self, workers: int, devices: list[str], room: int | None) -> None:
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers)
        self._devices = {name: ThreadPoolExecutor(1) for name in devices}
        self._room = None if room is None else Room(room)

    @property
    def where(self) -> str:
        """The number of processes."""
        return f"{self._workers} at a time on this machine"

    def submit(self, job: Job) -> Future[Result]:
        """Hand out a unit."""
        device = job.unit.device
        return (self._devices[device] if device else self._pool).submit(self._run, job)

    def stop(self) -> None:
        """Take back what has not begun, and wait for what runs."""
        for pool in (self._pool, *self._devices.values()):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self._pool, *self._devices.values()):
            pool.shutdown(wait=True)

    def _run(self, job: Job) -> Result:
        if self._room is None:
            return unit.run(job)
        with self._room.taken(job.unit.memory):
            return unit.run(job)


class Room:
    """Memory, of which each unit takes what it is estimated to need; one that needs more than there is runs alone."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._left = total
        self._changed = Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Wait until ``wanted`` bytes are left, and hold them."""
        held = min(wanted, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= held)
            self._left -= held
        try:
            yield
        finally:
            with self._changed:
                self._left += held
                self._changed.notify_all()
