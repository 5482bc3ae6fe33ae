"""Where units run: on this machine, on a Dask cluster or by Slurm. Each is a ``concurrent.futures`` executor inside."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol, cast

from edgepack import plugins
from edgepack.errors import UsageError
from edgepack.sweep._records import Job, Result
from edgepack.sweep.folder import SweepFolder
from edgepack.sweep.planning import Plan

_DASK, _PORT = "dask://", 8786
SLURM = "slurm"


class Executor(Protocol):
    """A way to run units, made by the ``start`` of this package's modules."""

    @property
    def where(self) -> str:
        """The place where units run, in words."""

    def submit(self, job: Job) -> Future[Result]:
        """Hand out a unit."""

    def stop(self) -> None:
        """Take back what has not begun, and wait for what runs here to end; its run is over already."""


def start(on: str, plan: Plan, store: SweepFolder, run: str, *, workers: int | None) -> Executor:
    """Return the executor that ``on`` names, for the run ``run``: "" for this machine, dask://HOST:PORT, or slurm.

    Raises UsageError, MissingExtra, FleetError where it cannot run ``plan``.
    """
    if on and workers is not None:
        raise UsageError("--workers is for this machine alone", hint="a cluster's workers are started there")
    if not on:
        return cast(Executor, plugins.load_module(f"{__name__}.local").start(plan, workers))
    if on == SLURM:
        return cast(Executor, plugins.load_module(f"{__name__}.slurm").start(plan, store))
    if on.startswith(_DASK) and on != _DASK:
        address = on.removeprefix(_DASK).rstrip("/")
        host, _, port = address.rpartition(":") if ":" in address else (address, "", str(_PORT))
        return cast(Executor, plugins.load_module(f"{__name__}.dask").start(f"tcp://{host}:{port}", plan, store, run))
    raise UsageError(f"--on {on}: not a place to run units", hint="--on dask://host:8786, --on slurm, or none")
