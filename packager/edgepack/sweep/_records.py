"""Records of a sweep: its file, its units and their results. They can be pickled, to be sent to other machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgepack.documents import JsonObject

BUILD, VALIDATE, BENCH = "build", "validate", "bench"
DONE, FAILED, LOST = "done", "failed", "lost"


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model and the options that ``edgepack build`` is given for it."""

    model: str
    task: str | None = None
    adapters: tuple[str, ...] = ()
    context: int | None = None
    lengths: tuple[int, ...] = ()
    max_size: str | None = None
    fit: bool = False
    allow_loss: bool = False
    allow_unread: bool = False
    original: str = ""
    memory: int | None = None  # bytes that its build takes; None: an estimate
    folder: str = ""  # below the sweep's, for its bundles

    @property
    def chooses(self) -> bool:
        """True if the build chooses the recipe itself, so that those of the sweep do not multiply it."""
        return self.fit or self.max_size is not None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The content of a sweep's file; paths are already absolute."""

    name: str
    file: Path
    out: Path
    models: tuple[ModelEntry, ...]
    targets: tuple[str, ...]
    recipes: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    threads: int = 1
    exclude: tuple[Mapping[str, str], ...] = ()  # of model, target, recipe, suite, device
    include: tuple[Mapping[str, str], ...] = ()
    slurm: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One process of a sweep: a build, a check or a measurement. Equal digests are equal work."""

    kind: str
    digest: str
    model: str
    target: str
    recipe: str
    bundle: str  # the folder below the sweep's
    arguments: tuple[str, ...]  # of the command edgepack
    memory: int  # bytes, estimated
    sha256: str  # of the model's files
    suite: str = ""
    device: str = ""
    needs: str = ""  # the digest of the unit that makes its bundle

    @property
    def name(self) -> str:
        """The unit in words."""
        what = f"{self.kind} {self.bundle}"
        suite = f" by {self.suite}" if self.suite else ""
        return f"{what}{suite}{f' on {self.device}' if self.device else ''}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A unit as it is handed to a machine: with the sweep's folder and the run that it belongs to."""

    unit: Unit
    out: Path
    folder: Path  # in which the command is started: that of the sweep's file, with what else of a project is there
    run: str
    threads: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """The end of a unit: ``state`` is done, failed or lost (its process was stopped from outside)."""

    digest: str
    state: str
    code: int = 0
    error: str = ""
    hint: str = ""
    seconds: float = 0.0
    machine: str = ""
    attempts: int = 1
    facts: JsonObject = field(default_factory=dict)  # what a build, a check or a measurement told

    @property
    def passed(self) -> bool:
        """True if the unit did its work, and no check was missed."""
        return self.state == DONE
