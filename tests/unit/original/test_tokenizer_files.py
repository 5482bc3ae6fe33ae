"""A tokenizer whose files are damaged or missing is told by the file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests import pipelines

from edgepack.errors import ModelError
from edgepack.original import tokenizers


def made(folder: Path, whole: bool) -> Path:
    """The tokenizer of a pipeline: with a tokenizer.json, or as older pipelines have it, with two files for it."""
    pipelines.tokenizer(folder)
    for name in ("vocab.json", "merges.txt") if whole else ("tokenizer.json",):
        (folder / name).unlink()
    return folder


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def no_object(file: Path) -> None:
    file.write_text("[]", "utf-8")


def bare(file: Path) -> None:
    file.write_text("{}", "utf-8")


@pytest.mark.parametrize(
    ("whole", "name", "damage", "told"),
    [
        (True, "tokenizer.json", cut, "tokenizer.json is not valid JSON"),
        (True, "tokenizer.json", empty, "tokenizer.json is not valid JSON"),
        (True, "tokenizer.json", no_object, "tokenizer.json does not hold an object"),
        (True, "tokenizer.json", bare, "tokenizer.json is no tokenizer: Model missing"),
        (True, "tokenizer.json", Path.unlink, "has no tokenizer.json"),
        (True, "tokenizer_config.json", cut, "tokenizer_config.json is not valid JSON"),
        (False, "vocab.json", cut, "vocab.json is not valid JSON"),
        (False, "vocab.json", bare, "merges.txt does not go with vocab.json: .*out of vocabulary"),
        (False, "vocab.json", Path.unlink, "lacks vocab.json"),
        (False, "merges.txt", cut, "merges.txt does not go with vocab.json: .*out of vocabulary"),
        (False, "merges.txt", empty, "merges.txt holds no merges"),
        (False, "merges.txt", Path.unlink, "lacks merges.txt"),
    ],
)
def test_the_damaged_file_is_named(
    whole: bool, name: str, damage: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    folder = made(tmp_path / "tokenizer", whole)
    damage(folder / name)
    with pytest.raises(ModelError, match=told):
        tokenizers.opened(folder)


@pytest.mark.parametrize("whole", [True, False])
def test_both_forms_are_opened(whole: bool, tmp_path: Path) -> None:
    assert tokenizers.opened(made(tmp_path, whole)).tokenize("a sofa") == ["a</w>", "sofa</w>"]
