"""Plugins are found by name, third parties' as well."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests import typed_plugins

from edgepack import plugins, tasks
from edgepack.cli import unexpected
from edgepack.errors import MissingExtra, UnknownName, UsageError
from edgepack.runtime import tasks as device_tasks
from edgepack.runtime.submodel import MODEL
from edgepack.stages import plan


def test_our_own_are_files() -> None:
    assert "text-embedding" in plugins.names("tasks")
    assert plugins.names("sources") == ["folder", "hub", "python"]
    assert plugins.load("tasks", "fill-mask").NAME == "fill-mask"
    assert not any(name.startswith("-") for name in plugins.names("tasks"))


@pytest.mark.parametrize(
    ("kind", "offers"),
    [
        ("decoders.families", "describe"),
        ("formats", "route"),
        ("runtime.engines", "open_session"),
        ("runtime.tasks", "Model"),
        ("tasks", "NAME"),
    ],
)
def test_what_is_named_can_be_asked_for(kind: str, offers: str) -> None:
    for name in plugins.names(kind):
        assert hasattr(plugins.load(kind, name), offers), name


def test_unknown_names() -> None:
    with pytest.raises(UnknownName) as error:
        plugins.load("tasks", "fil-mask")
    assert error.value.hint == "did you mean 'fill-mask'?"


@pytest.fixture
def outsider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a task of its own, and one that needs a library that is not here."""
    (tmp_path / "their_task.py").write_text('NAME = "translation"\n')
    (tmp_path / "needs_tensorflow.py").write_text("import tensorflow\n")
    (tmp_path / "broken.py").write_text("import no_such_thing\n")
    (tmp_path / "ends.py").write_text("import sys\n\nsys.exit(3)\n")
    (tmp_path / "no_class.py").write_text("Model = None\n")
    (tmp_path / "no_predict.py").write_text("class Model:\n    pass\n")
    (tmp_path / "fails.py").write_text("def run():\n    return {}['x']\n\n\nclass Model:\n    predict = run\n")
    meta = tmp_path / "theirs-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1\n"
        "Provides-Extra: images\nRequires-Dist: tensorflow>=1 ; extra == 'images'\n"
    )
    (meta / "entry_points.txt").write_text(
        "[edgepack.tasks]\ntranslation = their_task\nimages = needs_tensorflow\nbroken = broken\nends = ends\n"
        "[edgepack.runtime.tasks]\nno-class = no_class\nno-predict = no_predict\nfails = fails\nimages = their_task\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    for name in ("their_task", "needs_tensorflow", "broken", "ends", "no_class", "no_predict", "fails"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("outsider")
def test_a_third_party_s_entry_point() -> None:
    assert "translation" in plugins.names("tasks")
    assert plugins.load("tasks", "translation").NAME == "translation"


@pytest.mark.usefixtures("outsider")
def test_a_task_that_lacks_a_part_is_named() -> None:
    with pytest.raises(UsageError, match=r"translation \(tasks\) of theirs lacks TITLE"):
        tasks.load("translation")


@pytest.mark.usefixtures("outsider")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("images", "images (runtime.tasks) of theirs lacks Model"),
        ("no-class", "no-class (runtime.tasks) of theirs has a Model that is not a class with a method predict"),
        ("no-predict", "no-predict (runtime.tasks) of theirs has a Model that is not a class with a method predict"),
    ],
)
def test_a_module_for_the_device_that_lacks_a_part_is_named(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        device_tasks.find(name)


@pytest.mark.usefixtures("outsider")
@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (None, "fill-mask (tasks) of edgepack has no module of that name in runtime.tasks"),
        (("ear", "nose"), "fill-mask of edgepack builds the submodels model, and its module .* names ear, nose"),
    ],
)
def test_both_modules_of_a_task_name_the_same(
    runs: tuple[str, ...] | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str) -> SimpleNamespace:
        if runs is None:
            raise UnknownName("task", name, [])
        return SimpleNamespace(SUBMODELS=runs)

    plan._check_device(tasks.load("fill-mask"))
    monkeypatch.setattr(device_tasks, "find", found)
    with pytest.raises(UsageError, match=said.replace("(", r"\(").replace(")", r"\)")):
        plan._check_device(tasks.load("fill-mask"))


