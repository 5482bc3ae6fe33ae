"""Measurements of a bundle for the checks of one suite, each made once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from edgepack import comparison, tasks
from edgepack.arrays import Run
from edgepack.data import DataSpec
from edgepack.original import Original, attach
from edgepack.records import Accuracy, Timing, Where
from edgepack.runtime import clock, completeness, golden, graphs, machine, open_submodels, submodel
from edgepack.runtime import model as task_model
from edgepack.runtime.engines import Session, open_session
from edgepack.runtime.golden import GoldenResult
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.processing import Processing
from edgepack.runtime.shapes import calls, feeds
from edgepack.tasks import Task, read_model, submodel_processing, submodel_task

RUNS, _SECONDS = 64, 1.0  # of a speed check: enough for a p90


@dataclass
class Measured:
    """The bundle of ``manifest`` beside its ``originals`` by submodel; none where they are not here."""

    manifest: Manifest
    originals: Mapping[str, Original]
    threads: int
    accuracy: list[Accuracy] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    pairs: list[tuple[float, float]] = field(default_factory=list)
    timings: dict[tuple[str, str, int], Timing] = field(default_factory=dict)
    _references: dict[tuple[str, str], Timing] = field(default_factory=dict)
    _agreed: dict[tuple[str, str, str], comparison.Agreement] = field(default_factory=dict)
    _scored: dict[str, comparison.Scores] = field(default_factory=dict)

    @cached_property
    def task(self) -> Task:
        """The bundle's task."""
        return tasks.load(self.manifest.task)

    @cached_property
    def runs(self) -> Mapping[str, Session]:
        """The submodels, opened."""
        return open_submodels(self.manifest, self.threads)

    @cached_property
    def scorers(self) -> Mapping[str, Session]:
        """The submodels; of a language model what gives the logits of every token, not of the last one alone."""
        return {name: self._scorer(name, run) for name, run in self.runs.items()}

    def task_of(self, name: str) -> Task:
        """Return the task of a submodel as a model of its own."""
        return submodel_task(self.task, name)

    def agreement(self, name: str, trial: str, data: DataSpec | None) -> comparison.Agreement:
        """Compare a submodel with its original on ``data``, or edgepack's own inputs, or in a ``trial`` of the task."""
        key = (name, trial, repr(data))
        if key not in self._agreed:
            self._agreed[key] = self._agreement(name, trial, data)
            found, whose = self._agreed[key], self.manifest.label_of(name)
            self.accuracy += [replace(figure, submodel=whose) for figure in found.accuracy]
            for measure, values in found.samples.items():
                self.samples[f"{whose} {measure}".strip()] = [float(value) for value in values]
        return self._agreed[key]

    def scores(self, data: DataSpec) -> comparison.Scores:
        """Measure the task's metrics on ``data``, of the bundle and of the original where it is here."""
        key = repr(data)
        if key not in self._scored:
            found = comparison.metric(
                self.matched(self.originals) if self.originals else None,
                self.model(self.scorers),
                self.task,
                comparison.rows(self.task, data),
                name=data.name,
                floors={},
                where=self._where(next(iter(self.manifest.models))),
            )
            self._scored[key] = found
            self.accuracy += found.accuracy
            self.pairs += _numbers(found)
        return self._scored[key]

    def golden(self, name: str) -> GoldenResult:
        """Run the golden vectors of a submodel, from their texts and pictures on; from the inputs where it has none."""
        part = submodel(self.model(self.runs), name)
        make = None if part is None else part.feeds
        return golden.check(self.runs[name], self.manifest, make, name=name)

    def timing(self, name: str, shape: str, runs: int) -> Timing:
        """Time a submodel with inputs of a shape."""
        key = (name, shape, runs)
        if key not in self.timings:
            own = self.manifest.models[name]
            (made,) = clock.measure(
                own.path,
                own.format,
                [(shape, feeds(self.manifest, shape, name))],
                threads=self.threads,
                target_isa=self.manifest.isa,
                runs=runs,
                seconds=_SECONDS,
            )
            self.timings[key] = replace(made, submodel=self.manifest.label_of(name), calls=calls(self.manifest, name))
        return self.timings[key]

    def reference(self, name: str, shape: str) -> Timing:
        """Time a submodel's original with the same input, in PyTorch on this machine."""
        key = (name, shape)
        if key not in self._references:
            source, made = self.originals[name].source, feeds(self.manifest, shape, name)
            if mix := self.manifest.processing.mix:  # the original takes its own channels
                made = {key: value[:, : len(mix)] for key, value in made.items()}
            asked = clock.request([(shape, made)], self.threads, self.manifest.isa, RUNS, _SECONDS)
            asked |= {
                "task": self.manifest.task,
                "submodel": name,
                "path": str(source.path),
                "model_type": source.model_type,
                "name": source.name,
                "adapter": str(source.adapter_path) if source.adapter_path else None,
            }
            (self._references[key],) = clock.ask("edgepack.original.clock", source.name, asked)
        return self._references[key]

    def model(self, runs: Mapping[str, Run]) -> Any:
        """Return the task's object around ``runs``."""
        return task_model(self.manifest.task, runs, self.manifest.folder, self.manifest.processing)

    def matched(self, runs: Mapping[str, Run]) -> Any:
        """Return the task's object around ``runs``, whose inputs are compared with what the originals' authors make."""
        made = task_model(self.manifest.task, runs, self.manifest.folder, self._own_processing)
        return attach(self.originals, made, self.task, self._own_processing)

    @cached_property
    def _own_processing(self) -> Processing:
        """The bundle's, or the original's where the bundle's graph does a part of it."""
        if not self.manifest.processing.mix:
            return self.manifest.processing
        folder = next(iter(self.originals.values())).source.path
        return self.task.processing(folder, read_model(folder))

    def _agreement(self, name: str, trial: str, data: DataSpec | None) -> comparison.Agreement:
        task, original, where = self.task_of(name), self.originals[name], self._where(name)
        examples = task.examples(submodel_processing(self.task, self.manifest.processing, name))[1::2]
        if data is not None:
            examples = task.inputs(comparison.rows(task, data, task.INPUTS))
        use, called = ("", data.name) if data else ("agreement", "")
        model = submodel(self.matched(self.runs), name)
        made = task.batches(model, examples, use=use)
        if trial:
            return comparison.trial(original, model, task, made, name=trial, where=where, data=called)
        plain = submodel(self.model(self.runs), name)
        shipped = task.batches(plain, examples, use=use) if self.manifest.processing.mix else ()
        return comparison.agreement(
            original, self.scorers[name], task, made, floors={}, where=where, data=called, shipped=shipped
        )

    def _scorer(self, name: str, run: Session) -> Session:
        own = self.manifest.models[name]
        whole = graphs.scoring(own.path)
        if run.path == whole:
            return run
        scorer = open_session(whole, own.format, self.threads)
        completeness.check_specs(self.manifest, own, scorer)
        return scorer

    def _where(self, name: str) -> Where:
        run = self.runs[name]
        return machine.where(run.threads, self.manifest.isa, run.runtime)


def _numbers(scores: comparison.Scores) -> list[tuple[float, float]]:
    """Return (original, bundle) predictions where they are numbers, for the scatter plot."""
    if scores.original is None or not isinstance(scores.compressed[0], float):
        return []
    return list(zip(scores.original, scores.compressed, strict=True))
