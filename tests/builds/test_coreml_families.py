"""Families whose programs need something that BERT's and ViT's do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

from edgepack.errors import ConversionError
from edgepack.records import Bundle, NotMeasured

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

Build = Callable[..., tuple[Bundle, ...]]
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def least(bundle: Bundle) -> float:
    (found,) = [a.compressed for a in bundle.accuracy if a.metric == "cosine_min"]
    assert not isinstance(found, NotMeasured)
    return found


def test_masks_of_the_least_float(build: Build, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """MPNet multiplies its mask by float32's least number."""
    model = tmp_path / "mpnet"
    shutil.copytree(tiny("text-embedding"), model)
    config = json.loads((model / "config.json").read_text())
    torch.manual_seed(1)
    own = transformers.MPNetConfig(
        vocab_size=config["vocab_size"], intermediate_size=128, max_position_embeddings=66, pad_token_id=1, **SMALL
    )
    transformers.MPNetModel(own).save_pretrained(model)
    assert least(build(model, "iphone", recipes=("fp16",))[0]) > 0.9999


def test_positions_that_are_resized(build: Build, tmp_path: Path) -> None:
    """DINOv2's positions are resized to the images, cubic, to a shape that ONNX Runtime's operator does not take."""
    names = {i: f"class {i}" for i in range(5)}
    torch.manual_seed(1)
    own = transformers.Dinov2Config(image_size=32, patch_size=8, id2label=names, initializer_range=0.15, **SMALL)
    transformers.Dinov2ForImageClassification(own).save_pretrained(tmp_path / "dino")
    transformers.ViTImageProcessor(size={"height": 40, "width": 24}).save_pretrained(tmp_path / "dino")
    assert least(build(tmp_path / "dino", "rpi", recipes=("fp32",))[0]) > 0.9999
    whole, small = build(tmp_path / "dino", "iphone", recipes=("fp16", "int8"), allow_loss=True)
    assert least(whole) > 0.9999
    assert least(small) > 0.99
    assert {part.name for part in small.artifact.components} >= {"attention", "embedding", "head", "mlp"}


def test_small_convolutions(build: Build, tmp_path: Path) -> None:
    torch.manual_seed(1)
    own = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], id2label={i: f"class {i}" for i in range(5)}
    )
    transformers.ResNetForImageClassification(own).save_pretrained(tmp_path / "resnet")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "resnet")
    made = build(tmp_path / "resnet", "iphone", allow_loss=True)[0]
    assert made.artifact.coverage.share > 0.95
    assert least(made) > 0.99


def test_what_float16_cannot_hold(build: Build, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model = tmp_path / "loud"
    shutil.copytree(tiny("text-embedding"), model)
    weights = load_file(model / "model.safetensors")
    weights["embeddings.LayerNorm.weight"] = np.full_like(weights["embeddings.LayerNorm.weight"], 1e9)
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConversionError, match=r"computes NaN for \d+ of \d+ inputs") as caught:
        build(model, "iphone", recipes=("fp16",), allow_loss=True)
    assert "fp32" in str(caught.value.hint)
    assert least(build(model, "iphone", recipes=("fp32",))[0]) > 0.9999
