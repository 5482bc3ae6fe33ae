"""The original model as a Run: what a bundle is compared with.

A task's route tells how it is computed, by a module of original/routes or a third party's entry point
``edgepack.original.routes``: models that are exported in PyTorch (export.py), language models in numpy from their
description, or in transformers itself where that is asked for (builder.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Protocol, Self, cast

from edgepack import memory, plugins, weights
from edgepack.arrays import Feeds, Outputs, TaskModel
from edgepack.documents import JsonObject
from edgepack.plans import Subject
from edgepack.records import Source
from edgepack.runtime import submodel
from edgepack.runtime.processing import Processing
from edgepack.tasks import AnyTask, Task, submodel_processing

# Before anything imports transformers, which reads it once: it warns of packages that no model here needs
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

TRANSFORMERS = "transformers"  # the implementation that --original and suites can ask for


class Original(Protocol):
    """``original(feeds)`` gives the outputs of the model as it was published, float32."""

    source: Source
    task: Task
    # between the bundle's inputs and the authors' own, the largest so far; None where nothing is compared with theirs
    input_difference: float | None
    frees: bool  # whether ``close`` makes it cheaper to have asked for everything before

    @property
    def module(self) -> Any:
        """The torch.nn.Module, or a language model's Reference, opened on first use: its route knows which."""

    def check(self, processing: Processing) -> None:
        """Open the model and check what can be checked without a conversion. Raises ModelError, as a build would."""

    def attach(self, model: TaskModel, processing: Processing) -> TaskModel:
        """Make ``model``, a task object, compare what its pre-processing makes with what the original's makes."""

    def learn(self, feeds: Sequence[Feeds]) -> None:
        """Prepare to be asked for the outputs of all of ``feeds``."""

    def remember(self, feeds: Feeds, outputs: Outputs) -> None:
        """Take ``outputs`` as what the original makes of ``feeds``, where that saves computing it."""
        return None

    def __call__(self, feeds: JsonObject, /) -> Outputs:
        """Return the task's outputs for ``feeds`` (input name -> array)."""

    def close(self) -> None:
        """Free the weights and keep what was learned for the next build."""

    def forget(self) -> None:
        """Let go of the weights' pages in memory; they are read again when they are used."""
        memory.forget(weights.files(self.source.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class OriginalRoute(Protocol):
    """The contract of original/routes' modules."""

    def open_original(self, subject: Subject, *, inputs: str, implementation: str) -> Original:
        """Open the original of ``subject``; see ``open_original`` here."""


@contextmanager
def open_originals(subject: Subject, *, inputs: str = "", implementation: str = "") -> Iterator[Mapping[str, Original]]:
    """Open the original of each submodel of ``subject``, by name; see ``open_original``. They are closed at the end."""
    with ExitStack() as opened:
        yield {
            name: opened.enter_context(open_original(part, inputs=inputs, implementation=implementation))
            for name, part in subject.submodels.items()
        }


def open_original(subject: Subject, *, inputs: str = "", implementation: str = "") -> Original:
    """Open the original of ``subject``, whose weights are read on first use.

    ``inputs`` is a hash of all inputs that will be asked for; what is computed for them is remembered under it.
    ``implementation`` is TRANSFORMERS for a language model that transformers itself is to compute. Raises UnknownName,
    MissingExtra, UsageError for a route that is none.
    """
    module = plugins.load("original.routes", subject.task.ROUTE)
    plugins.check("original.routes", subject.task.ROUTE, module, OriginalRoute)
    return cast(OriginalRoute, module).open_original(subject, inputs=inputs, implementation=implementation)


def attach(originals: Mapping[str, Original], model: TaskModel, task: AnyTask, processing: Processing) -> TaskModel:
    """Make each part of ``model`` compare what its pre-processing makes with what its original's makes."""
    for name, original in originals.items():
        original.attach(submodel(model, name), submodel_processing(task, processing, name))
    return model
