"""Units as jobs of Slurm, by submitit: each states the processors and the memory that it takes.

Slurm knows nothing of boards, so sweeps with devices do not run on it.
"""

from __future__ import annotations

import shutil
from concurrent.futures import Future
from threading import Event, Thread

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError

from edgepack.errors import FleetError, UsageError
from edgepack.sweep import unit
from edgepack.sweep._records import LOST, Job, Result
from edgepack.sweep.folder import SweepFolder
from edgepack.sweep.planning import Plan

_LOOK = 0.5  # seconds between two looks at the jobs; submitit asks Slurm itself once a minute
_NAMES = {"partition": "slurm_partition", "account": "slurm_account", "qos": "slurm_qos"}
_MINUTES = 24 * 60  # that a unit may take, where the sweep does not say


def start(plan: Plan, store: SweepFolder, *, cluster: str = "slurm") -> Slurm:
    """Return the executor; ``cluster`` is submitit's name, "local" for processes of this machine.

    Raises UsageError for a sweep with devices, FleetError where there is no Slurm.
    """
    if plan.devices:
        raise UsageError(
            f"Slurm does not know the device {plan.devices[0]!r}", hint="--on dask://host:8786 shares out boards"
        )
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise FleetError("there is no Slurm here: no command sbatch", hint="start it on a machine that submits jobs")
    executor = submitit.AutoExecutor(folder=store.folder / "slurm", cluster=cluster)
    named = {_NAMES[key]: value for key, value in plan.sweep.slurm.items() if key in _NAMES}
    executor.update_parameters(
        name=f"edgepack-{plan.sweep.name}",
        timeout_min=plan.sweep.slurm.get("minutes", _MINUTES),
        cpus_per_task=plan.sweep.threads,
        **(named if cluster == "slurm" else {}),
    )
    return Slurm(executor)


class Slurm:
    """Jobs, and a thread that looks which of them have ended."""

    def __init__(self, executor: submitit.AutoExecutor) -> None:
        self._executor = executor
        self._jobs: dict[Future[Result], tuple[submitit.Job[Result], str]] = {}
        self._over = Event()
        self._thread = Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def where(self) -> str:
        """The cluster."""
        return f"jobs of {self._executor.cluster}"

    def submit(self, job: Job) -> Future[Result]:
        """Hand out a unit."""
        self._executor.update_parameters(mem_gb=max(job.unit.memory / 1e9, 0.1))
        future: Future[Result] = Future()
        try:
            self._jobs[future] = self._executor.submit(unit.run, job), job.unit.digest
        except FailedSubmissionError as error:
            raise FleetError(f"Slurm refused the job: {error}", hint="see [slurm] in the sweep's file") from error
        return future

    def stop(self) -> None:
        """Cancel what is left."""
        self._over.set()
        self._thread.join()
        for future, (job, _) in self._jobs.items():
            if not future.done():
                job.cancel(check=False)

    def _follow(self) -> None:
        while not self._over.wait(_LOOK):
            for future, (job, digest) in list(self._jobs.items()):
                if not future.done() and job.done():
                    _settle(future, job, digest)


def _settle(future: Future[Result], job: submitit.Job[Result], digest: str) -> None:
    """Give ``future`` what its job returned; a job that ended without an answer was stopped from outside."""
    try:
        future.set_result(job.result())
    except FailedJobError as error:  # what the job raised, with its trace
        future.set_exception(error)
    except UncompletedJobError:
        said = f"its job {job.job_id} ended without an answer ({job.state})"
        future.set_result(Result(digest=digest, state=LOST, error=said))
