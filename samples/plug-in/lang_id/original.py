"""The original, as its authors compute it: fits the Protocol edgepack.original.OriginalRoute."""

from collections.abc import Sequence

from safetensors.numpy import load_file

from edgepack.arrays import Array, Feeds, Outputs, TaskModel
from edgepack.documents import JsonObject
from edgepack.original import Original
from edgepack.plans import Subject
from edgepack.runtime.processing import Processing


class Linear(Original):
    input_difference = None  # its authors have no pre-processing that ours could be compared with
    frees = False

    def __init__(self, subject: Subject) -> None:
        self.source, self.task = subject.source, subject.own_task
        self._weights = subject.source.path / "model.safetensors"

    @property
    def module(self) -> dict[str, Array]:
        tensors: dict[str, Array] = load_file(self._weights)
        return tensors

    def check(self, processing: Processing) -> None:
        """Read the weights, which raises where they cannot be."""
        load_file(self._weights)

    def attach(self, model: TaskModel, processing: Processing) -> TaskModel:
        return model

    def learn(self, feeds: Sequence[Feeds]) -> None:
        pass

    def __call__(self, feeds: JsonObject, /) -> Outputs:
        tensors = self.module
        return {"logits": feeds["counts"] @ tensors["weight"].T + tensors["bias"]}

    def close(self) -> None:
        pass


def open_original(subject: Subject, *, inputs: str, implementation: str) -> Original:
    return Linear(subject)
