"""The task that a model's files tell, and whether a task is one for a model."""

from __future__ import annotations

from pathlib import Path

from edgepack import plugins
from edgepack.documents import JsonObject
from edgepack.tasks import _refusals, _sentence_folder, _supported, load


def find(folder: Path, config: JsonObject) -> str:
    """Return the task that the files of a model tell. Raises UnsupportedModel."""
    own = _sentence_folder.task(folder)
    architecture, model_type = str(config["architectures"][0]), str(config.get("model_type", ""))
    if not own and _sentence_folder.reranks(folder, config):
        return _sentence_folder.RANKING
    for task in [load(name) for name in plugins.names("tasks")]:
        if architecture in task.ARCHITECTURES and not own:
            return task.NAME
    if own and (architecture in load(own).ARCHITECTURES or not _refusals.kind("", model_type)):
        return own
    raise _refusals.refusal(architecture, model_type)


def check(task: str, config: JsonObject) -> None:
    """Raises UnsupportedModel for a model that ``task`` is not for: a video model, images for a text task."""
    architecture, model_type = str(config["architectures"][0]), str(config.get("model_type", ""))
    if task not in _supported.TABLE or _supported.takes(task, model_type):
        return
    others = [name for name in _supported.TABLE if _supported.takes(name, model_type)]
    if _refusals.kind("", model_type) or len({_about(name) for name in (task, *others)}) > 1:
        raise _refusals.refusal(architecture, model_type, task)


def _about(task: str) -> str:
    """Return what a task is about: images, sounds or texts."""
    return next((kind for kind in ("image", "audio") if task.startswith(kind)), "text")
