"""A bundle at work on this machine: its speed, its golden vectors, its submodels and its task's calls.

The same questions are asked of a bundle on another device (devices/session.py), where the runtime answers them with
this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Protocol

from edgepack.arrays import Runs, TaskModel
from edgepack.progress import Say, silent
from edgepack.records import NotMeasured, Timing, Where
from edgepack.runtime import (
    clock,
    completeness,
    golden,
    graphs,
    machine,
    model,
    open_submodel,
    open_submodels,
    submodel,
)
from edgepack.runtime.engines import Session, open_session
from edgepack.runtime.golden import GoldenResult
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.one_at_a_time import OneAtATime
from edgepack.runtime.quiet import Rules
from edgepack.runtime.shapes import feeds


class Runner(Protocol):
    """A bundle on a device, this machine or another."""

    @property
    def manifest(self) -> Manifest:
        """The bundle's, as it lies on this machine."""

    @property
    def threads(self) -> int:
        """The threads that are asked for."""

    @property
    def sessions(self) -> Mapping[str, Runs]:
        """The submodels, opened."""

    @property
    def scorers(self) -> Mapping[str, Runs]:
        """The submodels; of a language model what gives the logits of every token, not of the last one alone."""

    def untimed(self, name: str) -> NotMeasured | None:
        """Return why a submodel cannot be timed there; None where it can."""

    def measure(self, name: str, shapes: Sequence[str], rules: Rules, *, say: Say = silent) -> tuple[Timing, ...]:
        """Time a submodel with inputs of these shapes, by the protocol of runtime/clock.py. Raises BundleError."""

    def golden(self, name: str) -> GoldenResult:
        """Run a submodel's golden vectors, from their texts and images on; from the inputs where it has none."""

    def model(self, runs: Mapping[str, Runs] | None = None) -> TaskModel:
        """Return the task's object around ``runs``, by default the scorers."""

    def where(self, name: str) -> Where:
        """Return on what a submodel computes."""


class Here:
    """The Runner of this process."""

    def __init__(self, manifest: Manifest, threads: int | None = None) -> None:
        self.manifest = manifest
        self.threads = threads or manifest.threads

    @cached_property
    def sessions(self) -> Mapping[str, Session]:
        """The submodels, opened; of a pipeline one at a time."""
        if self.manifest.processing.diffusion is None:
            return open_submodels(self.manifest, self.threads)
        return OneAtATime(tuple(self.manifest.models), partial(open_submodel, self.manifest, threads=self.threads))

    @cached_property
    def scorers(self) -> Mapping[str, Session]:
        """The submodels; of a language model what gives the logits of every token, not of the last one alone."""
        if isinstance(self.sessions, OneAtATime):
            return self.sessions
        return {name: self._scorer(name, run) for name, run in self.sessions.items()}

    def untimed(self, name: str) -> NotMeasured | None:
        """Return why a submodel cannot be timed here; None where it can."""
        return clock.untimed(self.manifest.models[name].format)

    def measure(self, name: str, shapes: Iterable[str], rules: Rules, *, say: Say = silent) -> tuple[Timing, ...]:
        """Time a submodel with inputs of these shapes. Raises InputError, BundleError."""
        own = self.manifest.models[name]
        return clock.measure(
            own.path,
            own.format,
            [(shape, feeds(self.manifest, shape, name)) for shape in shapes],
            rules,
            threads=self.threads,
            target_isa=self.manifest.isa,
            say=say,
        )

    def golden(self, name: str) -> GoldenResult:
        """Run a submodel's golden vectors, from their texts and images on; from the inputs where it has none."""
        part = submodel(self.model(self.sessions), name)
        make = None if part is None else part.feeds
        return golden.check(self.sessions[name], self.manifest, make, name=name)

    def model(self, runs: Mapping[str, Runs] | None = None) -> TaskModel:
        """Return the task's object around ``runs``, by default the scorers."""
        chosen = self.scorers if runs is None else runs
        return model(self.manifest.task, chosen, self.manifest.folder, self.manifest.processing)

    def where(self, name: str) -> Where:
        """Return this machine, with the runtime and threads of a submodel."""
        run = self.sessions[name]
        return machine.where(run.threads, self.manifest.isa, run.runtime)

    def _scorer(self, name: str, run: Session) -> Session:
        own = self.manifest.models[name]
        whole = graphs.scoring(own.path)
        if run.path == whole:
            return run
        scorer = open_session(whole, own.format, self.threads)
        completeness.check_specs(self.manifest, own, scorer)
        return scorer
