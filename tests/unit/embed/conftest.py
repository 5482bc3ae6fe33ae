"""A small bundle's manifest folder that needs no build, and a target of one's own with a template."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.records import Bundle

Build = Callable[..., tuple[Bundle, ...]]


@pytest.fixture(scope="session")
def classifier(build: Build, tiny: Callable[[str], Path]) -> Bundle:
    """A tiny classifier of texts, for rpi."""
    return build(tiny("text-classification"), "rpi", recipes=("fp32",))[0]


@pytest.fixture
def board(tmp_path: Path, build: Build, tiny: Callable[[str], Path]) -> Path:
    """A third party's target that brings an app of its own: two forms, and blocks in comments."""
    folder = tmp_path / "board"
    home = folder / "app" / "EdgepackModel"
    home.mkdir(parents=True)
    (folder / "target.toml").write_text(
        'title = "A board"\nformat = "onnx"\nruntime = "onnxruntime"\nruntime_version = ">=1.23"\nopset = 17\n'
        'profiles = {one = {isa = "arm64", memory = "1 GB", threads = 2}}\ndefault_recipes = {"*" = "fp32"}\n'
    )
    (folder / "app" / "app.toml").write_text(
        'title = "a board\'s app"\nfolder = "EdgepackModel"\nproject = ["Board.xyz", "*.boardproj"]\n'
        'reserved = ["Class"]\n'
        '[forms.package]\ntitle = "inside"\nbundle = "data/bundle"\n'
        '[forms.assets]\ntitle = "beside"\nbundle = "assets/edgepack_model"\nfiles = ["assets.txt"]\n'
        '[tasks.text-classification]\ntype = "Classifier"\nfiles = ["Classifier.swift"]\n'
        '[tasks.text-embedding]\ntype = "Embedder"\nfiles = ["Embedder.swift"]\n'
    )
    (home / "Classifier.swift").write_text(
        "/// @labels@ labels, of @model@\nclass Classifier {} // EdgepackModel edgepackModel edgepack_model "
        "edgepack-model\n// edgepack:if text\nlet text = 1\n// edgepack:end\n/* edgepack:if image audio */\n"
        "let image = 1\n/* edgepack:end */\n"
    )
    (home / "Embedder.swift").write_text("class Embedder {}\n")
    (home / "assets.txt").write_text("assets\n")
    (home / "run.sh").write_text("#!/bin/sh\n")
    (home / "run.sh").chmod(0o755)
    (home / "icon.png").write_bytes(b"\x89PNG\xff")
    return folder


@pytest.fixture
def boards(board: Path, build: Build, tiny: Callable[[str], Path]) -> Bundle:
    """A bundle for that target."""
    return build(tiny("text-classification"), str(board))[0]
