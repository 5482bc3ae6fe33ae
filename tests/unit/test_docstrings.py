"""Docstrings stand alone in an editor: a function's begins with a verb, a property's or a class's with a noun."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "packager" / "edgepack"
SUBJECTLESS = {"What", "Of", "As", "That", "Whether"}
CLAUSES = SUBJECTLESS | {"How", "Where", "Which", "Who", "With", "From", "By", "To"}  # which may tell of a module
NOUNS = {"The", "A", "An", "Each", "Every", "One", "All", "Both", "Those", "Its", "Their", "Our"}
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


def documented() -> Iterator[tuple[str, Documented, str]]:
    """Yield the place of each docstring, its node and its first word."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, Documented) and (text := ast.get_docstring(node)):
                yield f"{file.relative_to(PACKAGE)}: {text.splitlines()[0]}", node, text.split()[0]


def is_function(node: Documented) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not any(
        "property" in ast.unparse(decorator) for decorator in node.decorator_list
    )


def test_docstrings_have_a_subject_or_a_verb() -> None:
    found = list(documented())
    assert len(found) > 1000
    assert not [
        place for place, node, word in found if word in (SUBJECTLESS if isinstance(node, ast.Module) else CLAUSES)
    ]


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    functions = [(place, word) for place, node, word in documented() if is_function(node)]
    assert not [place for place, word in functions if word in NOUNS]
