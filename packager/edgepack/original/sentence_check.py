"""Are a sentence encoder's vectors those of sentence-transformers? The library is asked, in a process of its own.

``start`` begins the process, so that it can run beside an export; ``finish`` compares. The library's vectors are kept
in the cache.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from edgepack import cache, plugins
from edgepack.errors import PreprocessingDiffers
from edgepack.records import Accuracy, NotMeasured, Source
from edgepack.runtime.types import Array
from edgepack.tasks import _sentence_folder

METRIC = "sentence_transformers_max_error"
TOLERANCE = 1e-4  # of the largest number: float32 in another order of operations stays far below
_LIBRARY = "sentence-transformers"
_SAMPLE = 8  # texts
_PATIENCE = 600  # seconds
_REQUEST, _RESULT, _LOG = "request.json", "vectors.npy", "log"  # in the process's folder
_SHOWN = 60  # characters of a text in a message


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A comparison that was begun."""

    texts: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    work: Path | None = None  # the process's folder
    process: subprocess.Popen[bytes] | None = None
    without: str = ""  # why there is none


class Check:
    """The check of one folder of sentence-transformers, from ``with`` on; of other models: nothing."""

    def __init__(self, source: Source, processing: Mapping[str, Any], examples: Sequence[Any]) -> None:
        self._source, self._processing = source, processing
        self._texts = list(examples[:: -(-len(examples) // _SAMPLE)]) if _sentence_folder.is_one(source.origin) else []
        self._pending: Pending | None = None
        self._ours: Array | None = None

    def __enter__(self) -> Self:
        if self._texts:
            self._pending = start(self._source, self._processing, self._texts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pending is not None:
            stop(self._pending)

    def hold(self, model: Any) -> None:
        """Take the vectors of ``model``, a task object around the original, while the original is open."""
        if self._texts:
            self._ours = np.stack(model.predict(self._texts))

    @cached_property
    def _found(self) -> float | NotMeasured:
        assert self._pending is not None
        assert self._ours is not None
        return finish(self._pending, self._ours)

    def finish(self) -> tuple[Accuracy, ...]:
        """The largest difference between edgepack's reading and sentence-transformers. Raises PreprocessingDiffers."""
        if not self._texts:
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


def check(source: Source, processing: Mapping[str, Any], texts: Sequence[str], ours: Array) -> float | NotMeasured:
    """The largest difference of ``ours``, float32 [texts, width], to the library's, or why it cannot be asked.

    ``ours`` are of the uncompressed model, with the default prompt. Raises PreprocessingDiffers.
    """
    return finish(start(source, processing, texts), ours)


def start(source: Source, processing: Mapping[str, Any], texts: Sequence[str]) -> Pending:
    """Begin to compute the library's vectors of ``texts``, unless cached; ``finish`` or ``stop`` is to follow."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return Pending(texts=tuple(texts), without=f"{_LIBRARY} is not installed")
    if source.adapter_path is not None:
        return Pending(texts=tuple(texts), without="an adapter is merged into the model")
    asked = {"texts": list(texts), "max_length": int(processing["max_length"])}
    tools = plugins.versions((_LIBRARY, "transformers", "torch"))
    facts = {"model": source.name, "sha256": source.sha256, **asked, "tools": tools}
    if (cache.root() / _LIBRARY / cache.key_of(facts)).is_dir():
        return Pending(texts=tuple(texts), facts=facts)
    work = Path(tempfile.mkdtemp(prefix="edgepack-"))
    (work / _REQUEST).write_text(json.dumps({"folder": str(source.origin), **asked}), "utf-8")
    with (work / _LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "edgepack.original.sentence_vectors", work / _REQUEST, work / _RESULT],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"},
        )
    return Pending(texts=tuple(texts), facts=facts, work=work, process=process)


def finish(pending: Pending, ours: Array) -> float | NotMeasured:
    """Wait for the library's vectors and compare. Raises PreprocessingDiffers."""
    try:
        failure = pending.without or _failure(pending)
        if failure:
            return NotMeasured(reason=failure)
        folder = cache.fetch(_LIBRARY, dict(pending.facts), lambda fresh: _keep(pending, fresh))
    finally:
        stop(pending)
    return _compare(pending.texts, ours, np.load(folder / _RESULT))


def stop(pending: Pending) -> None:
    """End the process, where it is still running, and clear its files."""
    if pending.process is not None and pending.process.poll() is None:
        pending.process.kill()
        pending.process.wait()
    if pending.work is not None:
        shutil.rmtree(pending.work, ignore_errors=True)


def _failure(pending: Pending) -> str:
    """Why there are no vectors, "" where there are."""
    if pending.process is None or pending.work is None:
        return ""
    try:
        code = pending.process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"{_LIBRARY} took longer than {_PATIENCE} s"
    said = (pending.work / _LOG).read_text("utf-8", errors="replace").strip().splitlines()
    return f"{_LIBRARY} cannot run the model: {said[-1] if said else f'exit code {code}'}" if code else ""


def _keep(pending: Pending, folder: Path) -> None:
    assert pending.work is not None
    shutil.move(pending.work / _RESULT, folder / _RESULT)


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
