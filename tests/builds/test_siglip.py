"""SigLIP from a folder to answers: each label's probability is the one that transformers' pipeline gives."""

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
from safetensors.torch import load_file, save_file
from tests.unit.texts.conftest import BERT_NAMES, save_tokenizer, wordpiece

import edgepack
from edgepack import embed
from edgepack.errors import DamagedWeights, UsageError
from edgepack.records import Bundle
from edgepack.runtime import manifest
from edgepack.stages import resolve

pytestmark = pytest.mark.filterwarnings("ignore")
TASK = "zero-shot-image-classification"
LABELS = ["a cat", "a dog that sleeps", "rain"]
Build = Callable[..., tuple[Bundle, ...]]


def save(folder: Path) -> Path:
    """A SigLIP as SigLIP 2 of a fixed size has it: a fast tokenizer, texts without a mask."""
    tokenizer = wordpiece()
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **BERT_NAMES}
    save_tokenizer(tokenizer, folder, model_input_names=["input_ids"], **settings)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    words = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 64, "pad_token_id": 0}
    config = transformers.SiglipConfig(
        text_config={**sizes, **words, "projection_size": 32},
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
    )
    torch.manual_seed(3)
    model = transformers.SiglipModel(config)
    with torch.no_grad():
        for weight in model.parameters():  # large, so that mistakes show
            if weight.ndim > 1:
                weight.normal_(0, 0.15)
        model.logit_scale.fill_(1.0)
        model.logit_bias.fill_(-0.5)
    model.save_pretrained(folder)
    processor = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("siglip") / "tiny-siglip")


@pytest.fixture(scope="module")
def bundle(folder: Path, build: Build) -> Path:
    assert resolve.resolve(str(folder)).task == TASK
    return build(folder, "rpi", recipes=("fp32",))[0].path


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [np.kron(rng.integers(0, 256, (6, 5, 3), np.uint8), np.ones((12, 14, 1), np.uint8)) for _ in range(2)]


@pytest.mark.parametrize("template", [None, "a drawing of {}"])
def test_answers_are_those_of_transformers(
    bundle: Path, folder: Path, photos: list[np.ndarray], template: str | None
) -> None:
    pipeline = transformers.pipeline(TASK, model=str(folder))
    options = {"hypothesis_template": template} if template else {}
    model = edgepack.load(bundle)
    for image in photos:
        wanted = pipeline(Image.fromarray(image), candidate_labels=LABELS, **options)
        found = model.classify(image, LABELS, template=template)
        assert [label.name for label in found] == [entry["label"] for entry in wanted]
        assert [label.score for label in found] == pytest.approx([entry["score"] for entry in wanted], abs=1e-5)
        (alone,) = model.classify(image, LABELS[:1], template=template)  # whatever the other labels are
        assert alone.score == pytest.approx({label.name: label.score for label in found}[LABELS[0]], abs=1e-6)


def test_texts_are_of_one_length(bundle: Path, folder: Path, build: Build) -> None:
    feeds = edgepack.load(bundle).submodels["text_model"].feeds(["a cat"])
    assert {name: array.shape for name, array in feeds.items()} == {"input_ids": (1, 64)}
    padding = json.loads((bundle / "tokenizer.json").read_text())["padding"]
    assert padding["strategy"] == {"Fixed": 64}
    with pytest.raises(UsageError, match="padded to 64 tokens"):
        build(folder, "rpi", recipes=("fp32",), context=32)


def test_web(bundle: Path, folder: Path, build: Build, photos: list[np.ndarray]) -> None:
    made = build(folder, "web", recipes=("fp32",))[0].path
    found, wanted = (edgepack.load(each).classify(photos[0], LABELS) for each in (made, bundle))
    assert [label.score for label in found] == pytest.approx([label.score for label in wanted], abs=1e-6)


def test_apps_that_have_no_sigmoid(folder: Path, build: Build, tmp_path: Path) -> None:
    bundle = build(folder, "android", recipes=("fp32",))[0].path
    with pytest.raises(UsageError, match="no wrapper for SigLIP's scores"):
        embed.embed(embed.Request(listed=manifest.read(bundle), into=tmp_path))


def test_a_bias_that_is_missing(folder: Path, build: Build, tmp_path: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    del stored["logit_bias"]
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(stored, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(DamagedWeights, match="hold no logit_bias"):
        build(tmp_path, "rpi", recipes=("fp32",))
