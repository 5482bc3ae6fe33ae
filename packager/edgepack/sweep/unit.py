"""One unit in a process of its own, on the machine that this runs on: ``edgepack build``, ``validate`` or ``bench``.

The process ends when this one does, at a kill -9 too, and soon after the sweep that it belongs to was stopped.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from edgepack.child import Answer, Child
from edgepack.documents import Json, JsonDict, read_object
from edgepack.errors import EdgepackError, Interrupted
from edgepack.runtime import manifest
from edgepack.sweep._records import BUILD, DONE, FAILED, LOST, VALIDATE, Job, Result
from edgepack.sweep.folder import SweepFolder

_LOOK = 0.2  # seconds between two looks at whether the sweep goes on
_PATIENCE = 10.0  # seconds in which a process may clean up
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MISSED = 1  # the exit code of a check that was missed


def run(job: Job) -> Result:
    """Run a unit to its end and record it, unless its process was stopped from outside."""
    store, started = SweepFolder(job.out), time.monotonic()
    store.begin(job.unit.digest, socket.gethostname())
    environment = dict.fromkeys(_THREADS, str(job.threads))
    with Child("edgepack", *_command(job), environment=environment, folder=job.folder) as child, _watched(job, child):
        answer = child.wait()
    result = _result(job, answer, time.monotonic() - started)
    if result.state != LOST:
        store.finish(result)
    return result


def _command(job: Job) -> list[str]:
    """Return the arguments of the command edgepack."""
    unit = job.unit
    bundle = [] if unit.kind == BUILD else [str(job.out / unit.bundle)]
    return [unit.kind, *bundle, *unit.arguments, "--json"]


@contextmanager
def _watched(job: Job, child: Child) -> Iterator[None]:
    """Stop ``child`` when the run that it belongs to is over, while this is not left."""
    done, store = Event(), SweepFolder(job.out)

    def watch() -> None:
        while not done.wait(_LOOK):
            if not store.is_current(job.run):
                child.terminate()
                if not done.wait(_PATIENCE):
                    child.kill()
                return

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _result(job: Job, answer: Answer, seconds: float) -> Result:
    error, hint = _said(answer)
    state, code = DONE if answer.code == 0 else FAILED, answer.code
    if code < 0 or code == Interrupted.exit_code:
        state, error, hint = LOST, f"its process was stopped{f' by signal {-code}' if code < 0 else ''}", ""
    facts: JsonDict = {}
    try:
        if state == DONE or (job.unit.kind == VALIDATE and code == _MISSED):
            facts = _facts(job, answer)
    except (EdgepackError, OSError, ValueError) as trouble:
        state, error = FAILED, f"its result cannot be read: {trouble}"
    if facts.get("sha256", job.unit.sha256) != job.unit.sha256:
        state, error, hint = FAILED, "the model's files changed while the sweep ran", "start it again"
    return Result(
        digest=job.unit.digest,
        state=state,
        code=code,
        error=error,
        hint=hint,
        seconds=round(seconds, 3),
        machine=socket.gethostname(),
        facts=facts,
    )


def _said(answer: Answer) -> tuple[str, str]:
    """Return the error and the hint that the command ended with; of another end, its last line."""
    lines = answer.errors.splitlines()
    error = next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), "")
    hint = next((line.removeprefix(" hint: ") for line in reversed(lines) if line.startswith(" hint: ")), "")
    return (error or answer.trouble, hint) if answer.code else ("", "")


def _facts(job: Job, answer: Answer) -> JsonDict:
    """Return what a unit told. Raises ValueError, OSError, BundleError."""
    told: Json = json.loads(answer.output)
    if job.unit.kind != BUILD:
        return {"result": told}
    bundle = Path(told[0]["path"])
    listed = manifest.read(bundle)
    return {
        "bundle": os.path.relpath(bundle, job.out),
        "manifest": listed.sha256,
        "sha256": listed.table["source"]["sha256"],
        "recipe": listed.table["recipe"]["name"],
        "bytes": listed.model_bytes,
        "accuracy": read_object(bundle / "measurements.json")["accuracy"],
    }
