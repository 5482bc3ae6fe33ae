"""The part of edgepack that a device or an app needs: modules and all that they may import, found in their source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import edgepack

_ROOT = Path(edgepack.__file__).parent
_PACKAGE = "edgepack"


def files(names: Iterable[str]) -> dict[str, Path]:
    """Return the files of the modules ``names`` and of all that they import, by their place in the package's parent.

    Schemas that bundles are checked with, and the tables that lie beside the modules, are among them.
    """
    modules = sorted(_closure(names, texts=True))
    found = [place for module in modules if (place := _file(module))]
    found += sorted((_ROOT / "schemas").glob("*.json"))
    found += sorted({table for place in found if place.suffix == ".py" for table in place.parent.glob("*.toml")})
    return {place.relative_to(_ROOT.parent).as_posix(): place for place in found}


def libraries(names: Iterable[str]) -> list[str]:
    """Return the modules of other packages that those files import when they are loaded."""
    found = {name.split(".")[0] for module in _closure(names, texts=False) for name in _source(module).loaded}
    return sorted(found - {_PACKAGE} - sys.stdlib_module_names)


def _closure(names: Iterable[str], *, texts: bool) -> set[str]:
    """Return ``names`` and the modules that they import; with ``texts`` also what is loaded by name, if at all."""
    waiting, found = list(names), set()
    while waiting:
        module = waiting.pop()
        if module in found or _file(module) is None:
            continue
        found.add(module)
        source = _source(module)
        waiting += [*_above(module), *source.imported, *(source.texts if texts else ())]
    return found


def _above(module: str) -> Iterator[str]:
    """Yield the packages that a module lies in."""
    parts = module.split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length])


class _Source(NamedTuple):
    """Names in the source of a module."""

    loaded: tuple[str, ...]  # modules, those of other packages too, that its top level imports
    imported: tuple[str, ...]  # what may be a module of edgepack, by imports anywhere
    texts: tuple[str, ...]  # the same, by texts


@cache
def _source(module: str) -> _Source:
    """Return what the source of a module that has a file names.

    A package that looks for its modules by ``pkgutil`` takes them all.
    """
    place = _file(module)
    assert place is not None
    tree, imported, texts = ast.parse(place.read_text("utf-8")), list[str](), list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imported += _named(node)
    loaded = [name for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for name in _named(node)]
    if place.name == "__init__.py" and "pkgutil" in imported:
        imported += [f"{module}.{own.stem}" for own in place.parent.glob("*.py") if own != place]
    return _Source(tuple(loaded), _own(imported), _own(texts))


def _own(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name.split(".")[0] == _PACKAGE)


def _named(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the modules, or what may be one, that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


@cache
def _file(module: str) -> Path | None:
    place = _ROOT.joinpath(*module.split(".")[1:])
    for candidate in (place / "__init__.py", place.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None
