"""Are a sentence encoder's vectors those of sentence-transformers? The library is asked, in a process of its own.

The process begins while the build still looks at the model, since the library takes longer to be imported than to
answer. Its vectors are kept in the cache.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from edgepack import cache, plugins
from edgepack.child import Child
from edgepack.errors import PreprocessingDiffers
from edgepack.records import Accuracy, NotMeasured, Source
from edgepack.runtime.types import Array
from edgepack.tasks import _sentence_folder

METRIC = "sentence_transformers_max_error"
TOLERANCE = 1e-4  # of the largest number: float32 in another order of operations stays far below
_LIBRARY = "sentence-transformers"
_SAMPLE = 8  # texts
_PATIENCE = 600  # seconds
_RESULT = "vectors.npy"  # in the process's folder and in the cache
_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
_SHOWN = 60  # characters of a text in a message


class Check:
    """The check of one folder of sentence-transformers, from ``with`` on; of other models: nothing.

    With ``early`` the process begins at once; ``ask`` says what is wanted of it, ``hold`` takes what the original
    gives, ``finish`` compares.
    """

    def __init__(self, source: Source, *, early: bool = False) -> None:
        self._source, self._early = source, early
        self._applies = _sentence_folder.is_one(source.origin)
        self._texts: tuple[str, ...] = ()
        self._facts: dict[str, Any] = {}
        self._ours: Array | None = None
        self._work: Path | None = None  # the process's folder
        self._child: Child | None = None
        self._kept: Path | None = None  # what an earlier process answered

    def __enter__(self) -> Self:
        if self._early and self._applies and not self._obstacle:
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def ask(self, processing: Mapping[str, Any], examples: Sequence[Any]) -> None:
        """Let the library compute the vectors of some of ``examples``, unless they are in the cache."""
        if not self._applies or self._obstacle:
            return
        self._texts = tuple(examples[:: -(-len(examples) // _SAMPLE)])
        asked = {"texts": list(self._texts), "max_length": int(processing["max_length"])}
        tools = plugins.versions((_LIBRARY, "transformers", "torch"))
        self._facts = {"model": self._source.name, "sha256": self._source.sha256, **asked, "tools": tools}
        self._kept = cache.find(_LIBRARY, self._facts)
        if self._kept is not None:
            self._stop()
            return
        if self._child is None:
            self._begin()
        assert self._child is not None
        self._child.send(json.dumps(asked))

    def hold(self, model: Any) -> None:
        """Take the vectors of ``model``, a task object around the original, while the original is open."""
        if self._texts:
            self._ours = np.stack(model.predict(self._texts))

    def finish(self) -> tuple[Accuracy, ...]:
        """The largest difference between edgepack's reading and sentence-transformers. Raises PreprocessingDiffers."""
        if not self._applies:
            return ()
        unmeasured = isinstance(self._found, NotMeasured)
        figure = Accuracy(
            metric=METRIC,
            packed=self._found,
            floor=None if unmeasured else TOLERANCE,
            samples=len(self._texts),
            data=f"the original, beside {_LIBRARY}'s own vectors",
            higher_is_better=False,
        )
        return (figure,)

    @cached_property
    def _obstacle(self) -> str:
        """Why the library cannot be asked, "" where it can."""
        if importlib.util.find_spec("sentence_transformers") is None:
            return f"{_LIBRARY} is not installed"
        return "an adapter is merged into the model" if self._source.adapter_path is not None else ""

    @cached_property
    def _found(self) -> float | NotMeasured:
        """The largest difference, when the library has answered. Raises PreprocessingDiffers."""
        try:
            failure = self._obstacle or self._failure()
            if failure:
                return NotMeasured(reason=failure)
            folder = self._kept or cache.fetch(_LIBRARY, self._facts, self._keep)
        finally:
            self._stop()
        assert self._ours is not None  # the caller has let it hold them
        return _compare(self._texts, self._ours, np.load(folder / _RESULT))

    def _begin(self) -> None:
        self._work = Path(tempfile.mkdtemp(prefix="edgepack-"))
        module, arguments = "edgepack.original.sentence_vectors", (self._source.origin, self._work / _RESULT)
        self._child = Child(module, *arguments, environment=_QUIET, scratch=self._work)

    def _failure(self) -> str:
        """Why there are no vectors, "" where there are."""
        if self._child is None:
            return ""
        try:
            done = self._child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return f"{_LIBRARY} took longer than {_PATIENCE} s"
        return f"{_LIBRARY} cannot run the model: {done.trouble or f'exit code {done.code}'}" if done.code else ""

    def _keep(self, folder: Path) -> None:
        assert self._work is not None
        shutil.move(self._work / _RESULT, folder / _RESULT)

    def _stop(self) -> None:
        """End the process, where it is still running, and clear its files."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work = None


def _compare(texts: Sequence[str], ours: Array, theirs: Array) -> float:
    """The largest difference, relative to the largest number of its vector. Raises PreprocessingDiffers."""
    if ours.shape != theirs.shape:
        raise PreprocessingDiffers(
            f"{_LIBRARY} makes vectors of {theirs.shape[-1]:,} numbers of this model, edgepack of {ours.shape[-1]:,}",
            hint="look at the modules in modules.json",
        )
    wrong = np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1).clip(min=1e-30)
    worst = int(wrong.argmax())
    if not wrong[worst] <= TOLERANCE:
        scale = float(np.linalg.norm(ours[worst]) * np.linalg.norm(theirs[worst]))
        cosine = float(ours[worst] @ theirs[worst]) / scale if scale else 0.0
        raise PreprocessingDiffers(
            f"{_LIBRARY} makes another vector of {texts[worst][:_SHOWN]!r} (cosine {cosine:.5f})",
            hint="the modules, the pooling or the prompts in the folder mean something else than edgepack reads",
        )
    return float(wrong[worst])
