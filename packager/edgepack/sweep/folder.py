"""A sweep's folder: its bundles, its report and, in ``.sweep``, a record for each unit that has ended.

Records are named by digests and written in one step, by the machine that did the work, so that a sweep that was stopped
goes on where it was. A file that names the run is there while it runs: units end when it goes. All machines of a sweep
see the folder under the same path.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from edgepack import outfolder
from edgepack.documents import Json, JsonDict, read_object
from edgepack.errors import EdgepackError, FileTrouble
from edgepack.reports import MARK
from edgepack.runtime import manifest, record_json
from edgepack.sweep._records import BUILD, Result, Sweep, Unit
from edgepack.workfolder import take

REPORT = "sweep.html"
_FOLDER, _IDENTITY, _LOCK, _RUN = ".sweep", "sweep.json", "lock", "run"
_IDENTITY_MARK, _RECORD_MARK = '"sweep":', '"digest":'
_HINT = "choose another folder with out = …"


class SweepFolder:
    """The folder of a sweep, to be read; ``opened`` makes it ready for a run."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / _FOLDER

    @property
    def report(self) -> Path:
        """The place of the report."""
        return self.out / REPORT

    @contextmanager
    def opened(self, sweep: Sweep) -> Iterator[str]:
        """Hold the folder for a run of ``sweep``, and yield the run's name; its units end when this is left.

        Raises FileTrouble: it is another sweep's, runs already, or cannot be written.
        """
        self.check(sweep)
        try:
            for folder in (self.folder, self.folder / "units", self.folder / "running"):
                folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FileTrouble(f"{error.filename} cannot be written: {error.strerror}", hint=_HINT) from error
        try:
            _hold(lock, sweep)
            try:
                yield self._begun(sweep)
            finally:
                self.end()
        finally:
            os.close(lock)

    def _begun(self, sweep: Sweep) -> str:
        identity = {"sweep": sweep.name, "file": str(sweep.file)}
        outfolder.write(self.folder / _IDENTITY, json.dumps(identity) + "\n", mark=_IDENTITY_MARK)
        for left in (self.folder / "running").iterdir():
            left.unlink(missing_ok=True)
        name = secrets.token_hex(8)
        _write_whole(self.folder / _RUN, name)
        return name

    def end(self) -> None:
        """Let the units of the run end."""
        (self.folder / _RUN).unlink(missing_ok=True)

    def check(self, sweep: Sweep) -> None:
        """Raises FileTrouble where the folder belongs to another sweep, or a file of the user's is in the way."""
        outfolder.check_file(self.report, mark=MARK)
        file = self.folder / _IDENTITY
        if not file.is_file():
            return
        there = read_object(file, FileTrouble)
        other = Path(str(there.get("file")))
        if there.get("sweep") != sweep.name or (other != sweep.file and other.exists()):
            raise FileTrouble(
                f"{self.out} belongs to the sweep {there.get('sweep')!r} of {other}",
                hint=f"{_HINT}, or give this sweep the same name",
            )

    def is_current(self, run: str) -> bool:
        """Return whether ``run`` goes on."""
        with suppress(OSError):
            return (self.folder / _RUN).read_text("utf-8") == run
        return False

    def begin(self, digest: str, machine: str) -> None:
        """Note that a unit runs on ``machine``."""
        _write_whole(self.folder / "running" / digest, machine)

    def running(self) -> dict[str, str]:
        """Return the units that run, each with its machine."""
        found = {}
        with suppress(OSError):
            for file in (self.folder / "running").iterdir():
                found[file.name] = file.read_text("utf-8")
        return found

    def finish(self, result: Result) -> None:
        """Record the end of a unit, in one step."""
        text = json.dumps(_finite(asdict(result)), indent=1) + "\n"
        outfolder.write(self._record(result.digest), text, mark=_RECORD_MARK)
        (self.folder / "running" / result.digest).unlink(missing_ok=True)

    def read(self, unit: Unit) -> Result | None:
        """Return the record of ``unit``; None where there is none, or its bundle is not what was recorded."""
        try:
            file = self._record(unit.digest)
            result: Result = record_json.read(Result, read_object(file), file.name)
        except EdgepackError:
            return None
        return result if result.digest == unit.digest and self._holds(unit, result) else None

    def _holds(self, unit: Unit, result: Result) -> bool:
        """Return whether the bundle that a build made is there, in its place, with the bytes that it had."""
        if unit.kind != BUILD or not result.passed:
            return True
        name = str(result.facts.get("bundle"))
        if Path(name).parent != Path(unit.bundle).parent:
            return False
        try:
            listed = manifest.read(self.out / name)
            if listed.sha256 != result.facts.get("manifest"):
                return False
            manifest.verify(listed)
        except (EdgepackError, OSError):
            return False
        return True

    def _record(self, digest: str) -> Path:
        return self.folder / "units" / f"{digest}.json"


def _hold(lock: int, sweep: Sweep) -> None:
    """Take the lock of a sweep's folder, where the file system has locks. Raises FileTrouble where another has it."""
    if take(lock) is False:
        raise FileTrouble(f"the sweep {sweep.name} is already running", hint="wait for it, or stop it")


def _write_whole(file: Path, text: str) -> None:
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    fresh.write_text(text, "utf-8")
    os.replace(fresh, file)


def _finite(value: Json) -> Json:
    """Return JSON values with null in the place of numbers that JSON does not have."""
    if isinstance(value, dict):
        table: JsonDict = {key: _finite(one) for key, one in value.items()}
        return table
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
