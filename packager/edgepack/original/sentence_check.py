"""Are a model's vectors, or scores of pairs, those of sentence-transformers? The library is asked, in a process.

The process begins while the build still looks at the model, since the library takes longer to be imported than to
answer. Its answers are kept in the cache.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from edgepack import cache, plugins
from edgepack.arrays import Array, Example, TaskModel
from edgepack.child import Child
from edgepack.documents import JsonDict
from edgepack.errors import PreprocessingDiffers
from edgepack.records import Accuracy, NotMeasured, Source
from edgepack.runtime.processing import Classes, Processing
from edgepack.runtime.processing import Text as TextRecord
from edgepack.tasks import _sentence_folder
from edgepack.tasks._sentence_settings import CROSS_ENCODER, SPARSE_ENCODER

METRIC = "sentence_transformers_max_error"
TOLERANCE = 1e-4  # of the largest number: float32 in another order of operations stays far below
_LEAST = 0.1  # of the largest number of all: one score, or a sparse vector, may happen to be near 0
_LIBRARY = "sentence-transformers"
_SAMPLE = 8  # texts
_LONG = 8  # times all of them, beside each other
_PATIENCE = 600  # seconds
_RESULT = "answers.npy"  # in the process's folder and in the cache
_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
_SHOWN = 60  # characters of a text in a message


Text = str | tuple[str, str]


class Check:
    """The check of one folder of sentence-transformers, from ``with`` on; of other models: nothing.

    With ``early`` the process begins at once; ``ask`` says what is wanted of it, ``hold`` takes what the original
    gives, ``finish`` compares.
    """

    def __init__(self, source: Source, *, early: bool = False) -> None:
        self._source, self._early = source, early
        self._kind = _sentence_folder.kind(source.origin)
        self._texts: tuple[Text, ...] = ()
        self._facts: JsonDict = {}
        self._ours: Array | None = None
        self._work: Path | None = None  # the process's folder
        self._child: Child | None = None
        self._kept: Path | None = None  # what an earlier process answered

    def __enter__(self) -> Self:
        if self._early and self._kind and not self._obstacle:
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def ask(self, processing: Processing, examples: Sequence[Example]) -> None:
        """Let the library compute the answers to some of ``examples``, unless they are in the cache."""
        if not self._kind or self._obstacle:
            return
        chosen = examples[:: -(-len(examples) // _SAMPLE)]
        self._texts = tuple(_pairs(chosen) if self._kind == CROSS_ENCODER else chosen)
        asked = {"texts": list(self._texts), "max_length": processing.section(TextRecord).max_length}
        if self._kind == CROSS_ENCODER:
            asked["problem"] = processing.section(Classes).problem_type
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

    def hold(self, model: TaskModel) -> None:
        """Take the answers of ``model``, a task object around the original, while the original is open."""
        if self._texts:
            predict = {CROSS_ENCODER: "scores", SPARSE_ENCODER: "dense"}.get(self._kind, "predict")
            self._ours = np.stack(getattr(model, predict)(self._texts))

    def finish(self) -> tuple[Accuracy, ...]:
        """Return the largest difference between edgepack's reading and sentence-transformers.

        Raises PreprocessingDiffers.
        """
        if not self._kind:
            return ()
        unmeasured = isinstance(self._found, NotMeasured)
        figure = Accuracy(
            metric=METRIC,
            compressed=self._found,
            floor=None if unmeasured else TOLERANCE,
            samples=len(self._texts),
            data=f"the original, beside {_LIBRARY}'s own {self._answers}s",
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
        return _compare(self._texts, self._ours, np.load(folder / _RESULT), self._answers)

    @property
    def _answers(self) -> str:
        return "score" if self._kind == CROSS_ENCODER else "vector"

    def _begin(self) -> None:
        self._work = Path(tempfile.mkdtemp(prefix="edgepack-"))
        arguments = (self._source.origin, self._work / _RESULT, self._kind)
        self._child = Child("edgepack.original.sentence_vectors", *arguments, environment=_QUIET, scratch=self._work)

    def _failure(self) -> str:
        """Say why there are no answers, "" where there are."""
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


def _pairs(examples: Sequence[Text]) -> list[Text]:
    """Return pairs for a CrossEncoder, each text with the next; the last is longer than most models take."""
    pairs = [example for example in examples if not isinstance(example, str)]
    if pairs:
        return [*pairs, (pairs[0][0], " ".join([second for _, second in pairs] * _LONG))]
    texts = [text for text in examples if isinstance(text, str)]
    return [*zip(texts, [*texts[1:], texts[0]], strict=True), (texts[0], " ".join(texts * _LONG))]


def _compare(texts: Sequence[Text], ours: Array, theirs: Array, what: str) -> float:
    """Return the largest difference, relative to the largest number of its vector, at least _LEAST of all numbers'.

    Raises PreprocessingDiffers.
    """
    if ours.shape != theirs.shape:
        raise PreprocessingDiffers(
            f"{_LIBRARY} gives {what}s of {theirs.shape[-1]:,} numbers for this model, edgepack of {ours.shape[-1]:,}",
            hint="check the modules in modules.json",
        )
    largest = np.abs(theirs).max(axis=1)
    wrong = np.abs(ours - theirs).max(axis=1) / largest.clip(min=max(_LEAST * float(largest.max()), 1e-30))
    worst = int(wrong.argmax())
    if not wrong[worst] <= TOLERANCE:
        scale = float(np.linalg.norm(ours[worst]) * np.linalg.norm(theirs[worst]))
        cosine = float(ours[worst] @ theirs[worst]) / scale if scale else 0.0
        apart = (
            f"cosine {cosine:.5f}" if what == "vector" else f"{theirs[worst].max():.5f}, not {ours[worst].max():.5f}"
        )
        text = texts[worst]
        shown = text if isinstance(text, str) else " | ".join(text)
        raise PreprocessingDiffers(
            f"{_LIBRARY} gives another {what} for {shown[:_SHOWN]!r} ({apart})",
            hint="edgepack reads the folder's modules, pooling or prompts otherwise: please report the model",
        )
    return float(wrong[worst])
