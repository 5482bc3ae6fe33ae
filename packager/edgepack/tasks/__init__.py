"""Tasks, what a model is for: one light module each (no PyTorch), found by its name.

_recognition.py tells the task of a model from its files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from edgepack import plugins
from edgepack.activations import Activations
from edgepack.arrays import Array, Example, Feeds, Outputs, Rows, Run, TaskModel
from edgepack.documents import JsonDict, JsonObject, read_object
from edgepack.errors import ModelError
from edgepack.runtime.processing import Processing
from edgepack.runtime.submodel import MODEL
from edgepack.tasks import _defaults, _pipeline_folder, _timm

Axes = Mapping[str, Mapping[int, str]]  # input or output -> the names of its dynamic dimensions


@runtime_checkable
class AnyTask(Protocol):
    """The contract of this package's modules, and of third parties' tasks (entry points ``edgepack.tasks``).

    A ``model`` is an object of the task's class in runtime/tasks, which differ from each other. A task of several
    submodels names them in SUBMODELS; any other is a Task. What else a task may state is in Options.
    """

    @property
    def NAME(self) -> str:
        """The task's name, for example text-embedding."""

    @property
    def TITLE(self) -> str:
        """The task in words, for example "a text to its vector"."""

    @property
    def ROUTE(self) -> str:
        """Route into a format: export (traced in PyTorch) or builder (written from a description)."""

    @property
    def AUTO_CLASS(self) -> str:
        """The class of transformers that opens the original."""

    @property
    def TOKENIZES(self) -> bool:
        """True if a model takes texts, so that its folder holds a tokenizer."""

    @property
    def ARCHITECTURES(self) -> tuple[str, ...]:
        """Values of config.json's architectures[0]."""

    @property
    def INPUTS(self) -> tuple[str, ...]:
        """Columns of a data set that is only run, without truth."""

    @property
    def COLUMNS(self) -> tuple[str, ...]:
        """Columns that a data set must have."""

    @property
    def PAIRS(self) -> Mapping[str, tuple[str, ...]]:
        """Columns that may stand in the place of one."""

    @property
    def METRICS(self) -> Mapping[str, Callable[[Sequence[Example], Sequence[Example]], float]]:
        """Metrics of (predictions, references) by name; the first is the main one."""

    def processing(self, folder: Path, config: JsonObject) -> Processing:
        """Read pre- and post-processing from a model's files, for the manifest."""

    def sized(self, processing: Processing, context: int | None) -> Processing:
        """Return ``processing`` for at most ``context`` tokens (None: as is usual). Raises UsageError for too many."""

    def limited(self, processing: Processing, lengths: Sequence[int]) -> Processing:
        """Return ``processing`` for a model that takes ``lengths`` of tokens at once, ascending (none: any).

        Raises UsageError for lengths that it cannot take.
        """

    def contexts(self, processing: Processing) -> list[int | None]:
        """Return what ``sized`` can be asked for, the longest first."""

    def inputs(self, rows: Rows) -> list[Example]:
        """Return a data set's inputs, for calibration and agreement."""

    def predict(self, model: TaskModel, rows: Rows) -> list[Example]:
        """Return a prediction per row of a data set, in the form that METRICS take."""

    def references(self, rows: Rows, model: TaskModel) -> list[Example]:
        """Return the truth per row, in the words of ``model``. Raises DataError for what it does not know."""


@runtime_checkable
class Task(AnyTask, Protocol):
    """The contract of a task of one submodel, or of a submodel of several: what is compared with an original too."""

    @property
    def OUTPUTS(self) -> tuple[str, ...]:
        """Outputs of a bundle's graph; the last is the task's."""

    @property
    def MEASURES(self) -> tuple[str, ...]:
        """Measures of agreement, names of metrics/agreement.py."""

    @property
    def TRIALS(self) -> Mapping[str, Callable[[Run, TaskModel, Sequence[Feeds]], Array]]:
        """Measures for which the bundle's model works and the original judges."""

    def examples(self, processing: Processing) -> list[Example]:
        """Return inputs that edgepack brings: even ones calibrate, odd ones measure agreement."""

    def batches(self, model: TaskModel, examples: Sequence[Example], *, use: str = "") -> list[Feeds]:
        """Return the feeds of ``examples``, made by the shipping pre-processing.

        Of edgepack's own examples a task may take as many as do for the ``use``: "calibration" or "agreement".
        """

    def golden(self, model: TaskModel, examples: Sequence[Example]) -> list[tuple[Example, Feeds]]:
        """Return the examples of the bundle's golden vectors, each with its feeds, made by the shipping
        pre-processing.
        """

    def rows(self, feeds: Feeds, outputs: Outputs) -> list[Array]:
        """Return the vectors to compare, one or more per sample, padding left out."""