@pytest.mark.usefixtures("outsider")
def test_a_module_that_ends_the_program_does_not() -> None:
    with pytest.raises(UsageError, match=r"ends of theirs calls sys\.exit when it is imported"):
        plugins.load("tasks", "ends")
    assert ("tasks", "ends") in {(kind, name) for kind, name, _ in plugins.failing()}


@pytest.mark.usefixtures("outsider")
def test_what_fails_in_a_plug_in_names_it() -> None:
    assert (plugins.bringing("fails"), plugins.bringing("edgepack.runtime"), plugins.bringing("json")) == (
        "theirs", None, None,
    )  # fmt: skip
    with pytest.raises(KeyError) as raised:
        plugins.load("runtime.tasks", "fails").run()
    told = unexpected.told(raised.value, [])
    assert str(told) == "theirs, a plug-in, failed: KeyError: 'x'"
    assert "report it to the authors of theirs with " in told.hint
    Path(told.hint.split(" with ")[1].split(",")[0]).unlink()


def test_what_a_task_does_not_state_is_as_usual() -> None:
    assert tasks.options(tasks.load("fill-mask")) == tasks.Options()
    stated = tasks.options(tasks.load("text-to-image"))
    assert (stated.extra, stated.layouts, next(iter(stated.submodels))) == ("diffusion", ("flat",), "text_encoder")
    with pytest.raises(TypeError, match="text-to-image has several submodels"):
        tasks.submodel_task(tasks.load("text-to-image"), MODEL)


@pytest.mark.usefixtures("outsider")
def test_a_missing_library_names_what_to_install() -> None:
    with pytest.raises(MissingExtra) as error:
        plugins.load("tasks", "images")
    assert error.value.hint == "pip install 'theirs[images]'"
    with pytest.raises(UsageError, match="broken of theirs imports no_such_thing, which is not installed"):
        plugins.load("tasks", "broken")


def test_versions_of_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(plugins.versions(["numpy"])) == {"numpy"}
    plugins._version.cache_clear()
    version = importlib.metadata.version

    def found(name: str) -> str:
        if name == "coremltools":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", found)
    with pytest.raises(MissingExtra) as error:
        plugins.versions(["numpy", "coremltools"])
    assert error.value.exit_code == 5
    assert error.value.hint == "pip install 'edgepack[coreml]'"


def test_versions_of_what_no_extra_brings() -> None:
    with pytest.raises(MissingExtra) as error:
        plugins.versions(["tools-of-mars"])
    assert error.value.hint == "pip install tools-of-mars"


def test_mypy_checks_every_plugin() -> None:
    checked = {
        "tasks": (*typed_plugins.TASKS, *typed_plugins.OF_SUBMODELS),
        "original.recorders": typed_plugins.RECORDERS,
        "devices": (*typed_plugins.TRANSPORTS, *typed_plugins.HOSTS),
        "formats": typed_plugins.FORMATS,
        "original.routes": typed_plugins.ORIGINALS,
        "runtime.engines": typed_plugins.ENGINES,
        "sources": typed_plugins.SOURCES,
        "formats.onnx.export.schemes": typed_plugins.SCHEMES,
    }
    for kind, modules in checked.items():
        loaded = [plugins.load(kind, name) for name in plugins.names(kind)]
        assert sorted(loaded, key=repr) == sorted(modules, key=repr)
    routes = [plugins.load(f"formats.{name}", route) for name in ("coreml", "onnx") for route in ("builder", "export")]
    assert routes == list(typed_plugins.ROUTES)
    assert all(plugins.names(f"formats.{name}") == ["builder", "export"] for name in ("coreml", "onnx"))


def test_mypy_checks_the_sample_package() -> None:
    root = Path(typed_plugins.__file__).parent.parent
    checked = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["files"]
    assert "samples/plug-in/lang_id" in checked
    offered = tomllib.loads((root / "samples/plug-in/pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    modules = {module for kind in offered for module in offered[kind].values()}
    assigned = (root / "samples/plug-in/lang_id/protocols.py").read_text("utf-8")
    assert all(f" = {module.removeprefix('lang_id.')}\n" in assigned for module in modules)
