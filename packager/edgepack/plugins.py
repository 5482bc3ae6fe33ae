"""Find a plugin by name: our own module, else a third party's entry point ``edgepack.<kind>``.

A kind is a package of ours (``tasks``, ``formats``, ``decoders.families``, …); a plugin is a module in it that
fits the kind's Protocol. ``text-embedding`` is found as ``text_embedding``. Modules that plugins share begin with an
underscore.
"""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edgepack.errors import MissingExtra, UnknownName, UsageError

if TYPE_CHECKING:  # opening a bundle does without the 20 ms that importlib.metadata takes
    from importlib.metadata import EntryPoints

_KINDS = (
    "decoders.families", "devices", "formats", "formats.onnx.export.schemes", "original.recorders", "original.routes",
    "runtime.engines", "runtime.tasks", "sources", "tasks",
)  # fmt: skip
OURS = "edgepack"  # the distribution
CONTRACT = "see docs/adding-a-task-or-a-format.md for what a plug-in must offer"
_INSTALLED = "edgepack.installed"  # imported where something is missing alone: it needs a library more


def names(kind: str) -> list[str]:
    """Return the plugins of ``kind`` that can be asked for, ours and third parties'; loads none."""
    return sorted(_own(kind) | {entry.name for entry in _entries(kind)})


def load(kind: str, name: str) -> ModuleType:
    """Return the module of the plugin ``name``.

    Raises UnknownName when there is none, MissingExtra when a library that it needs is not installed.
    """
    if name in _own(kind):
        return load_module(f"edgepack.{kind}.{name.replace('-', '_')}")
    for entry in _entries(kind).select(name=name):
        return load_module(entry.value, distribution(kind, name))
    raise UnknownName(kind.rpartition(".")[2].removesuffix("s"), name, names(kind))


def check(kind: str, name: str, module: ModuleType, contract: type) -> None:
    """Raises UsageError where ``module``, the plug-in ``name``, lacks a part of the Protocol ``contract``."""
    parts = [part for one in reversed(contract.__mro__) for part in vars(one) if part[0] != "_"]
    for part in parts:
        if not hasattr(module, part):
            raise UsageError(
                f"{name} ({kind}) of {distribution(kind, name)} lacks {part}",
                hint=CONTRACT,
            )


def failing() -> Iterator[tuple[str, str, Exception]]:
    """Yield the kind and the name of each plugin of another package that cannot be loaded, with what that raised."""
    for kind in _KINDS:
        for name in sorted({entry.name for entry in _entries(kind)} - _own(kind)):
            try:
                load(kind, name)
            except Exception as error:  # whatever their module raises
                yield kind, name, error


@dataclass(frozen=True)
class Shadowed:
    """A plugin that is never loaded, as another has its kind and name; ``used`` and ``unused`` are distributions."""

    kind: str
    name: str
    used: str
    unused: str


def shadowed() -> list[Shadowed]:
    """Return the plugins that are hidden by one of the same name, ours before all others."""
    found = []
    for kind in _KINDS:
        used = dict.fromkeys(_own(kind), OURS)
        for entry in _entries(kind):
            theirs = entry.dist.name if entry.dist is not None else entry.value
            if used.setdefault(entry.name, theirs) != theirs:
                found.append(Shadowed(kind, entry.name, used[entry.name], theirs))
    return found


def distribution(kind: str, name: str) -> str:
    """Return the distribution that brings the plugin ``name``. Raises UnknownName."""
    if name in _own(kind):
        return OURS
    for entry in _entries(kind).select(name=name):
        if entry.dist is not None:
            return str(entry.dist.name)
    raise UnknownName(kind.rpartition(".")[2].removesuffix("s"), name, names(kind))


def bringing(module: str) -> str | None:
    """Return the distribution of another's plug-ins that lie in the same package as ``module``; None of no plug-in."""
    package = module.partition(".")[0]
    for kind in _KINDS:
        for entry in _entries(kind):
            if entry.dist is not None and entry.value.partition(":")[0].partition(".")[0] == package:
                return str(entry.dist.name)
    return None


@functools.cache
def _own(kind: str) -> frozenset[str]:
    """Return the plugins of ``kind`` that edgepack brings."""
    package = importlib.util.find_spec(f"edgepack.{kind}")
    folders = list(package.submodule_search_locations or []) if package else []
    found = [module.name for module in pkgutil.iter_modules(folders) if module.name[0] != "_"]
    return frozenset(name.replace("_", "-") for name in found)


def _entries(kind: str) -> EntryPoints:
    """Return third parties' plugins of ``kind``."""
    found: EntryPoints = _all_entries(tuple(sys.path)).select(group=f"edgepack.{kind}")
    return found


@functools.lru_cache(maxsize=4)
def _all_entries(path: tuple[str, ...]) -> Any:
    """Return the entry points of all that is installed on ``path``, whose metadata takes milliseconds to be read.

    They are SelectableGroups in Python 3.11, EntryPoints from 3.12 on; both can ``select``.
    """
    import importlib.metadata

    return importlib.metadata.entry_points()


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed versions. Raises MissingExtra for one that is not installed."""
    import importlib.metadata

    found = {}
    for name in distributions:
        try:
            found[name] = _version(name, tuple(sys.path))
        except importlib.metadata.PackageNotFoundError as missing:
            raise MissingExtra(name, importlib.import_module(_INSTALLED).extra_of(name)) from missing
    return found


@functools.lru_cache(maxsize=64)
def _version(name: str, path: tuple[str, ...]) -> str:
    """Return what is installed on ``path``, whose metadata takes milliseconds to be read."""
    import importlib.metadata

    return importlib.metadata.version(name)


def load_module(path: str, distribution: str = OURS) -> ModuleType:
    """Import ``path``; a missing library that ``distribution`` has an extra for becomes MissingExtra, any other one of
    a plug-in UsageError, and so does the end of the program, which is not for a plug-in to say.
    """
    collecting = gc.isenabled()
    gc.disable()  # importing PyTorch makes a million objects and no garbage; looking for it takes a fifth of the time
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as missing:
        error = importlib.import_module(_INSTALLED).missing(missing.name or "", distribution)
        if error is not None:
            raise error from missing
        if distribution == OURS:
            raise
        raise UsageError(
            f"{path} of {distribution} imports {missing.name}, which is not installed",
            hint=f"pip install {missing.name}, or ask the authors of {distribution}",
        ) from missing
    except SystemExit as ended:
        raise UsageError(
            f"{path} of {distribution} calls sys.exit when it is imported", hint=f"pip install -U {distribution}"
        ) from ended
    finally:
        if collecting:
            gc.enable()
