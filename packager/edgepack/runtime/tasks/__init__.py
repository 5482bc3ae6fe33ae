"""One class ``Model`` per task: pre-processing, a Run, post-processing, and the task's natural call.

A module is edgepack's own or a third party's entry point ``edgepack.runtime.tasks``. Its ``Model(runs, folder,
processing)`` has ``feeds(examples)``, one batch's inputs, and ``predict(examples)``, a list with one answer for each
example: a number, a text, a record, an array, or a list or dict of those. Where a bundle has several submodels, the
module names those that every bundle has in ``SUBMODELS`` and those that some have in ``OPTIONAL``; a Model of it gives
the object that makes a submodel's inputs by ``submodels[name]``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from edgepack import plugins
from edgepack.arrays import Example, Run
from edgepack.errors import UsageError
from edgepack.runtime.processing import Processing
from edgepack.runtime.submodel import MODEL


class DeviceModel(Protocol):
    """The contract of the objects of a third party's class ``Model``; ``feeds`` is for its own task to call."""

    def predict(self, examples: Sequence[Example]) -> Sequence[object]:
        """Return an answer for each example."""


class MakesModel(Protocol):
    """The type of ``Model``: it makes an object around runs, of which there are none while a bundle is built."""

    def __call__(self, runs: Mapping[str, Run], folder: Path, processing: Processing, /) -> DeviceModel:
        """Return the object of the model in ``folder``."""


class DeviceTask(Protocol):
    """The contract of a module here, or of a third party's entry point ``edgepack.runtime.tasks``."""

    @property
    def Model(self) -> MakesModel:  # noqa: N802 (a class)
        """The class whose objects run a bundle."""


def find(name: str) -> DeviceTask:
    """Find the task ``name``. Raises UnknownName, MissingExtra, UsageError for a module that is none."""
    module = plugins.load("runtime.tasks", name)
    plugins.check("runtime.tasks", name, module, DeviceTask)
    found: object = module.Model
    brought = plugins.distribution("runtime.tasks", name)
    if not callable(found) or (brought != plugins.OURS and not callable(getattr(found, "predict", None))):
        raise UsageError(
            f"{name} (runtime.tasks) of {brought} has a Model that is not a class with a method predict",
            hint=plugins.CONTRACT,
        )
    return cast(DeviceTask, module)


def needed(task: DeviceTask) -> Collection[str]:
    """Return the submodels that every bundle of ``task`` has."""
    found: Collection[str] = getattr(task, "SUBMODELS", (MODEL,))
    return found


def optional(task: DeviceTask) -> Collection[str]:
    """Return the submodels that a bundle of ``task`` may lack."""
    found: Collection[str] = getattr(task, "OPTIONAL", ())
    return found
