"""The decor sample: what it draws, its tokenizer, the rules that judge images, and the model that is committed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors import safe_open

FOLDER = Path(__file__).parents[2] / "samples" / "decor"
MODEL = FOLDER / "model"
Modules = Callable[[str], ModuleType]
"""A module of the sample, by name."""


@pytest.fixture(scope="module")
def modules() -> Iterator[Modules]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        own = [file.stem for file in FOLDER.glob("*.py")]
        others = {name: sys.modules.pop(name, None) for name in own}
        yield lambda name: __import__(name)
        for name, module in others.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def test_images_are_the_same_twice_and_differ_by_number(modules: Modules) -> None:
    rooms = modules("rooms")
    sofa = rooms.Caption("red", "sofa", "by a window")
    assert str(sofa) == "a red sofa by a window"
    assert str(rooms.Caption("orange", "bed", "")) == "an orange bed"
    image = rooms.draw(sofa, 3)
    assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)
    assert np.array_equal(image, rooms.draw(sofa, 3))
    assert not np.array_equal(image, rooms.draw(sofa, 4))


def test_one_pair_of_each_colour_and_furniture_is_held_out(modules: Modules) -> None:
    rooms = modules("rooms")
    pairs = {caption[:2] for caption in rooms.captions() if rooms.held_out(caption)}
    assert Counter(colour for colour, _ in pairs) == dict.fromkeys(rooms.COLOURS, 1)
    assert Counter(furniture for _, furniture in pairs) == dict.fromkeys(rooms.FURNITURE, 1)


def test_the_rules_are_right_about_drawings(modules: Modules) -> None:
    rooms, judge = modules("rooms"), modules("judge").judge
    for caption in rooms.captions()[::13]:
        image = rooms.draw(caption, 1000)
        assert all(judge(caption, image)), caption
        colours, furniture = list(rooms.COLOURS), list(rooms.FURNITURE)
        another = caption._replace(colour=colours[colours.index(caption.colour) - 1])
        assert not judge(another, image).colour
        another = caption._replace(furniture=furniture[furniture.index(caption.furniture) - 1])
        assert not judge(another, image).furniture


def test_an_empty_room_shows_nothing(modules: Modules) -> None:
    judge, caption = modules("judge").judge, modules("rooms").Caption("black", "lamp", "")
    assert not judge(caption, np.full((64, 64, 3), 230, np.uint8)).colour


def test_the_tokenizer_is_what_the_script_makes_and_knows_every_word(modules: Modules, tmp_path: Path) -> None:
    texts = list(map(str, modules("rooms").captions()))
    tokenizer = modules("tokens").write(tmp_path, texts)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (MODEL / "tokenizer" / file.name).read_bytes(), file.name
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    for text, ids in zip(texts, tokenizer(texts).input_ids, strict=True):
        assert (ids[0], ids[-1], len(ids)) == (start, end, len(text.split()) + 2)


def test_the_model_is_small_and_whole() -> None:
    files = [file for file in MODEL.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 8_000_000
    index = json.loads((MODEL / "model_index.json").read_text())
    assert (index["_class_name"], index["requires_safety_checker"]) == ("StableDiffusionPipeline", False)
    for file in MODEL.rglob("*.safetensors"):
        with safe_open(file, "np") as weights:
            assert all(np.isfinite(weights.get_tensor(name)).all() for name in weights.keys()), file  # noqa: SIM118


def test_the_asked_colour_and_furniture_come_out(modules: Modules) -> None:
    """Of one held-out caption per pair, as evaluate.py has it for all of them."""
    rooms, evaluate, judge = modules("rooms"), modules("evaluate"), modules("judge").judge
    asked = [caption for caption in rooms.captions() if rooms.held_out(caption)]
    asked = [caption for number, caption in enumerate(asked) if number % 5 == number // 5 % 5]
    generate = evaluate.pipeline()
    colour, furniture = np.mean([judge(caption, generate(caption, 7)) for caption in asked], axis=0)
    assert colour >= 7 / 8
    assert furniture >= 7 / 8


def test_the_release_suite_is_the_one_that_the_documentation_runs() -> None:
    """Which builds the sample, too, and judges the colours of the bundle's images."""
    told = (FOLDER.parents[1] / "docs" / "stable-diffusion.md").read_text("utf-8")
    for language, file in (("toml", "release.toml"), ("jsonl", "prompts.jsonl")):
        assert f"```{language}\n{(FOLDER / file).read_text('utf-8')}```" in told
    assert "python evaluate.py --bundle" in told
