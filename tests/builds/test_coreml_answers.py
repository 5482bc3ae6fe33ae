"""Core ML packages answer as transformers does, from the image or the text on, without a Mac."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import edgepack
from edgepack.records import Bundle

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

Build = Callable[..., tuple[Bundle, ...]]
CLOSE = 1e-4  # of a probability
FAR = 1e-5  # relative, of float32 arithmetic in another order
SIDE = {"height": 32, "width": 32}
GREY = {"image_processor_type": "ViTImageProcessor", "size": SIDE, "image_mean": [0.2], "image_std": [0.3]}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "grey": ({"num_channels": 1}, {**GREY, "do_convert_rgb": False}),
    "reversed channels": ({}, {"image_processor_type": "MobileViTImageProcessor", "size": 40, "crop_size": SIDE}),
    "include_top": ({}, {"image_processor_type": "EfficientNetImageProcessor", "size": SIDE, "crop_size": SIDE}),
    "include_top with an offset": (
        {},
        {
            "image_processor_type": "EfficientNetImageProcessor",
            "size": SIDE,
            "crop_size": SIDE,
            "rescale_offset": True,
            "rescale_factor": 1 / 127.5,
        },
    ),
}
TEXTS = ["ada lovelace wrote the first program in london", "rain", "rain fell on paris all day and all night"]


def seeing(folder: Path, config: dict[str, Any], facts: dict[str, Any]) -> Path:
    """A small ViT for images that are prepared by ``facts``."""
    folder.mkdir()
    made = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, initializer_range=0.15, id2label={i: f"class {i}" for i in range(6)}, **config,
    )  # fmt: skip
    torch.manual_seed(5)
    transformers.ViTForImageClassification(made).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_images(kind: str, build: Build, photo: np.ndarray, tmp_path: Path) -> None:
    config, facts = KINDS[kind]
    folder = seeing(tmp_path / "model", config, facts)
    given = Image.fromarray(photo).resize((48, 60))
    if config:
        given = given.convert("L")
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)(given, return_tensors="pt")
    with torch.no_grad():
        true = model(**pixels).logits.softmax(-1)[0]
    bundle = build(folder, "iphone", recipes=("fp32",), allow_loss=True)[0]
    found = {label.name: label.score for label in edgepack.load(bundle.path).classify(np.asarray(given))}
    wanted = {f"class {i}": float(score) for i, score in enumerate(true)}
    assert {name: wanted[name] for name in found} == pytest.approx(found, abs=CLOSE)
    assert next(iter(found)) == max(wanted, key=lambda name: wanted[name])


@pytest.mark.parametrize("lengths", [(), (32,), (16, 32)], ids=str)
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_rows_of_mixed_lengths(
    rows: int, lengths: tuple[int, ...], tiny: Callable[[str], Path], classifiers: Callable[..., Bundle]
) -> None:
    """A package takes one text; rows of a padded batch are answered as PyTorch answers them together."""
    bundle = classifiers(lengths)
    assert all(spec.shape[0] == 1 for spec in bundle.artifact.inputs)
    opened = edgepack.load(bundle.path)
    feeds = opened.text.encode(TEXTS[:rows])[0]
    assert rows == 1 or not feeds["attention_mask"].all()
    original = transformers.AutoModelForSequenceClassification.from_pretrained(tiny("text-classification")).eval()
    with torch.no_grad():
        true = original(**{name: torch.from_numpy(array) for name, array in feeds.items()}).logits
    made = opened._runs["model"](feeds)["logits"]
    np.testing.assert_allclose(made, true, atol=FAR * float(true.abs().max()))
    alone = [label.score for text in TEXTS[:rows] for label in opened.classify(text)]
    together = [label.score for labels in opened.classify(TEXTS[:rows]) for label in labels]
    np.testing.assert_allclose(together, alone, atol=CLOSE)


@pytest.fixture(scope="module")
def classifiers(build: Build, tiny: Callable[[str], Path]) -> Callable[..., Bundle]:
    """The tiny classifier of texts for ``lengths`` (none: any), each built once."""
    made: dict[tuple[int, ...], Bundle] = {}

    def get(lengths: tuple[int, ...]) -> Bundle:
        if lengths not in made:
            made[lengths] = build(
                tiny("text-classification"), "iphone", recipes=("fp32",), lengths=lengths, allow_loss=True
            )[0]
        return made[lengths]

    return get
