"""Docstrings stand alone in an editor: a function's begins with a verb, a property's or a class's with a noun."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "packager" / "edgepack"
SUBJECTLESS = {"What", "Of", "As", "That", "Whether", "How", "Where", "Which", "Who", "With", "From", "By", "To"}
NOUNS = {"The", "A", "An", "Each", "Every", "One", "All", "Both", "Those", "Its", "Their", "Our"}
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def documented() -> Iterator[tuple[str, Documented, str]]:
    """Yield the place of each docstring, its node and its first word."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, Documented) and (text := ast.get_docstring(node)):
                yield f"{file.relative_to(PACKAGE)}:{node.lineno}: {text.splitlines()[0]}", node, text.split()[0]


def is_property(node: Documented) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_docstrings_have_a_subject_or_a_verb() -> None:
    found = list(documented())
    assert len(found) > 1000
    assert not [place for place, _, word in found if word in SUBJECTLESS]


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    functions = [(place, word) for place, node, word in documented() if not isinstance(node, ast.ClassDef)
                 and not is_property(node)]  # fmt: skip
    assert not [place for place, word in functions if word in NOUNS]
