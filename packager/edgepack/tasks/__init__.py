"""What a model is for: one light module per task (no PyTorch), and how a task is found from a model's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edgepack import plugins
from edgepack.arrays import Array, Feeds, Outputs
from edgepack.documents import read_object
from edgepack.errors import ModelError, UnsupportedModel


class Task(Protocol):
    """What a module of this package offers; third parties' through the entry points ``edgepack.tasks``."""

    NAME: str
    TITLE: str
    AUTO: str  # the class of transformers that opens the original
    ARCHITECTURES: tuple[str, ...]  # values of config.json's architectures[0]
    OUTPUTS: tuple[str, ...]  # of the packed graph
    MEASURES: tuple[str, ...]  # of agreement, names of metrics/agreement.py
    TRIALS: Mapping[str, Any]  # measures for which the packed model works and the original judges
    INPUTS: tuple[str, ...]  # columns of a data set that is only run, without truth
    COLUMNS: tuple[str, ...]  # that a data set must have
    PAIRS: Mapping[str, tuple[str, ...]]  # columns that may stand in the place of one
    METRICS: Mapping[str, Any]  # name -> (predictions, references) -> float; the first is the main one

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


def find(folder: Path, config: Mapping[str, Any]) -> str:
    """The task that the files of a model tell. Raises UnsupportedModel."""
    own = str(plugins.load_module("edgepack.tasks._sentence_folder").task(folder))
    architecture, model_type = str(config["architectures"][0]), str(config.get("model_type", ""))
    known = [plugins.load("tasks", name) for name in plugins.names("tasks")]
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
