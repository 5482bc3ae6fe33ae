"""Every task refuses a bundle with other submodels than it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack import plugins, tasks
from edgepack.errors import BundleError
from edgepack.runtime import completeness
from edgepack.runtime.manifest import Manifest

TASKS = plugins.names("runtime.tasks")


def needed(task: str) -> tuple[str, ...]:
    return tuple(getattr(plugins.load("runtime.tasks", task), "SUBMODELS", ("model",)))


def optional(task: str) -> tuple[str, ...]:
    return tuple(getattr(plugins.load("runtime.tasks", task), "OPTIONAL", ()))


def listed(task: str, *names: str) -> Manifest:
    entry = {
        "file": "m", "format": "onnx", "opset": 1, "inputs": [], "outputs": [], "components": [],
        "coverage": {"compressed": 0, "total": 1, "skipped": []}, "operators": {}, "needs": "", "files": [],
        "golden": {"file": "g", "output": "o", "least_cosine": 0.9},
    }  # fmt: skip
    table = {"task": task, "models": dict.fromkeys(names, entry), "files": {}, "processing": {}}
    return Manifest(Path("bundle"), table)


@pytest.mark.parametrize("task", TASKS)
def test_the_build_and_the_device_name_the_same(task: str) -> None:
    names = set(tasks.submodels(tasks.load(task))) or {"model"}
    assert names == {*needed(task), *optional(task)}


@pytest.mark.parametrize("task", TASKS)
def test_what_a_task_runs_is_there(task: str) -> None:
    completeness.check_submodels(listed(task, *needed(task)))
    completeness.check_submodels(listed(task, *needed(task), *optional(task)))
    for name in needed(task):
        others = [other for other in needed(task) if other != name]
        for wrong in ([*others, "audio"], [*needed(task), "audio"], others):
            with pytest.raises(BundleError, match=f"a bundle for {task} has {', '.join(needed(task))}"):
                completeness.check_submodels(listed(task, *wrong))


def test_of_a_task_that_is_not_here_nothing_is_known() -> None:
    completeness.check_submodels(listed("smelling", "nose", "tongue"))
