"""Recorders: what the submodels of an original are fed while the original works as its authors wrote it.

One module per kind of model, named by its task (RECORDER); a third party's is an entry point
``edgepack.original.recorders``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from edgepack import plugins
from edgepack.arrays import Array, Feeds, Rows, Run, TaskModel
from edgepack.metrics.images import IMAGE_PSNR, LATENTS_PSNR, ImagePair
from edgepack.original import Original
from edgepack.plans import Subject
from edgepack.records import Accuracy, Where
from edgepack.runtime.processing import Processing
from edgepack.tasks import AnyTask, options
from edgepack.tasks._diffusion import Prompt


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The inputs that a submodel was fed."""

    calibration: Sequence[Feeds]
    agreement: Sequence[Feeds]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A run of the original: what each submodel was fed, by name, and what came out, as its recorder understands it."""

    submodels: Mapping[str, Recorded]
    results: Any  # each recorder has a type of its own


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Figures of a task's object at the work that was recorded, and what it made beside what the original made."""

    accuracy: tuple[Accuracy, ...] = ()
    images: tuple[ImagePair, ...] = ()


class Recorder(Protocol):
    """The contract of this package's modules."""

    @property
    def UNUSED(self) -> tuple[str, ...]:
        """Submodels that take no part in the recorded work."""

    def record(self, subject: Subject, originals: Mapping[str, Original]) -> Recording:
        """Let the original work as its authors wrote it."""

    def completed(self, recording: Recording, processing: Processing) -> Processing:
        """Return ``processing`` with what was learned from the recorded work."""

    def check(
        self, recording: Recording, originals: Mapping[str, Original], around: Callable[[Mapping[str, Run]], TaskModel]
    ) -> tuple[Accuracy, ...]:
        """Let the task's object ``around`` the originals, or their recorded answers, do the same work.

        Is what they are fed, and what comes out, what it was when their authors' code did it?
        """

    def judge(self, recording: Recording, model: TaskModel, floors: Mapping[str, float]) -> Judgement:
        """Let ``model``, the task's object around a bundle's submodels, do the same work, and compare the results."""


class ImageRecorder(Recorder, Protocol):
    """A recorder of what makes images from prompts; a prompt is as it understands it."""

    def prompts(self, rows: Rows, steps: int) -> Sequence[Prompt]:
        """Read the prompts of a data set, of ``steps`` where a row states none. Raises DataError."""

    def own(self, parameters: int, steps: int | None) -> Sequence[Prompt]:
        """Return edgepack's own prompts for a model of so many parameters, in so many steps if any are stated."""

    def images(
        self, subject: Subject, originals: Mapping[str, Original], model: TaskModel, prompts: Sequence[Prompt]
    ) -> tuple[ImagePair, ...]:
        """Let the original, as its authors wrote it, and ``model`` make images of the same prompts."""

    def image(self, model: TaskModel, prompt: Prompt, size: tuple[int, int]) -> tuple[str, Array]:
        """Let ``model`` make an image, uint8 [height, width, 3]; with the prompt's text."""


def image_figures(
    pairs: Sequence[ImagePair], floors: Mapping[str, float], data: str, where: Where | None
) -> tuple[Accuracy, ...]:
    """Return the mean PSNR (dB) of the last latents and of the images."""
    found = {
        LATENTS_PSNR: [pair.by_step[-1] for pair in pairs],
        IMAGE_PSNR: [pair.image_psnr for pair in pairs],
    }
    return tuple(
        Accuracy(
            metric=name,
            compressed=sum(values) / len(values),
            floor=floors.get(name),
            samples=len(values),
            data=data,
            where=where,
        )
        for name, values in found.items()
    )


def recorder(task: AnyTask) -> Recorder | None:
    """Return the recorder that ``task`` names; None where its inputs are made of examples. Raises UnknownName."""
    name = options(task).recorder
    if not name:
        return None
    module = plugins.load("original.recorders", name)
    plugins.check("original.recorders", name, module, Recorder)
    return cast(Recorder, module)
