"""Modules that are loaded by name keep the layers too: no arrow hides in a string, and no circle in an arrow."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "packager" / "edgepack"
# The folders of plug-ins, loaded by plugins.load alone, and the reason why each is found by name.
KINDS = {
    "decoders.families": "config.json's model_type names it",
    "devices": "an address begins with its name",
    "formats": "a target.toml names it",
    "formats.coreml": "a task names its route",
    "formats.onnx": "a task names its route",
    "formats.onnx.export.schemes": "a recipe names it",
    "original.recorders": "a task that records its submodels' inputs names it",
    "original.routes": "a task names its route",
    "runtime.engines": "a bundle's manifest names the format of its model",
    "runtime.tasks": "a bundle's manifest names its task",
    "sources": "the form of what the user typed tells it",
    "tasks": "the model's files, or --task, name it",
}
# Calls whose module is no text that stands in them: the names, and what they can be.
VARIABLES = {
    "edgepack.plugins": "what its callers name, who are looked at here, and third parties' modules",
    "edgepack.original.imports": "transformers and sentence-transformers",
    "edgepack.coreml.proto": "coremltools' generated files, under a name of their own",
}
LOADERS = {"import_module", "load_module", "run_module"}


@dataclass(frozen=True)
class Named:
    """A module that another loads by its name; ``pattern`` of a name that is put together ends in any module's."""

    by: str
    line: int
    pattern: str


def modules() -> dict[str, Path]:
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = ("edgepack", *file.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def named(module: str, tree: ast.AST, file: Path) -> Iterator[Named]:
    """Every text that is a module's name, wherever it stands: in a call, in a variable, in a list of arguments."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    own = {"__name__": module, "__package__": package}
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    parts |= {
        id(call.args[0]) for call in calls(tree, {"files"}) if call.args
    }  # importlib.resources': a folder, no module
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            if node.value in MODULES and node.value != "edgepack":  # the distribution has that name too
                yield Named(module, node.lineno, re.escape(node.value))
        elif isinstance(node, ast.JoinedStr):
            pattern = "".join(piece(value, own) for value in node.values)
            if pattern.startswith(r"edgepack\."):
                yield Named(module, node.lineno, pattern)


def piece(value: ast.expr, own: dict[str, str]) -> str:
    if isinstance(value, ast.Constant):
        return re.escape(str(value.value))
    assert isinstance(value, ast.FormattedValue)
    name = value.value.id if isinstance(value.value, ast.Name) else ""
    return re.escape(own[name]) if name in own else r"\w+"


def targets(name: Named) -> set[str]:
    return {module for module in MODULES if re.fullmatch(name.pattern, module)}


def calls(tree: ast.AST, functions: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if getattr(called, "attr", getattr(called, "id", None)) in functions:
            yield node


@functools.cache
def trees() -> dict[str, ast.AST]:
    return {module: ast.parse(file.read_text("utf-8")) for module, file in MODULES.items()}


@functools.cache
def by_name() -> dict[Named, set[str]]:
    found = [name for module, tree in trees().items() for name in named(module, tree, MODULES[module])]
    return {name: targets(name) for name in found if not finds_plugins(name)}


def finds_plugins(name: Named) -> bool:
    """Whether the name is put together where plug-ins of all kinds are found."""
    return name.by == "edgepack.plugins" and name.pattern.startswith(r"edgepack\.\w")


@functools.cache
def layers() -> dict[str, int]:
    """The layer of each module below edgepack, 0 for the lowest."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {name.strip(): level for level, line in enumerate(reversed(lines)) for name in line.split("|")}


def layer(module: str) -> int:
    return layers().get(module.split(".")[1], -1) if "." in module else len(layers())


def points_down(by: str, target: str) -> bool:
    """Whether ``target`` lies in a lower layer, or in the package that ``by`` lies in."""
    return layer(target) < layer(by) or by.split(".")[:2] == target.split(".")[:2]


def test_there_are_modules_by_name() -> None:
    found = {(name.by, target) for name, named_ in by_name().items() for target in named_}
    assert ("edgepack.original.text_folder", "edgepack.original.language_tokenizer") in found  # a child's
    assert ("edgepack.coreml.package", "edgepack.coreml.mac") in found  # relative to its package
    assert ("edgepack.data", "edgepack.data.parquet") in found  # put together


def test_every_name_that_is_put_together_is_of_a_module() -> None:
    for name, found in by_name().items():
        assert found, name


@pytest.mark.parametrize("name", by_name(), ids=lambda name: f"{name.by}:{name.line}")
def test_a_module_by_name_lies_in_a_lower_layer_or_in_the_same_package(name: Named) -> None:
    for target in by_name()[name]:
        assert points_down(name.by, target), f"{name.by}, line {name.line}, loads {target}"


def test_a_call_says_what_it_loads() -> None:
    for module, tree in trees().items():
        for call in calls(tree, LOADERS):
            said = isinstance(call.args[0], ast.Constant | ast.JoinedStr)
            assert said or module in VARIABLES or known(module, call.args[0]), f"{module}, line {call.lineno}"


def known(module: str, argument: ast.expr) -> bool:
    """Whether a variable's text stands in the same module."""
    return isinstance(argument, ast.Name | ast.Attribute) and any(name.by == module for name in by_name())


def kinds() -> dict[str, set[str]]:
    """kind -> the modules that load plug-ins of it."""
    found: dict[str, set[str]] = {}
    for module, tree in trees().items():
        for call in calls(tree, {"load", "names"}):
            function = call.func
            if isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "plugins":
                kind = call.args[0]
                assert isinstance(kind, ast.Constant), f"{module}, line {call.lineno}: the kind is no text"
                found.setdefault(kind.value, set()).add(module)
    return found


def test_the_kinds_of_plug_ins_are_listed() -> None:
    assert set(kinds()) == set(KINDS)


def test_the_page_for_other_packages_lists_their_entry_points() -> None:
    page = (ROOT / "docs" / "adding-a-task-or-a-format.md").read_text("utf-8")
    groups = set(re.findall(r"^\| `edgepack\.([\w.]+)` \|", page, re.MULTILINE))
    assert groups == set(KINDS) - {"formats.onnx", "formats.coreml"}  # whose routes are their own


def test_no_circle() -> None:
    """Imports and modules by name; a plug-in, which fits the Protocol of the package that loads it, is no part."""
    graph = grimp.build_graph("edgepack", cache_dir=None)
    arrows = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    for name, found in by_name().items():
        arrows[name.by] |= found - {name.by}
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(" → ".join(reversed(circle.args[1])))


def test_relative_names_are_read_as_python_reads_them() -> None:
    (found,) = named("edgepack.a.b", ast.parse('load(f"{__package__}.c")'), Path("b.py"))
    assert found.pattern == re.escape(resolve_name(".c", "edgepack.a"))


@pytest.mark.parametrize("text", ['"edgepack.cli.app"', 'f"edgepack.cli.{name}"', '["-m", "edgepack.pipeline"]'])
def test_an_arrow_that_points_up_is_seen(text: str) -> None:
    (found,) = named("edgepack.records", ast.parse(f"x = {text}"), Path("records.py"))
    assert not all(points_down("edgepack.records", target) for target in targets(found))
