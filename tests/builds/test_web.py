"""Bundles for browsers: images of one channel, whose grey the graph makes, and what a client is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import edgepack
from edgepack import suites
from edgepack.original import open_original
from edgepack.plans import Subject
from edgepack.records import Bundle
from edgepack.runtime import golden, manifest
from edgepack.runtime.engines import open_session
from edgepack.runtime.runner import Here
from edgepack.stages import validate

Build = Callable[..., tuple[Bundle, ...]]
DIGITS = Path(__file__).parents[2] / "samples" / "digits"
EQUAL = 1e-4  # of the largest logit: float32 in another order
LEVEL = 0.05  # of a logit: what half a level of 255 in every pixel comes to


@pytest.fixture(scope="module")
def digits(build: Build) -> tuple[Bundle, ...]:
    """For browsers as int8 and fp32, and for a desktop."""
    web = build(DIGITS / "model", "web", recipes=("int8", "fp32"))
    return *web, *build(DIGITS / "model", "desktop", recipes=("fp32",))


def test_the_graph_takes_three_channels(digits: tuple[Bundle, ...]) -> None:
    for bundle in digits[:2]:
        facts = manifest.read(bundle.path)
        assert facts.model.inputs[0].shape[1:] == (3, 8, 8)
        assert onnx.load(bundle.artifact.path).graph.node[0].op_type == "Conv"
        settings = json.loads((bundle.path / "preprocessor_config.json").read_text())
        assert (settings["do_convert_rgb"], settings["image_mean"]) == (True, [0.5] * 3)
        assert json.loads((bundle.path / "config.json").read_text())["num_channels"] == 3
        assert "red, green and blue" in (bundle.path / "MODEL_CARD.md").read_text()
    assert digits[2].artifact.inputs[0].shape[1:] == (1, 8, 8)
    assert json.loads((digits[2].path / "config.json").read_text())["num_channels"] == 1


def test_grey_and_colour_are_answered_alike(digits: tuple[Bundle, ...]) -> None:
    rng, rows = np.random.default_rng(0), (DIGITS / "held-out.jsonl").read_text().splitlines()
    grey = [np.array(json.loads(row)["image"], np.uint8) for row in rows[:40]]
    colour = [np.clip(digit[..., None] + rng.integers(-40, 40, 3), 0, 255).astype(np.uint8) for digit in grey]
    web, desktop = (edgepack.load(digits[place].path) for place in (1, 2))
    for images, most in ((grey, EQUAL), (colour, LEVEL)):
        made, true = (
            open_session(bundle.artifact.path, "onnx")(model.feeds(images))["logits"]
            for bundle, model in ((digits[1], web), (digits[2], desktop))
        )
        assert np.abs(made - true).max() <= most * np.abs(true).max()


def test_its_golden_vectors_and_its_suite_pass(digits: tuple[Bundle, ...]) -> None:
    for bundle in digits[:2]:
        facts = manifest.read(bundle.path)
        found = golden.check(open_session(bundle.artifact.path, "onnx"), facts, edgepack.load(bundle.path).feeds)
        assert found.passed
        with open_original(Subject.of(bundle.source)) as original:
            result = validate.validate(Here(facts), suites.read(DIGITS / "release.toml"), originals={"model": original})
        kept = {found.check.name: found.passed for found in result.results if found.check.kind != "size"}
        assert len(kept) == 3
        assert all(kept.values()), kept


def test_it_says_which_clients_it_needs(digits: tuple[Bundle, ...], build: Build, tmp_path: Path) -> None:
    plain, new = "ONNX opset 17", "ONNX opset 17, transformers.js 4 (onnxruntime-web 1.23 or later)"
    assert {bundle.artifact.needs for bundle in digits} == {plain}
    storyteller = DIGITS.parent / "storyteller" / "model"
    (story,) = build(storyteller, "web", recipes=("fp32",))
    facts = manifest.read(story.path)
    assert (facts.model.needs, facts.model.path) == (new, story.artifact.path)
    (coarse,) = build(DIGITS / "model", "web", recipes=("int4",), allow_loss=True)
    assert coarse.artifact.needs == new
