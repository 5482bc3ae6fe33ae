"""The part of edgepack that a device or an app needs: modules and all that they may import, found in their source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

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
    found = set()
    for module in _closure(names, texts=False):
        for node in _tree(module).body:
            found |= {name.split(".")[0] for name in _named(node, texts=False)}
    return sorted(found - {_PACKAGE} - sys.stdlib_module_names)


def _closure(names: Iterable[str], *, texts: bool) -> set[str]:
    """Return ``names`` and the modules that they import; with ``texts`` also what is loaded by name, if at all."""
    waiting, found = list(names), set()
    while waiting:
        module = waiting.pop()
        if module in found or _file(module) is None:
            continue
        found.add(module)
        waiting += [*_above(module), *_imported(module, texts)]
    return found


def _above(module: str) -> Iterator[str]:
    """Yield the packages that a module lies in."""
    parts = module.split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length])


@cache
def _imported(module: str, texts: bool) -> tuple[str, ...]:
    """Return the modules of edgepack that a module's source imports, or names in a text.

    A package that looks for its modules by ``pkgutil`` takes them all.
    """
    place = _file(module)
    assert place is not None
    found = [name for node in ast.walk(_tree(module)) for name in _named(node, texts)]
    if place.name == "__init__.py" and "pkgutil" in found:
        found += [f"{module}.{own.stem}" for own in place.parent.glob("*.py") if own != place]
    return tuple(name for name in found if name.split(".")[0] == _PACKAGE)


@cache
def _tree(module: str) -> ast.Module:
    """Return the source of a module that has a file."""
    place = _file(module)
    assert place is not None
    return ast.parse(place.read_text("utf-8"))


def _named(node: ast.AST, texts: bool) -> list[str]:
    """Return the modules, or what may be one, that a statement imports or a text is."""
    if texts and isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _file(module: str) -> Path | None:
    place = _ROOT.joinpath(*module.split(".")[1:])
    for candidate in (place / "__init__.py", place.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None
