"""Python's own help texts, split into training and held-out; run it to write held-out.txt."""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

FILE = Path(__file__).parent / "held-out.txt"
_HELD_OUT = ("calls", "class", "context-managers", "import", "strings", "truth", "with")  # by name, for any Python
_SHORTEST = 400  # characters; below it a docstring is hardly prose


def training() -> list[str]:
    """Help topics and the standard library's docstrings, each paragraph once and none that is held out."""
    seen = {_key(paragraph) for text in held_out() for paragraph in text.split("\n\n")}
    texts = [text for name, text in topics.items() if name not in _HELD_OUT]
    return [kept for text in [*texts, *_docstrings()] if (kept := _unseen(text, seen))]


def held_out() -> list[str]:
    """The topics that training never sees."""
    return [topics[name].strip() for name in _HELD_OUT]


def _docstrings() -> Iterator[str]:
    """Of each top module of the standard library, and of its classes and functions."""
    library = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names):
        for file in (library / f"{name}.py", library / name / "__init__.py"):
            if file.exists():
                nodes = ast.walk(ast.parse(file.read_bytes()))
                nodes = (node for node in nodes if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef))
                yield from (text for node in nodes if len(text := ast.get_docstring(node) or "") >= _SHORTEST)


def _unseen(text: str, seen: set[str]) -> str:
    """The paragraphs that are not in `seen`, which grows by them: topics quote one another at length."""
    kept = []
    for paragraph in text.strip().split("\n\n"):
        if (key := _key(paragraph)) not in seen:
            seen.add(key)
            kept.append(paragraph)
    return "\n\n".join(kept)


def _key(paragraph: str) -> str:
    return " ".join(paragraph.split())


if __name__ == "__main__":
    FILE.write_text("\n\n\n".join(held_out()) + "\n", "utf-8")
    print(f"wrote {FILE.name}: {len(_HELD_OUT)} topics, {FILE.stat().st_size / 1000:.0f} kB")
