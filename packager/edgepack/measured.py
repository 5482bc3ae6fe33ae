"""Measurements of a bundle for the checks of one suite, each made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import cast

from edgepack import comparison, tasks
from edgepack.arrays import Run, TaskModel
from edgepack.data import DataSpec
from edgepack.errors import UsageError
from edgepack.metrics import clip_judge
from edgepack.metrics.clip_judge import Similarity
from edgepack.metrics.images import ImagePair
from edgepack.original import Original, attach, recorders
from edgepack.original.recorders import ImageRecorder, Recording, image_figures
from edgepack.plans import Subject
from edgepack.records import Accuracy, Timing
from edgepack.runtime import clock, rounds, submodel
from edgepack.runtime import model as task_model
from edgepack.runtime.golden import GoldenResult
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.one_at_a_time import without
from edgepack.runtime.processing import Diffusion, Processing
from edgepack.runtime.quiet import Rules
from edgepack.runtime.runner import Runner
from edgepack.runtime.shapes import calls, feeds
from edgepack.tasks import AnyTask, Task, read_model, submodel_processing, submodel_task
from edgepack.tasks._diffusion import Prompt

RUNS, _SECONDS = 64, 1.0  # of a speed check: enough for a p90


@dataclass
class Measured:
    """The bundle of ``runner`` beside its ``originals`` by submodel; none where they are not here."""

    runner: Runner
    originals: Mapping[str, Original]
    accuracy: list[Accuracy] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    pairs: list[tuple[float, float]] = field(default_factory=list)
    timings: dict[tuple[str, str, int], Timing] = field(default_factory=dict)
    subject: Subject | None = None  # whose originals they are
    images: list[ImagePair] = field(default_factory=list)
    _recording: Recording | None = None
    _made: dict[str, tuple[ImagePair, ...]] = field(default_factory=dict)
    _judged: dict[str, Similarity] = field(default_factory=dict)
    _references: dict[tuple[str, str], Timing] = field(default_factory=dict)
    _agreed: dict[tuple[str, str, str], comparison.Agreement] = field(default_factory=dict)
    _scored: dict[str, comparison.Scores] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.runner.manifest

    @cached_property
    def task(self) -> AnyTask:
        """The bundle's task."""
        return tasks.load(self.manifest.task)

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
                self.runner.model(),
                self.task,
                comparison.rows(self.task, data),
                name=data.name,
                floors={},
                where=self.runner.where(next(iter(self.manifest.models))),
            )
            self._scored[key] = found
            self.accuracy += found.accuracy
            self.pairs += _numbers(found)
        return self._scored[key]

    def made(self, data: DataSpec | None, steps: int | None) -> tuple[ImagePair, ...]:
        """Let the original and the bundle make images of the prompts of ``data``, or of edgepack's own."""
        assert self.subject is not None  # the originals are here
        key = repr((data, steps))
        if key not in self._made:
            prompts = self._prompts(data, steps)
            pairs = self._recorder.images(self.subject, self.originals, self._picturing, prompts)
            self._made[key] = pairs
            self.images += pairs
            said = data.name if data else "edgepack's own prompts"
            self.accuracy += image_figures(pairs, {}, f"{said}, equal seeds", self.runner.where("unet"))
        return self._made[key]

    def similarity(self, clip: Path, data: DataSpec | None, steps: int | None) -> Similarity:
        """Let the bundle of CLIP at ``clip`` judge the images by their prompts. Raises UsageError, BundleError."""
        key = repr((clip, data, steps))
        if key not in self._judged:
            judge = clip_judge.open_judge(clip)
            if self.originals:
                pairs = self.made(data, steps)
                shown = [(pair.prompt, pair.compressed) for pair in pairs]
                original = clip_judge.cosines(judge, [(pair.prompt, pair.original) for pair in pairs])
            else:
                size = self.manifest.processing.section(Diffusion)
                prompts = self._prompts(data, steps)
                shown = [self._recorder.image(self._picturing, one, (size.height, size.width)) for one in prompts]
                original = None
            self._judged[key] = Similarity(clip_judge.cosines(judge, shown), original)
        return self._judged[key]

    @cached_property
    def makes_images(self) -> bool:
        """True if the bundle makes images from prompts."""
        return self.manifest.processing.diffusion is not None

    @cached_property
    def _recorder(self) -> ImageRecorder:
        return cast(ImageRecorder, recorders.recorder(self.task))

    @cached_property
    def _picturing(self) -> TaskModel:
        """The task's object without what takes no part when images are compared."""
        return self.runner.model(without(self.runner.sessions, self._recorder.UNUSED))

    def _prompts(self, data: DataSpec | None, steps: int | None) -> Sequence[Prompt]:
        if data is None:
            return self._recorder.own(int(self.manifest.table["source"]["parameters"]), steps)
        usual = self.manifest.processing.section(Diffusion).steps if steps is None else steps
        return self._recorder.prompts(comparison.rows(self.task, data), usual)

    def golden(self, name: str) -> GoldenResult:
        """Run the golden vectors of a submodel, from their texts and images on; from the inputs where it has none."""
        return self.runner.golden(name)

    def timing(self, name: str, shape: str, runs: int) -> Timing:
        """Time a submodel with inputs of a shape."""
        key = (name, shape, runs)
        if key not in self.timings:
            (made,) = self.runner.measure(name, [shape], _rules(runs))
            self.timings[key] = replace(made, submodel=self.manifest.label_of(name), calls=calls(self.manifest, name))
        return self.timings[key]

    def reference(self, name: str, shape: str) -> Timing:
        """Time a submodel's original with the same input, in PyTorch on this machine."""
        key = (name, shape)
        if key not in self._references:
            source, made = self.originals[name].source, feeds(self.manifest, shape, name)
            if mix := self.manifest.processing.mix:  # the original takes its own channels
                made = {key: value[:, : len(mix)] for key, value in made.items()}
            asked = rounds.request([(shape, made)], self.runner.threads, self.manifest.isa, runs=RUNS, seconds=_SECONDS)
            asked |= {
                "task": self.manifest.task,
                "submodel": name,
                "path": str(source.path),
                "model_type": source.model_type,
                "name": source.name,
                "adapters": [str(path) for path in source.adapter_paths],
            }
            self._references[key] = clock.pooled(shape, clock.ask("edgepack.original.clock", source.name, asked))
        return self._references[key]

    def matched(self, runs: Mapping[str, Run]) -> TaskModel:
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
        if self.makes_images:
            return self._recorded_agreement(name, data)
        task, original, where = self.task_of(name), self.originals[name], self.runner.where(name)
        examples = task.examples(submodel_processing(self.task, self.manifest.processing, name))[1::2]
        if data is not None:
            examples = task.inputs(comparison.rows(task, data, task.INPUTS))
        use, called = ("", data.name) if data else ("agreement", "")
        model = submodel(self.matched(self.runner.sessions), name)
        made = task.batches(model, examples, use=use)
        plain = submodel(self.runner.model(self.runner.sessions), name)
        if trial:
            return comparison.trial(original, plain, task, made, name=trial, where=where, data=called)
        shipped = task.batches(plain, examples, use=use) if self.manifest.processing.mix else ()
        return comparison.agreement(
            original, self.runner.scorers[name], task, made, floors={}, where=where, data=called, shipped=shipped
        )

    def _recorded_agreement(self, name: str, data: DataSpec | None) -> comparison.Agreement:
        """Compare a submodel on what the original's was fed while it made images of edgepack's own prompts."""
        assert self.subject is not None  # the originals are here
        if data is not None:
            raise UsageError(
                "the submodels of a text-to-image model are compared on edgepack's own prompts",
                hint='kind = "psnr" takes data',
            )
        if self._recording is None:
            self._recording = self._recorder.record(self.subject, self.originals)
        fed = self._recording.submodels[name].agreement
        task, where = self.task_of(name), self.runner.where(name)
        return comparison.agreement(self.originals[name], self.runner.sessions[name], task, fed, floors={}, where=where)


def _rules(runs: int) -> Rules:
    return Rules(runs=runs, seconds=_SECONDS, rounds=1, repeat=0)


def _numbers(scores: comparison.Scores) -> list[tuple[float, float]]:
    """Return (original, bundle) predictions where they are numbers, for the scatter plot."""
    if scores.original is None or not isinstance(scores.compressed[0], float):
        return []
    return list(zip(scores.original, scores.compressed, strict=True))