@dataclass(frozen=True, kw_only=True)
class SubmodelTask:
    """One submodel of a task that has several, as a model with a task of its own."""

    task: Task  # its examples, outputs and measures; its AUTO_CLASS opens it from the whole's folder
    runtime: str  # the task whose object in runtime/tasks runs it
    processing: Callable[[Processing], Processing]  # its own part of the whole's
    config: str = ""  # the key of config.json that holds its own settings; "": its folder's config.json
    folder: str = ""  # below the model's, that holds its config.json and weights; "": the model's own
    weights: tuple[str, ...] = ("",)  # what its weights' names begin with
    files: Mapping[str, str] = field(default_factory=dict)  # format -> its file in a bundle, without the suffix
    # The task for the whole's config.json and the submodel's own; None where the model does without this submodel
    adapt: Callable[[JsonObject, JsonObject], Task | None] | None = None

    def task_for(self, whole: JsonObject, own: JsonObject) -> Task | None:
        """Return the task of the submodel in a model with these configs; None where it is not there."""
        return self.task if self.adapt is None else self.adapt(whole, own)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Statements of a task about what is not as usual: constants of its module, by these names in capitals."""

    extra: str = ""  # of its distribution, that brings what models of it take to be built
    tools: tuple[str, ...] = ()  # distributions beside the route's whose versions decide what a build of it gives
    submodels: Mapping[str, SubmodelTask] = field(default_factory=dict)  # by name; none: a model is one
    layouts: tuple[str, ...] | None = None  # of targets that have a use for it; None: all
    optional_columns: tuple[str, ...] = ()  # that rows of a data set may have
    recorder: str = ""  # of original/recorders, that inputs come from; "": they are made of examples
    recorded: bool = False  # of a submodel: its inputs are recorded, so there are none of its authors' to compare
    axes: Axes | None = None  # None: told by running the model
    graph_outputs: tuple[str, ...] = ()  # OUTPUTS in the order that clients expect, where that is another
    weights_aside: bool = False  # they stay out of the trace, for which they may be too large
    cut_at_positions: bool = False  # texts: at config.json's max_position_embeddings too, as sentence-transformers does
    activations: Activations | None = None  # what their memory depends on; None: the longest text, the largest image


def options(task: AnyTask) -> Options:
    """Return what ``task`` states, and the usual for the rest."""
    stated = {each.name: getattr(task, each.name.upper(), None) for each in fields(Options)}
    return Options(**{name: value for name, value in stated.items() if value is not None})


def load(name: str) -> AnyTask:
    """Load the task ``name``. Raises UnknownName, MissingExtra, UsageError for a module that is none."""
    module = plugins.load("tasks", name)
    plugins.check("tasks", name, module, AnyTask if hasattr(module, "SUBMODELS") else Task)
    return cast(AnyTask, module)


def submodels(task: AnyTask) -> Mapping[str, SubmodelTask]:
    """Return the submodels that ``task`` names; none where a model of it is one submodel."""
    return options(task).submodels


def submodel_task(task: AnyTask, name: str) -> Task:
    """Return the task of the submodel ``name`` as a model of its own: ``task`` itself where there is one."""
    if name != MODEL:
        return submodels(task)[name].task
    if not isinstance(task, Task):
        raise TypeError(f"{task.NAME} has several submodels")
    return task


def submodel_processing(task: AnyTask, processing: Processing, name: str) -> Processing:
    """Return the part of ``processing`` that is about the submodel ``name``."""
    return processing if name == MODEL else submodels(task)[name].processing(processing)


def read_model(folder: Path) -> JsonDict:
    """Return what says what the model of ``folder`` is: config.json, or a pipeline's model_index.json.

    Raises ModelError.
    """
    return _pipeline_folder.read(folder) if _pipeline_folder.is_one(folder) else read_config(folder / "config.json")


def read_config(file: Path) -> JsonDict:
    """Return a JSON object of a model folder, empty where there is no such file. Raises ModelError.

    What the config of a pipeline's component leaves out has the value that its class gives it; timm's has the names
    that transformers has for its models.
    """
    if not file.is_file():
        return {}
    return _defaults.filled(_timm.named(read_object(file, ModelError)))
