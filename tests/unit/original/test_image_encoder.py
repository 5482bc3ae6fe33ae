"""An image's vector is one that transformers or the model's authors give, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from edgepack.errors import UnsupportedModel
from edgepack.original.pytorch import ImageEncoder
from edgepack.tasks import image_embedding

VISION: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 16,
    "patch_size": 8,
}  # fmt: skip
STAGES: dict[str, Any] = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]}
PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def _encoder(name: str, options: dict[str, Any], **more: Any) -> ImageEncoder:
    kind = getattr(transformers, f"{name}Model")
    return ImageEncoder(kind(kind.config_class(**options), **more).eval()).eval()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SiglipVision", {**VISION, "image_size": 64, "vision_use_head": False}),
        ("Segformer", STAGES),
        ("PoolFormer", {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}),
        ("IJepa", {**VISION, "image_size": 64}),
    ],
)
def test_none_is_made_of_a_patch(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedModel, match=f"{name}Model gives no vector"):
        _encoder(name, options)(PIXELS)


@pytest.mark.parametrize("name", ["ViT", "DeiT", "Beit"])
def test_the_class_token_where_there_is_no_pooler(name: str) -> None:
    encoder = _encoder(name, {**VISION, "image_size": 64}, add_pooling_layer=False)
    with torch.no_grad():
        found = encoder(PIXELS)
    torch.testing.assert_close(found["image_embedding"], found["last_hidden_state"][:, 0])


def test_the_head_where_there_is_one() -> None:
    encoder = _encoder("SiglipVision", {**VISION, "image_size": 64})
    with torch.no_grad():
        torch.testing.assert_close(encoder(PIXELS)["image_embedding"], encoder.encoder(PIXELS).pooler_output)


@pytest.mark.parametrize(
    ("config", "width"),
    [
        ({"architectures": ["CLIPVisionModelWithProjection"], "projection_dim": 12, "hidden_size": 16}, 12),
        ({"architectures": ["CLIPVisionModel"], "projection_dim": 12, "hidden_size": 16}, 16),
        ({"architectures": ["ViTModel"], "pooler_output_size": 20, "hidden_size": 16}, 20),
        ({"architectures": ["ResNetModel"], "hidden_sizes": [8, 24]}, 24),
    ],
)
def test_the_width_is_the_vectors(config: dict[str, Any], width: int) -> None:
    assert image_embedding._width(config) == width


def test_a_config_without_a_head_is_refused_before_the_weights_are_read(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="SiglipVisionModel gives no vector"):
        image_embedding.processing(tmp_path, {"model_type": "siglip_vision_model", "vision_use_head": False})
