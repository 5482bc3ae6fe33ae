"""The records of a build before its work: what was asked for, and each bundle that this leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from edgepack import fit, weights
from edgepack.data import DataSpec
from edgepack.documents import JsonObject
from edgepack.records import Recipe, Source, Target
from edgepack.runtime.processing import Processing
from edgepack.runtime.submodel import MODEL
from edgepack.tasks import (
    AnyTask,
    SubmodelTask,
    Task,
    load,
    options,
    read_config,
    read_model,
    submodel_processing,
    submodel_task,
    submodels,
)
from edgepack.weights import Stored

# What float32 keeps beside PyTorch: below, the graph computes something else
_UNROUNDED = {
    "cosine_mean": 0.9999,
    "cosine_min": 0.9999,
    "kl_mean": 1e-4,
    "latents_psnr": 70.0,  # dB
    "image_psnr": 45.0,
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to build."""

    model: str
    targets: tuple[str, ...]
    recipes: tuple[str, ...] = ()  # none: the target's default for the model
    task: str | None = None
    adapters: tuple[str, ...] = ()  # LoRAs to merge into the model, one after the other
    out: Path = Path("dist")
    overrides: Mapping[str, JsonObject] = field(default_factory=dict)
    calibration: DataSpec | None = None
    evaluation: DataSpec | None = None
    context: int | None = None  # tokens of a language model's bundle; None: as is usual
    lengths: tuple[int, ...] = ()  # numbers of tokens that a model takes; none: any
    max_size: int | None = None  # bytes of a model whose weights each get the precision that fits best
    fit: bool = False  # the finest recipe and the longest context that fit, where none is asked for
    allow_loss: bool = False
    original: str = ""  # "transformers": language models too are compared with transformers itself
    allow_unread: bool = False  # go on where config.json has settings that nobody understood
    measure_speed: bool = True
    force: bool = False  # replace in ``out`` what is not edgepack's


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The model that a request is about: its source, its task and its config.json; or a submodel of it, by name.

    A submodel's ``source.path`` may be the whole model's folder: its own weights there begin with one of ``weights``.
    """

    source: Source
    task: AnyTask
    config: JsonObject
    name: str = MODEL
    weights: tuple[str, ...] = ("",)

    @classmethod
    def of(cls, source: Source) -> Subject:
        """Read the config.json of ``source``. Raises ModelError, UnknownName."""
        return cls(source=source, task=load(source.task), config=read_model(source.path))

    @cached_property
    def processing(self) -> Processing:
        """The model's pre- and post-processing, at its full context. Raises ModelError, UnsupportedModel."""
        return self.task.processing(self.source.path, self.config)

    @cached_property
    def submodels(self) -> Mapping[str, Subject]:
        """Each submodel by name, as a model of its own, those that the model has; the model itself where it is one."""
        parts = {name: part for name, part in submodels(self.task).items() if part.folder in self.source.folders}
        found = {name: self._submodel(name, part) for name, part in parts.items()}
        return {name: subject for name, subject in found.items() if subject is not None} or {MODEL: self}

    @cached_property
    def tensors(self) -> Sequence[Stored]:
        """The stored weights of this model alone. Raises DamagedWeights."""
        stored = (tensor for file in weights.files(self.source.path) for tensor in weights.tensors(file))
        return [tensor for tensor in stored if tensor.name.startswith(self.weights)]

    @property
    def own_task(self) -> Task:
        """The task of a model that is one submodel; TypeError for others."""
        return submodel_task(self.task, MODEL)

    def processing_of(self, name: str, processing: Processing) -> Processing:
        """Return the part of ``processing`` that is about the submodel ``name``."""
        return submodel_processing(self.task, processing, name)

    def estimate(self, recipe: Recipe, processing: Processing, format: str) -> fit.Estimate:
        """Estimate the memory of a bundle in ``format``."""
        return fit.together(
            fit.estimate(
                each.source,
                recipe,
                each.config,
                self.processing_of(name, processing),
                options(each.task).activations,
                format=format,
            )
            for name, each in self.submodels.items()
        )

    def _submodel(self, name: str, part: SubmodelTask) -> Subject | None:
        folder = self.source.path / part.folder
        config = self.config[part.config] if part.config else read_config(folder / "config.json")
        task = part.task_for(self.config, config)
        if task is None:
            return None
        source = replace(
            self.source,
            path=folder,
            folders=("",),
            task=part.runtime,
            architecture=task.AUTO_CLASS,
            model_type=str(config.get("model_type", config.get("_class_name", ""))),
        )
        made = Subject(source=source, task=task, config=config, name=name, weights=part.weights)
        parameters = sum(tensor.parameters for tensor in made.tensors)
        return replace(made, source=replace(source, parameters=parameters))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One bundle that a request leads to, and the memory that it is estimated to need."""

    name: str
    subject: Subject
    target: Target
    recipe: Recipe
    processing: Processing
    need: fit.Estimate

    @property
    def source(self) -> Source:
        """The model's."""
        return self.subject.source

    @property
    def task(self) -> AnyTask:
        """The model's."""
        return self.subject.task

    @property
    def own_task(self) -> Task:
        """The task of a model that is one submodel; TypeError for others."""
        return self.subject.own_task

    @property
    def config(self) -> JsonObject:
        """The model's config.json."""
        return self.subject.config

    @cached_property
    def submodels(self) -> Mapping[str, Plan]:
        """Each submodel's plan by name."""
        return {
            name: replace(self, subject=part, processing=self.subject.processing_of(name, self.processing))
            for name, part in self.subject.submodels.items()
        }

    @property
    def floors(self) -> Mapping[str, float]:
        """The figures that the bundle must keep: the target's, and of unrounded weights close agreement."""
        stated = self.target.floors.of(self.source.task)
        return {**stated, **_UNROUNDED} if self.recipe.scheme == "fp32" else stated

    @property
    def fits(self) -> bool:
        """True if the target has the memory."""
        return self.need.total <= self.target.profile.memory
