"""The original model as a Run: its outputs, remembered by the hash of their inputs.

PyTorch is imported when an output is asked for that is not remembered; a second target, and a second build with
the same inputs, need none. ``close`` frees the weights before the conversion allocates its own. A language model is
computed in numpy instead, from its description, and remembers states (decoder.py): its logits are large.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import numpy as np

from edgepack import cache, memory, plugins, weights
from edgepack.arrays import Feeds, Outputs
from edgepack.original import matching
from edgepack.records import Source
from edgepack.runtime import model as task_model

_OUTPUTS, _FILE = "outputs", "outputs.npz"  # of the cache
_FEW = 2  # inputs of a check: a model that takes one may fail over a batch
TRANSFORMERS = "transformers"  # the implementation that --original and suites can ask for


class Original:
    """``original(feeds)`` gives the outputs of the PyTorch model, float32.

    ``inputs`` is a hash of all inputs that will be asked for; it names the cache entry. ``implementation`` is
    TRANSFORMERS for a language model that transformers itself computes, in memory.
    """

    def __init__(self, source: Source, task: ModuleType, *, inputs: str = "", implementation: str = "") -> None:
        self.source, self.task = source, task
        self._module: Any = None
        described = "causal" if implementation == TRANSFORMERS else "decoder"
        self._engine = f"edgepack.original.{'pytorch' if task.AUTO else described}"
        self._facts: dict[str, Any] = {}
        self._memory: dict[str, np.ndarray] = {}
        self._theirs: dict[str, Feeds] = {}  # by the digest of the bundle's, until they are used
        self._names = tuple(name for name in task.OUTPUTS if name != "last_hidden_state")
        self._news = False
        self.input_difference = 0.0  # between the bundle's inputs and the authors' own, the largest so far
        if inputs and task.AUTO:
            self._facts = {
                "model": source.name,
                "sha256": source.sha256,
                "task": task.NAME,
                "inputs": inputs,
                "tools": plugins.versions(("torch", "transformers")),
            }
            self._recall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def module(self) -> Any:
        """The torch.nn.Module, or the Reference of a language model, opened on first use."""
        if self._module is None:
            self._module = plugins.load_module(self._engine).open_module(self.source, self.task)
            self.forget()  # what only the check has looked at
        return self._module

    @property
    def frees(self) -> bool:
        """Whether ``close`` makes it cheaper to have asked for everything before."""
        return bool(self.task.AUTO)

    def forget(self) -> None:
        """Let go of the weights' pages in memory; they are read again when they are used."""
        memory.forget(weights.files(self.source.path))

    def check(self, processing: Mapping[str, Any]) -> None:
        """Open the model, which checks every weight's name and shape, and run a traced one on two inputs.

        Raises ModelError, as a build would.
        """
        module = self.module
        if not self.task.AUTO:
            module.checkpoint.check()
            return
        model = self.attach(task_model(self.source.task, None, self.source.path, dict(processing)), processing)
        for feeds in self.task.batches(model, self.task.examples(processing)[:_FEW]):
            self(feeds)

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> Outputs:
        """The task's outputs for ``feeds`` (input name -> array), without the bulky hidden states."""
        if not self.task.AUTO:
            return dict(plugins.load_module(self._engine).run(self.module, feeds))
        key = _digest(feeds)
        if f"{key}.{self._names[0]}" not in self._memory:
            outputs = plugins.load_module(self._engine).run(self.module, self._theirs.pop(key, feeds), self._names)
            self._memory |= {f"{key}.{name}": outputs[name] for name in self._names}
            self._news = True
        return {name: self._memory[f"{key}.{name}"] for name in self._names}

    def attach(self, model: Any, processing: Mapping[str, Any]) -> Any:
        """``model``, a task object: what its pre-processing makes is compared with what the original's makes.

        The original is fed its own wherever the same inputs are asked for. Language models have no part in it: their
        inputs are ids (see oracle.py).
        """

        def match(examples: Sequence[Any], ours: Feeds) -> None:
            self._match(examples, ours, processing)

        for name in ("text", "image") if self.task.AUTO else ():
            if hasattr(model, name):
                setattr(model, name, matching.Matched(getattr(model, name), match))
        return model

    def _match(self, examples: Sequence[Any], ours: Feeds, processing: Mapping[str, Any]) -> None:
        key = _digest(ours)
        known = all(f"{key}.{name}" in self._memory for name in ("apart", *self._names))
        if not known and key not in self._theirs:
            theirs, apart = plugins.load_module("edgepack.original.inputs").match(
                self.source, self.task, processing, examples, ours
            )
            self._theirs[key] = theirs
            self._memory[f"{key}.apart"] = np.array(apart)
            self._news = True
        self.input_difference = max(self.input_difference, float(self._memory[f"{key}.apart"]))

    def learn(self, feeds: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Remember the outputs for all of ``feeds``; a language model runs them together, when one is asked for."""
        if not self.task.AUTO:
            plugins.load_module(self._engine).learn(self.module, feeds)
            return
        for feed in feeds:
            self(feed)

    def close(self) -> None:
        """Free the weights and keep what was learned for the next build. A language model holds none."""
        if self._module is not None and self.task.AUTO:
            self._module = None
            memory.release()
        if self._news and self._facts:
            cache.store(_OUTPUTS, self._facts, self._save)
            self._news = False

    def _save(self, folder: Path) -> None:
        np.savez(folder / _FILE, allow_pickle=False, **self._memory)

    def _recall(self) -> None:
        folder = cache.find(_OUTPUTS, self._facts)
        if folder is not None:
            with np.load(folder / _FILE) as stored:
                self._memory = {name: stored[name] for name in stored.files}


def _digest(feeds: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for name in sorted(feeds):
        array = np.ascontiguousarray(feeds[name])
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(array.data)
    return total.hexdigest()[:32]
