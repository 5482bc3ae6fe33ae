"""Units as jobs of Slurm, by submitit: each states the processors and the memory that it takes.

Slurm knows nothing of boards, so sweeps with devices do not run on it. Which jobs are left is asked of its queue, since
many clusters keep no accounts (sacct), of which submitit would ask.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from concurrent.futures import Future
from threading import Event, Thread

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from edgepack.errors import FleetError, UsageError
from edgepack.sweep import unit
from edgepack.sweep._records import LOST, Job, Result
from edgepack.sweep.folder import SweepFolder
from edgepack.sweep.planning import Plan

_LOOK = 0.5  # seconds between two looks for answers
_ASK = 5.0  # seconds between two questions for the queue
_GONE = 3  # questions in a row without the job in the queue: its answer would have come, over a slow file system too
_PATIENCE = 60  # seconds for squeue
_NAMES = {"partition": "slurm_partition", "account": "slurm_account", "qos": "slurm_qos"}
_MINUTES = 24 * 60  # that a unit may take, where the sweep does not say


def start(plan: Plan, store: SweepFolder) -> Slurm:
    """Return the executor. Raises UsageError for a sweep with devices, FleetError where there is no Slurm."""
    if plan.devices:
        raise UsageError(
            f"Slurm does not know the device {plan.devices[0]!r}", hint="--on dask://host:8786 shares out boards"
        )
    if shutil.which("sbatch") is None:
        raise FleetError("there is no Slurm here: no command sbatch", hint="start it on a machine that submits jobs")
    executor = submitit.AutoExecutor(folder=store.folder / "slurm", cluster="slurm")
    executor.update_parameters(
        name=f"edgepack-{plan.sweep.name}",
        timeout_min=plan.sweep.slurm.get("minutes", _MINUTES),
        cpus_per_task=plan.sweep.threads,
        **{_NAMES[key]: value for key, value in plan.sweep.slurm.items() if key in _NAMES},
    )
    return Slurm(executor)


class Slurm:
    """Jobs, and a thread that looks which of them have ended."""

    where = "jobs of slurm"

    def __init__(self, executor: submitit.AutoExecutor) -> None:
        self._executor = executor
        self._jobs: dict[Future[Result], tuple[submitit.Job[Result], str]] = {}
        self._missed: dict[str, int] = {}  # by job id: the questions in a row that it was not in the queue
        self._over = Event()
        self._thread = Thread(target=self._follow, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Future[Result]:
        """Hand out a unit."""
        self._executor.update_parameters(mem_gb=max(job.unit.memory / 1e9, 0.1))
        future: Future[Result] = Future()
        try:
            self._jobs[future] = self._executor.submit(unit.run, job), job.unit.digest
        except (FailedJobError, FailedSubmissionError) as error:
            said = str(error).strip().splitlines()[-1:]  # sbatch's last word
            raise FleetError(f"Slurm refused the job: {' '.join(said)}", hint="see [slurm] in the file") from error
        return future

    def stop(self) -> None:
        """Cancel what is left."""
        self._over.set()
        self._thread.join()
        for future, (job, _) in self._jobs.items():
            if not future.done():
                job.cancel(check=False)

    def _follow(self) -> None:
        asked = time.monotonic()
        while not self._over.wait(_LOOK):
            for future, (job, _) in self._open():
                if job.paths.result_pickle.exists():
                    _settle(future, job)
            if time.monotonic() - asked >= _ASK:
                self._ask()
                asked = time.monotonic()

    def _open(self) -> list[tuple[Future[Result], tuple[submitit.Job[Result], str]]]:
        return [(future, told) for future, told in list(self._jobs.items()) if not future.done()]

    def _ask(self) -> None:
        """Give up the jobs that are no longer queued and left no answer: they were stopped from outside."""
        listed = self._open()  # before the question, so that none is too new for the answer
        queued = _queued()
        if queued is None:
            return
        for future, (job, digest) in listed:
            missed = 0 if job.job_id in queued else self._missed.get(job.job_id, 0) + 1
            self._missed[job.job_id] = missed
            if missed >= _GONE and not job.paths.result_pickle.exists():
                said = f"its job {job.job_id} ended without an answer (see {job.paths.stderr})"
                future.set_result(Result(digest=digest, state=LOST, error=said))


def _queued() -> set[str] | None:
    """Return the ids of this user's jobs that wait or run; None where Slurm does not answer now."""
    command = ["squeue", "--noheader", "--format=%i", f"--user={os.getuid()}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return set(done.stdout.split()) if done.returncode == 0 else None


def _settle(future: Future[Result], job: submitit.Job[Result]) -> None:
    """Give ``future`` what its job returned."""
    try:
        future.set_result(job.result())
    except FailedJobError as error:  # what the job raised, with its trace
        future.set_exception(error)
