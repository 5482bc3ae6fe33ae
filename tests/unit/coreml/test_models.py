"""Whole models, converted as users convert them, against PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
import transformers

from edgepack import plugins
from edgepack.coreml import Package

from .conftest import values

plugins.load_module(
    "edgepack.formats.coreml.export.torch_ops"
)  # coremltools lacks what transformers 5 writes masks with

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

FULL = 1e-4  # relative: float32 throughout, other orders of sums
HALF = 2e-2  # relative to the largest output: float16 activations
_SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_TEXT = {"vocab_size": 99, "max_position_embeddings": 40}
IDS = np.random.default_rng(0).integers(1, 99, (1, 12)).astype(np.int32)
MASK = np.array([[1] * 9 + [0] * 3], np.int32)
PICTURE = values(1, 3, 32, 32)


class Outputs(torch.nn.Module):
    """A model that gives the tensor ``key`` of its output."""

    def __init__(self, model: Any, key: str, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.key, self.names = model, key, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.model(**dict(zip(self.names, inputs, strict=True)))[self.key]


def bert() -> Any:
    return transformers.BertModel(transformers.BertConfig(**_SIZES, **_TEXT))


def distilbert() -> Any:
    return transformers.DistilBertModel(
        transformers.DistilBertConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=4, **_TEXT)
    )


def clip_text() -> Any:
    config = transformers.CLIPTextConfig(**_SIZES, **_TEXT, bos_token_id=1, eos_token_id=2, attn_implementation="eager")
    return transformers.CLIPTextModel(config)


def clip_vision() -> Any:
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**_SIZES, image_size=32, patch_size=8))


def whisper() -> Any:
    parts = (
        {f"{part}_layers": 2, f"{part}_attention_heads": 4, f"{part}_ffn_dim": 64} for part in ("encoder", "decoder")
    )
    sizes = {**next(parts), **next(parts), "d_model": 32, "num_mel_bins": 8, "max_source_positions": 20}
    return transformers.WhisperModel(transformers.WhisperConfig(**sizes)).encoder


def roberta() -> Any:
    return transformers.RobertaModel(transformers.RobertaConfig(**_SIZES, **_TEXT))


def vit() -> Any:
    return transformers.ViTModel(transformers.ViTConfig(**_SIZES, image_size=32, patch_size=8))


def mobilenet() -> Any:
    return transformers.MobileNetV2Model(transformers.MobileNetV2Config(image_size=32, depth_multiplier=0.35))


def resnet() -> Any:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return transformers.ResNetModel(config)


def convnext() -> Any:
    return transformers.ConvNextModel(transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2))


class Unet(torch.nn.Module):
    """What denoisers are made of: group norms, time steps, attention over pixels, pictures made smaller and larger."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 16, 3, padding=1)
        self.norms = torch.nn.ModuleList(torch.nn.GroupNorm(4, 16) for _ in range(3))
        self.down = torch.nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.qkv, self.out = torch.nn.Linear(16, 48), torch.nn.Linear(16, 16)
        self.up = torch.nn.ConvTranspose2d(16, 16, 3, stride=2, padding=1, output_padding=1)
        self.last = torch.nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, picture: torch.Tensor, time: torch.Tensor) -> dict[str, torch.Tensor]:
        waves = torch.exp(-torch.arange(8) / 8)
        steps = time[:, None] * waves
        x = self.first(picture) + torch.cat([steps.sin(), steps.cos()], -1)[:, :, None, None]
        low = torch.nn.functional.silu(self.norms[0](self.down(x)))
        flat = low.flatten(2).transpose(1, 2)
        q, k, v = (part.unflatten(-1, (2, 8)).transpose(1, 2) for part in self.qkv(flat).chunk(3, -1))
        seen = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        low = low + self.out(seen.transpose(1, 2).flatten(2)).transpose(1, 2).reshape(low.shape)
        twice = torch.nn.functional.interpolate(self.norms[1](low), scale_factor=2.0, mode="nearest")
        smooth = torch.nn.functional.interpolate(low, size=(32, 32), mode="bilinear", align_corners=False)
        wide = torch.nn.functional.pad(self.norms[2](self.up(low)), (1, 1, 1, 1), mode="reflect")[:, :, 1:-1, 1:-1]
        return {"out": self.last(torch.cat([torch.nn.functional.gelu(twice + wide), x * smooth.sigmoid()], 1))}


