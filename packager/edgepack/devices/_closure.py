"""The part of edgepack that a device needs: the modules that its runtime may import, found in their source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import edgepack

_ROOT = Path(edgepack.__file__).parent
_PACKAGE = "edgepack"
SERVICE = "edgepack.runtime.service"
# what is imported by name: measuring in a process of its own, and what says which package is missing
_BY_NAME = ("edgepack.child", "edgepack.runtime.rounds", "edgepack.installed")


def files(names: Iterable[str]) -> dict[str, Path]:
    """Return the files of the service and of the plug-ins ``names``, by their place in the package's parent folder.

    Schemas that bundles are checked with are among them.
    """
    modules = sorted(_closure((SERVICE, *_BY_NAME, *names)))
    found = [place for module in modules if (place := _file(module))]
    found += sorted((_ROOT / "schemas").glob("*.json"))
    return {place.relative_to(_ROOT.parent).as_posix(): place for place in found}


def libraries(names: Iterable[str]) -> list[str]:
    """Return the modules of other packages that those files import when they are loaded."""
    found = set()
    for module in _closure((SERVICE, "edgepack.runtime.rounds", *names)):
        place = _file(module)
        assert place is not None
        for node in ast.parse(place.read_text("utf-8")).body:
            found |= {name.split(".")[0] for name in _named(node)}
    return sorted(found - {_PACKAGE} - sys.stdlib_module_names)


def _closure(names: Iterable[str]) -> set[str]:
    waiting, found = list(names), set()
    while waiting:
        module = waiting.pop()
        if module in found or _file(module) is None:
            continue
        found.add(module)
        waiting += [*_above(module), *_imported(module)]
    return found


def _above(module: str) -> Iterator[str]:
    """Yield the packages that a module lies in."""
    parts = module.split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length])


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Return the modules of edgepack that a module's source imports, where nobody but a type checker reads too."""
    place = _file(module)
    assert place is not None
    found = [name for node in ast.walk(ast.parse(place.read_text("utf-8"))) for name in _named(node)]
    return tuple(name for name in found if name.split(".")[0] == _PACKAGE)


def _named(node: ast.AST) -> list[str]:
    """Return the modules, or what may be one, that a statement imports."""
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
