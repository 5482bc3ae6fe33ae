"""Plugins are found by name, third parties' as well."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import tomllib
from pathlib import Path

import pytest
from tests import typed_plugins

from edgepack import plugins, tasks
from edgepack.errors import MissingExtra, UnknownName, UsageError
from edgepack.runtime.submodel import MODEL


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
    meta = tmp_path / "theirs-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1\n"
        "Provides-Extra: images\nRequires-Dist: tensorflow>=1 ; extra == 'images'\n"
    )
    (meta / "entry_points.txt").write_text(
        "[edgepack.tasks]\ntranslation = their_task\nimages = needs_tensorflow\nbroken = broken\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    for name in ("their_task", "needs_tensorflow", "broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("outsider")
def test_a_third_party_s_entry_point() -> None:
    assert "translation" in plugins.names("tasks")
    assert plugins.load("tasks", "translation").NAME == "translation"


@pytest.mark.usefixtures("outsider")
def test_a_task_that_lacks_a_part_is_named() -> None:
    with pytest.raises(UsageError, match=r"translation \(tasks\) of theirs lacks TITLE"):
        tasks.load("translation")


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
    with pytest.raises(ModuleNotFoundError):  # a broken plugin is not hidden
        plugins.load("tasks", "broken")


def test_versions_of_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(plugins.versions(["numpy"])) == {"numpy"}
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
    modules = {module for kind in offered if kind != "edgepack.runtime.tasks" for module in offered[kind].values()}
    assigned = (root / "samples/plug-in/lang_id/protocols.py").read_text("utf-8")
    assert all(f" = {module.removeprefix('lang_id.')}\n" in assigned for module in modules)