class Recurrent(torch.nn.Module):
    """A bidirectional LSTM over convolutions, as speech models have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(8, 12, 3, padding=1)
        self.layers = torch.nn.LSTM(12, 8, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, sound: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.layers(torch.relu(self.conv(sound)).transpose(1, 2))[0].log_softmax(-1)}


TEXT = {"input_ids": IDS, "attention_mask": MASK}
MODELS: dict[str, tuple[Any, str, dict[str, np.ndarray[Any, Any]]]] = {
    "bert": (bert, "last_hidden_state", TEXT),
    "distilbert": (distilbert, "last_hidden_state", TEXT),
    "roberta": (roberta, "last_hidden_state", TEXT),
    "clip-text": (clip_text, "last_hidden_state", {"input_ids": IDS}),
    "clip-vision": (clip_vision, "pooler_output", {"pixel_values": PICTURE}),
    "whisper": (whisper, "last_hidden_state", {"input_features": values(1, 8, 40)}),
    "unet": (Unet, "out", {"picture": PICTURE, "time": np.array([3.0], np.float32)}),
    "recurrent": (Recurrent, "out", {"sound": values(1, 8, 20)}),
    "vit": (vit, "pooler_output", {"pixel_values": PICTURE}),
    "mobilenet": (mobilenet, "pooler_output", {"pixel_values": PICTURE}),
    "resnet": (resnet, "pooler_output", {"pixel_values": PICTURE}),
    "convnext": (convnext, "pooler_output", {"pixel_values": PICTURE}),
}


def converted(
    name: str, path: Path, target: Any, precision: Any
) -> tuple[Package, dict[str, Any], np.ndarray[Any, Any]]:
    """(the package, its inputs, what PyTorch gives for them)."""
    make, key, feeds = MODELS[name]
    torch.manual_seed(0)
    model = Outputs(make().eval(), key, tuple(feeds))
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)  # as it is, little would be left after some layers
    given = [torch.from_numpy(array) for array in feeds.values()]
    with torch.no_grad():
        wanted = model(*given).numpy()
        traced = torch.jit.trace(model, given, check_trace=False)
    inputs = [ct.TensorType(name=name, shape=array.shape, dtype=array.dtype) for name, array in feeds.items()]
    made = ct.convert(
        traced,
        inputs=inputs,
        outputs=[ct.TensorType(name="out")],
        minimum_deployment_target=target,
        compute_precision=precision,
        skip_model_load=True,
    )
    made.save(str(path))
    return Package(path, threads=1, native=False), feeds, wanted


@pytest.mark.parametrize("target", [ct.target.iOS16, ct.target.iOS18], ids=["ios16", "ios18"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_same_in_float32(name: str, target: Any, tmp_path: Path) -> None:
    package, feeds, wanted = converted(name, tmp_path / "model.mlpackage", target, ct.precision.FLOAT32)
    found = package(feeds)["out"]
    assert np.abs(found - wanted).max() <= FULL * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["bert", "vit", "mobilenet"])
def test_a_model_in_float16_is_near(name: str, tmp_path: Path) -> None:
    package, feeds, wanted = converted(name, tmp_path / "model.mlpackage", ct.target.iOS17, ct.precision.FLOAT16)
    rounded, full = (package(feeds, precision=one)["out"] for one in ("declared", "float32"))
    for found in (rounded, full):
        assert np.abs(found - wanted).max() <= HALF * np.abs(wanted).max()
    assert not np.array_equal(rounded, full)
