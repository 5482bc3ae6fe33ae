"""What a model is for: one light module per task (no PyTorch), and how a task is found from a model's files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from edgepack import plugins
from edgepack.arrays import Array, Feeds, Outputs, Run
from edgepack.documents import read_object
from edgepack.errors import ModelError, UnsupportedModel


class Task(Protocol):
    """What a module of this package offers; third parties' through the entry points ``edgepack.tasks``.

    A ``model`` is an object of the task's class in runtime/tasks, which differ from each other.
    """

    @property
    def NAME(self) -> str:
        """The task's name, for example text-embedding."""

    @property
    def TITLE(self) -> str:
        """The task in words, for example "a text to its vector"."""

    @property
    def ROUTE(self) -> str:
        """How models come into a format: export (traced in PyTorch) or builder (written from a description)."""

    @property
    def AUTO_CLASS(self) -> str:
        """The class of transformers that opens the original."""

    @property
    def ARCHITECTURES(self) -> tuple[str, ...]:
        """Values of config.json's architectures[0]."""

    @property
    def OUTPUTS(self) -> tuple[str, ...]:
        """Outputs of a bundle's graph; the last is the task's."""

    @property
    def MEASURES(self) -> tuple[str, ...]:
        """Measures of agreement, names of metrics/agreement.py."""

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
    def METRICS(self) -> Mapping[str, Callable[[Any, Any], float]]:
        """Metrics of (predictions, references) by name; the first is the main one."""

    @property
    def TRIALS(self) -> Mapping[str, Callable[[Run, Any, Sequence[Feeds]], Array]]:
        """Measures for which the bundle's model works and the original judges."""

    def processing(self, folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers of pre- and post-processing, for the manifest."""

    def sized(self, processing: Mapping[str, Any], context: int | None) -> dict[str, Any]:
        """``processing`` for at most ``context`` tokens (None: as is usual). Raises UsageError for too many."""

    def limited(self, processing: Mapping[str, Any], lengths: Sequence[int]) -> dict[str, Any]:
        """``processing`` for a model that takes ``lengths`` of tokens at once, ascending (none: any).

        Raises UsageError for lengths that it cannot take.
        """

    def contexts(self, processing: Mapping[str, Any]) -> list[int | None]:
        """What ``sized`` can be asked for, the longest first."""

    def examples(self, processing: Mapping[str, Any]) -> list[Any]:
        """Inputs that edgepack brings: even ones calibrate, odd ones measure agreement."""

    def inputs(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """A data set's inputs, for calibration and agreement."""

    def batches(self, model: Any, examples: Sequence[Any], *, use: str = "") -> list[Feeds]:
        """The feeds of ``examples``, made by the shipping pre-processing.

        Of edgepack's own examples a task may take as many as do for the ``use``: "calibration" or "agreement".
        """

    def golden(self, model: Any, examples: Sequence[Any]) -> list[tuple[Any, Feeds]]:
        """The examples of the bundle's golden vectors, each with its feeds, made by the shipping pre-processing."""

    def rows(self, feeds: Feeds, outputs: Outputs) -> list[Array]:
        """The vectors to compare, one or more per sample, padding left out."""

    def predict(self, model: Any, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """A prediction per row of a data set, in the form that METRICS take."""

    def references(self, rows: Sequence[Mapping[str, Any]], model: Any) -> list[Any]:
        """The truth per row, in the words of ``model``. Raises DataError for what it does not know."""


def load(name: str) -> Task:
    """Load the task ``name``. Raises UnknownName, MissingExtra."""
    return cast(Task, plugins.load("tasks", name))


def find(folder: Path, config: Mapping[str, Any]) -> str:
    """The task that the files of a model tell. Raises UnsupportedModel."""
    own = str(plugins.load_module("edgepack.tasks._sentence_folder").task(folder))
    architecture, model_type = str(config["architectures"][0]), str(config.get("model_type", ""))
    known = [load(name) for name in plugins.names("tasks")]
    for task in known:
        if architecture in task.ARCHITECTURES and not own:
            return str(task.NAME)
    refusals = plugins.load_module("edgepack.tasks._refusals")
    if own and not refusals.kind("", model_type):
        return own
    refused: UnsupportedModel = refusals.refusal(architecture, model_type)
    raise refused


def check(task: str, config: Mapping[str, Any]) -> None:
    """Raises UnsupportedModel for a model that ``task`` is not for: an audio model, pictures for a text task."""
    architecture, model_type = str(config["architectures"][0]), str(config.get("model_type", ""))
    supported = plugins.load_module("edgepack.tasks._supported")
    refusals = plugins.load_module("edgepack.tasks._refusals")
    if task not in supported.TABLE or supported.takes(task, model_type):
        return
    others = [name for name in supported.TABLE if supported.takes(name, model_type)]
    pictures = {name.startswith("image") for name in (task, *others)}
    if refusals.kind("", model_type) or len(pictures) > 1:
        refused: UnsupportedModel = refusals.refusal(architecture, model_type, task)
        raise refused


def unnamed(folder: Path, config: Mapping[str, Any]) -> ModelError:
    """The error for a config.json that names no architectures."""
    error: ModelError = plugins.load_module("edgepack.tasks._refusals").unnamed(folder, config)
    return error


def table(file: Path) -> dict[str, Any]:
    """A JSON object of a model folder, empty where there is no such file. Raises ModelError."""
    if not file.is_file():
        return {}
    return read_object(file, ModelError)
