"""Units on a Dask cluster: its scheduler hands them to workers; boards are resources, each used by one at a time.

A board is the resource ``device:NAME`` of the worker beside it, ``dask worker tcp://… --resources "device:pi5=1"``.
Where workers state ``memory`` (bytes), units take their estimates of it; else a worker has to hold as many of the
largest unit as it has threads.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from distributed import Client

from edgepack.documents import JsonDict
from edgepack.errors import FleetError
from edgepack.sweep import digests, unit
from edgepack.sweep._records import Job, Result
from edgepack.sweep.folder import SweepFolder
from edgepack.sweep.planning import Plan
from edgepack.units import size

_PATIENCE = 5  # seconds for the scheduler's first answer
_MEMORY = "memory"
_LOGGERS = ("distributed", "distributed.client", "asyncio")  # what they say of lost connections is told as results


def start(address: str, plan: Plan, store: SweepFolder, run: str) -> Dask:
    """Return the executor, once every worker was asked. Raises FleetError where the cluster cannot run ``plan``."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:  # what cannot be reached, and what is no address
        raise FleetError(
            f"no Dask scheduler answers at {address}", hint="dask scheduler starts one; --on dask://host:8786"
        ) from error
    try:
        workers = client.scheduler_info()["workers"]
        if not workers:
            raise FleetError(f"the scheduler {address} has no workers", hint=f"dask worker {address} --nthreads 1")
        _check_devices(plan.devices, workers, address)
        _check_memory(plan, workers)
        _check_workers(client.run(_told, store.out, plan.sweep.file.parent, run, on_error="return"), store.out)
    except BaseException:
        client.close()
        raise
    return Dask(client, address, workers)


class Dask:
    """A client of a scheduler."""

    def __init__(self, client: Client, address: str, workers: Mapping[str, JsonDict]) -> None:
        self._client, self._address, self._workers = client, address, workers
        self._shares = any(_MEMORY in worker["resources"] for worker in workers.values())

    @property
    def where(self) -> str:
        """The cluster and its number of workers."""
        return f"Dask workers of {self._address}: {len(self._workers)}"

    def submit(self, job: Job) -> Future[Result]:
        """Hand out a unit."""
        asked = {f"device:{job.unit.device}": 1.0} if job.unit.device else {}
        if self._shares:
            asked[_MEMORY] = float(job.unit.memory)
        future: Future[Result] = self._client.get_executor(resources=asked, pure=False).submit(unit.run, job)
        return future

    def stop(self) -> None:
        """Leave the cluster, which lets go of what has not begun; what runs there looks whether its run goes on."""
        self._client.close()


def _told(out: Path, folder: Path, run: str) -> tuple[JsonDict, bool]:
    """Return the worker's versions, and whether it sees the sweep's folders."""
    return digests.versions(), SweepFolder(out).is_current(run) and folder.is_dir()


def _check_devices(needed: Sequence[str], workers: Mapping[str, JsonDict], address: str) -> None:
    """Raises FleetError for a device that is no worker's resource: a unit would wait for it for ever."""
    offered = {name for worker in workers.values() for name, count in worker["resources"].items() if count >= 1}
    for device in needed:
        if f"device:{device}" not in offered:
            boards = sorted(name.removeprefix("device:") for name in offered if name.startswith("device:"))
            raise FleetError(
                f"no worker of {address} has the device {device!r}; they have {', '.join(boards) or 'none'}",
                hint=f'on the machine that reaches it: dask worker {address} --resources "device:{device}=1"',
            )


def _check_memory(plan: Plan, workers: Mapping[str, JsonDict]) -> None:
    """Raises FleetError where the largest unit is more than any worker has, or than a worker without a limit holds."""
    largest = max(plan.units, key=lambda one: one.memory)
    stated = [worker["resources"][_MEMORY] for worker in workers.values() if _MEMORY in worker["resources"]]
    if stated and largest.memory > max(stated):
        raise FleetError(
            f"{largest.name} takes {size(largest.memory)}, by an estimate; no worker states over {size(max(stated))}",
            hint='a larger worker, or memory = "…" in its [[model]] where the estimate is wrong',
        )
    for name, worker in workers.items():
        if not stated and worker["memory_limit"] and worker["nthreads"] * largest.memory > worker["memory_limit"]:
            raise FleetError(
                f"worker {name} has {worker['nthreads']} threads and {size(worker['memory_limit'])}; "
                f"{largest.name} takes {size(largest.memory)}, by an estimate",
                hint=f'start workers with fewer threads, or with --resources "{_MEMORY}={worker["memory_limit"]}"',
            )


def _check_workers(answers: Mapping[str, Any], out: Path) -> None:  # what ``_told`` returns or raises there
    """Raises FleetError for a worker without edgepack, with other versions, or that does not see the folder."""
    own = digests.versions()
    for name, answer in answers.items():
        if isinstance(answer, BaseException):
            raise FleetError(
                f"worker {name} cannot run edgepack: {type(answer).__name__}: {answer}",
                hint="install edgepack[build,fleet] where the workers run",
            )
        versions, sees = answer
        for package in sorted({*own, *versions}):
            if own.get(package) != versions.get(package):
                raise FleetError(
                    f"worker {name} has {package} {versions.get(package)}, and here is {own.get(package)}: bundles "
                    "would differ",
                    hint="install the same versions on all machines of a sweep",
                )
        if not sees:
            raise FleetError(
                f"worker {name} does not see {out}", hint="all machines of a sweep need its folder under the same path"
            )
