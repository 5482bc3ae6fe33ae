"""The reading of a language model's files, checked: every setting is known, and transformers computes the same.

The comparison runs in a process of its own (original/oracle) while the build goes on, and is remembered by the hash of
the files that it looks at. Where transformers is not installed the report says that nobody checked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from edgepack import cache, child, decoders, errors, plugins
from edgepack.documents import JsonDict, JsonObject, read_object
from edgepack.errors import ModelError, ReadingDiffers, UnreadSetting
from edgepack.plans import Subject
from edgepack.records import Accuracy, NotMeasured

METRIC, SETTINGS = "reading", "settings"
CLOSE = 1e-4  # of the largest logit
_FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja", "tokenizer.json")
_TOOLS = ("transformers", "torch", "numpy", "tokenizers")
_RESULT = "result.json"  # in the process's folder and in the cache
_ALONE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
_DATA = "random weights, this config.json"


def _check_settings(subject: Subject, *, allow_unread: bool) -> None:
    """Raises UnreadSetting for a setting of a language model's config.json that nobody understood.

    What is null or false for an unknown key passes here: ``Reading.finish`` asks transformers whether it may.
    """
    if subject.task.ROUTE == "builder" and not allow_unread:
        unread = decoders.read(subject.config).unread
        _refuse({key: value for key, value in unread.items() if value is not None and value is not False})


class Reading:
    """The check of one model, from ``with`` on; ``finish`` waits for it. Of tasks that are not described: nothing."""

    def __init__(self, subject: Subject, *, allow_unread: bool) -> None:
        _check_settings(subject, allow_unread=allow_unread)
        self.task, self._source, self._allowed = subject.task, subject.source, allow_unread
        self._described = self.task.ROUTE == "builder"
        self._unread = decoders.read(subject.config).unread if self._described else {}
        self._child: child.Child | None = None
        self._kept: JsonDict | None = None  # what an earlier process found

    def __enter__(self) -> Self:
        if self._described and not _missing():
            folder = cache.find(METRIC, self._facts)
            if folder is not None:
                self._kept = read_object(folder / _RESULT, ModelError)
            else:
                work = Path(tempfile.mkdtemp(prefix="edgepack-"))
                self._result = work / _RESULT
                asked = (*self._folders, self._result)
                self._child = child.Child("edgepack.original.oracle", *asked, environment=_ALONE, scratch=work)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()
            shutil.rmtree(self._result.parent, ignore_errors=True)

    def finish(self) -> tuple[Accuracy, ...]:
        """Return the largest difference of logits, or why there is none, and the settings that were let pass.

        Raises ReadingDiffers, UnreadSetting, and ModelError as transformers refuses the model.
        """
        if not self._described:
            return ()
        found = self._answer
        if "error" in found:
            kind = getattr(errors, found["error"], ReadingDiffers)
            raise kind(found["message"], hint=found["hint"])
        unmeasured = found.get("unmeasured")
        if unmeasured and not self._allowed:
            _refuse(self._unread)
        figure = Accuracy(
            metric=METRIC,
            compressed=NotMeasured(reason=unmeasured) if unmeasured else found["difference"],
            floor=None if unmeasured else CLOSE,
            data=_DATA,
            higher_is_better=False,
        )
        if not self._unread or not self._allowed:
            return (figure,)
        passed = NotMeasured(reason=f"allowed, although edgepack does not know their meaning: {_listed(self._unread)}")
        return figure, Accuracy(metric=SETTINGS, compressed=passed)

    @property
    def _facts(self) -> JsonDict:
        """All that shapes the answer."""
        files = [file for folder in self._folders for name in _FILES if (file := Path(folder) / name).is_file()]
        hashed = [[file.name, _digest(file)] for file in files]
        return {"model": self._source.name, "files": hashed, "tools": plugins.versions(_TOOLS)}

    @property
    def _folders(self) -> tuple[str, str]:
        return str(self._source.origin), str(self._source.path)

    @cached_property
    def _answer(self) -> JsonDict:
        """The answer of the process, now or once. Raises ModelError where it broke down."""
        if _missing():
            return {"unmeasured": _missing()}
        if self._kept is not None:
            return self._kept
        assert self._child is not None
        done = self._child.wait()
        if done.code != 0:
            raise ModelError(
                f"the check against transformers failed: {done.trouble or 'no message'}",
                hint=f"python -m edgepack.original.oracle {' '.join(self._folders)} /dev/stdout shows all of it",
            )
        found = read_object(self._result, ModelError)
        if "error" not in found:
            text = json.dumps(found)
            cache.fetch(METRIC, self._facts, lambda folder: _write(folder / _RESULT, text))
        return found


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")


def _missing() -> str:
    """Say why nobody can check; "" where transformers and PyTorch are installed."""
    if importlib.util.find_spec("transformers") is None:
        return "the reading of config.json was not checked, and the tokenizer neither: transformers is not installed"
    if importlib.util.find_spec("torch") is None:
        return "the reading of config.json was not checked: PyTorch is not installed"
    return ""


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _refuse(unread: JsonObject) -> None:
    """Raises UnreadSetting for the first of them."""
    if unread:
        raise UnreadSetting(
            f"config.json has settings that edgepack does not know: {_listed(unread)}",
            hint="they may change what the model computes; --allow-unread goes on, and the report names them",
        )


def _listed(unread: JsonObject) -> str:
    return ", ".join(f"{key} = {json.dumps(value)[:60]}" for key, value in unread.items())
