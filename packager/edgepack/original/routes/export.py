"""A PyTorch model as the original, its outputs remembered by the hash of their inputs.

PyTorch is imported when an output is asked for that is not remembered; a second target, and a second build with
the same inputs, need none. ``close`` frees the weights before the conversion allocates its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgepack import cache, memory, plugins
from edgepack.arrays import Array, Example, Feeds, Outputs, TaskModel
from edgepack.documents import JsonDict
from edgepack.original import Original, matching
from edgepack.plans import Subject
from edgepack.runtime import model as task_model
from edgepack.runtime.processing import Processing
from edgepack.tasks import options

if TYPE_CHECKING:  # PyTorch is imported when the module is opened
    from torch import nn

_OUTPUTS, _FILE = "outputs", "outputs.npz"  # of the cache
_FEW = 2  # inputs of a check: a model that takes one may fail over a batch
_MATCHED = ("text", "image", "audio")  # the pre-processing that a task object may have


class TorchOriginal(Original):
    """The module of ``subject`` as a Run; ``inputs``, a hash of all that will be asked for, names the cache entry."""

    frees = True

    def __init__(self, subject: Subject, inputs: str) -> None:
        self.source, self.task = subject.source, subject.own_task
        self.input_difference: float | None = None if options(self.task).recorded else 0.0
        self._module: nn.Module | None = None
        self._facts: JsonDict = {}
        self._memory: dict[str, Array] = {}
        self._theirs: dict[str, Feeds] = {}  # by the digest of the bundle's, until they are used
        wanted = self.task.OUTPUTS
        self._names = tuple(name for name in wanted if name != "last_hidden_state" or name == wanted[-1])
        self._news = False
        if inputs:
            self._facts = {
                "model": self.source.name,
                "sha256": self.source.sha256,
                "task": self.task.NAME,
                "inputs": inputs,
                "tools": plugins.versions(("torch", "transformers")),
            }
            self._recall()

    @property
    def module(self) -> nn.Module:
        """The torch.nn.Module, opened on first use."""
        if self._module is None:
            opened: nn.Module = plugins.load_module("edgepack.original.pytorch").open_module(self.source, self.task)
            self._module = opened
            self.forget()  # what only the check has looked at
        return self._module

    def check(self, processing: Processing) -> None:
        """Open the model, which checks every weight's name and shape, and run it on two inputs. Raises ModelError."""
        self.module  # noqa: B018 - opened
        if options(self.task).recorded:
            return
        model = self.attach(task_model(self.source.task, {}, self.source.path, processing), processing)
        for feeds in self.task.batches(model, self.task.examples(processing)[:_FEW]):
            self(feeds)

    def __call__(self, feeds: Mapping[str, Array], /) -> Outputs:
        """Return the task's outputs for ``feeds`` (input name -> array), without the bulky hidden states."""
        key = _digest(feeds)
        if f"{key}.{self._names[0]}" not in self._memory:
            run = plugins.load_module("edgepack.original.pytorch").run
            outputs = run(self.module, self._theirs.pop(key, feeds), self._names)
            self._memory |= {f"{key}.{name}": outputs[name] for name in self._names}
            self._news = True
        return {name: self._memory[f"{key}.{name}"] for name in self._names}

    def attach(self, model: TaskModel, processing: Processing) -> TaskModel:
        """Make ``model``, a task object, compare what its pre-processing makes with what the authors' own makes.

        The original is fed the authors' wherever the same inputs are asked for.
        """

        def match(examples: Sequence[Example], ours: Feeds) -> None:
            self._match(examples, ours, processing)

        for name in _MATCHED:
            if hasattr(model, name):
                setattr(model, name, matching.Matched(getattr(model, name), match))
        return model

    def learn(self, feeds: Sequence[Feeds]) -> None:
        """Remember the outputs for all of ``feeds``."""
        for feed in feeds:
            self(feed)

    def remember(self, feeds: Feeds, outputs: Outputs) -> None:
        """Take ``outputs``, which were computed before, for those of ``feeds``; all that are asked for, or none."""
        if set(self._names) <= outputs.keys():
            key = _digest(feeds)
            self._news |= f"{key}.{self._names[0]}" not in self._memory
            self._memory |= {f"{key}.{name}": outputs[name] for name in self._names}

    def close(self) -> None:
        """Free the weights and keep what was learned for the next build."""
        if self._module is not None:
            self._module = None
            memory.release()
        if self._news and self._facts:
            cache.store(_OUTPUTS, self._facts, self._save)
            self._news = False

    def _match(self, examples: Sequence[Example], ours: Feeds, processing: Processing) -> None:
        key = _digest(ours)
        known = all(f"{key}.{name}" in self._memory for name in ("apart", *self._names))
        if not known and key not in self._theirs:
            theirs, apart = plugins.load_module("edgepack.original.inputs").match(
                self.source, self.task, processing, examples, ours
            )
            self._theirs[key] = theirs
            self._memory[f"{key}.apart"] = np.array(apart)
            self._news = True
        apart = float(self._memory[f"{key}.apart"])
        self.input_difference = apart if self.input_difference is None else max(self.input_difference, apart)

    def _save(self, folder: Path) -> None:
        np.savez(folder / _FILE, allow_pickle=False, **self._memory)

    def _recall(self) -> None:
        folder = cache.find(_OUTPUTS, self._facts)
        if folder is not None:
            with np.load(folder / _FILE) as stored:
                self._memory = {name: stored[name] for name in stored.files}


def open_original(subject: Subject, *, inputs: str, implementation: str) -> TorchOriginal:
    """Open ``subject``; see original.open_original. PyTorch is the only implementation there is."""
    return TorchOriginal(subject, inputs)


def _digest(feeds: Mapping[str, Array]) -> str:
    total = hashlib.sha256()
    for name in sorted(feeds):
        array = np.ascontiguousarray(feeds[name])
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(array.data)
    return total.hexdigest()[:32]
