"""Parse Swift files, named in JSON: what cannot be parsed, and what each declares that is public."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tree_sitter_swift
from tree_sitter import Language, Node, Parser

PARSER = Parser(Language(tree_sitter_swift.language()))


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def name(node: Node) -> str:
    found = node.child_by_field_name("name")
    return found.text.decode() if found is not None and found.text is not None else ""


def public(node: Node) -> bool:
    return any(child.type == "modifiers" and b"public" in (child.text or b"") for child in node.children)


def documented(node: Node) -> bool:
    before = node.prev_sibling
    return before is not None and before.type == "comment" and (before.text or b"").startswith(b"///")


def facts(file: Path) -> dict[str, Any]:
    tree = PARSER.parse(file.read_bytes())
    nodes = list(walk(tree.root_node))
    functions = [node for node in nodes if node.type == "function_declaration" and public(node)]
    types = [node for node in tree.root_node.children if node.type == "class_declaration" and public(node)]
    wrong = [node for node in nodes if node.type == "ERROR" or node.is_missing]
    return {
        "errors": [f"line {node.start_point[0] + 1}: {(node.text or b'')[:60].decode()}" for node in wrong],
        "functions": sorted({name(node) for node in functions}),
        "types": [name(node) for node in types],
        "undocumented": [name(node) for node in [*functions, *types] if not documented(node)],
    }


if __name__ == "__main__":
    print(json.dumps([facts(Path(file)) for file in json.load(sys.stdin)]))
