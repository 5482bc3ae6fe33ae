"""LoRAs of pipelines, in diffusers' names and kohya's: the built images are those that diffusers makes with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils.peft_utils import set_weights_and_activate_adapters
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, inject_adapter_in_model
from safetensors.torch import save_file
from tests import diffusion_models
from tests.pipelines import quiet

import edgepack
from edgepack import pipeline
from edgepack.errors import ModelError, UnsafeModel, UnsupportedModel
from edgepack.original import pytorch
from edgepack.records import Bundle
from edgepack.stages import resolve
from edgepack.tasks import _diffusion

Build = Callable[..., tuple[Bundle, ...]]
SCALE = 0.7
TARGETS = {"unet": ["to_q", "to_v"], "text_encoder": ["q_proj", "v_proj"]}
SETTINGS: dict[str, Any] = {"r": 2, "init_lora_weights": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return diffusion_models.save("sd", tmp_path_factory.mktemp("model") / "sd")


@pytest.fixture(scope="module")
def loras(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One LoRA of both parts in each way of writing it."""
    folder = tmp_path_factory.mktemp("loras")
    torch.manual_seed(5)
    with quiet():
        whole = StableDiffusionPipeline.from_pretrained(model)
    states: dict[str, dict[str, torch.Tensor]] = {}
    for part, targets in TARGETS.items():
        changed = get_peft_model(getattr(whole, part), LoraConfig(lora_alpha=3, **SETTINGS, target_modules=targets))
        given = get_peft_model_state_dict(changed)
        states[part] = {key.removeprefix("base_model.model."): value.contiguous() for key, value in given.items()}
    facts = {f"{part}_lora_adapter_metadata": {"r": 2, "lora_alpha": 3} for part in states}
    StableDiffusionPipeline.save_lora_weights(folder, states["unet"], states["text_encoder"], **facts)
    kohya = {}
    for part, prefix in (("unet", "lora_unet_"), ("text_encoder", "lora_te_text_model_")):
        for key, value in states[part].items():
            module, _, factor = key.removesuffix(".weight").rpartition(".")
            name = prefix + module.removeprefix("text_model.").replace(".", "_")
            kohya[f"{name}.{'lora_down' if factor == 'lora_A' else 'lora_up'}.weight"] = value
            kohya[f"{name}.alpha"] = torch.tensor(3.0)
    save_file(kohya, folder / "kohya.safetensors")
    return {"diffusers": folder / "pytorch_lora_weights.safetensors", "kohya": folder / "kohya.safetensors"}


def of_peft(model: Path) -> Any:
    """The latents of diffusers' pipeline whose parts peft has merged the LoRA into."""
    torch.manual_seed(5)  # as the LoRA was drawn
    with quiet():
        whole = StableDiffusionPipeline.from_pretrained(model)
    merged = {}
    for part, targets in TARGETS.items():
        config = LoraConfig(lora_alpha=3 * SCALE, **SETTINGS, target_modules=targets)
        merged[part] = get_peft_model(getattr(whole, part), config).merge_and_unload()
    with quiet():
        whole = StableDiffusionPipeline.from_pretrained(model, **merged)
        whole.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(4)
        return whole("a red sofa", num_inference_steps=3, generator=generator, output_type="latent").images[0].numpy()


@pytest.mark.parametrize("names", ["diffusers", "kohya"])
def test_a_lora_is_merged_as_diffusers_does(names: str, model: Path, loras: dict[str, Path], build: Build) -> None:
    (bundle,) = build(model, "rpi", recipes=("fp32",), adapters=(f"{loras[names]}:{SCALE}",))
    (made,) = edgepack.load(bundle.path).generate("a red sofa", steps=3, seed=4)
    true = of_peft(model)
    assert np.abs(made.latents - true).max() < 1e-4 * np.abs(true).max()
    (plain,) = build(model, "rpi", recipes=("fp32",))
    (without,) = edgepack.load(plain.path).generate("a red sofa", steps=3, seed=4)
    assert np.abs(without.latents - true).max() > 1e-3 * np.abs(true).max()
    assert bundle.source.sha256 != plain.source.sha256


def test_several_loras_are_merged_as_diffusers_weighs_them(model: Path, tmp_path: Path) -> None:
    with quiet():
        theirs = UNet2DConditionModel.from_pretrained(model / "unet")
    scales = {"first": 0.8, "second": -0.5}
    for seed, name in enumerate(scales):
        torch.manual_seed(seed)
        with quiet():
            inject_adapter_in_model(LoraConfig(lora_alpha=2, **SETTINGS, target_modules=TARGETS["unet"]), theirs, name)
        state = get_peft_model_state_dict(theirs, adapter_name=name)
        named = {f"unet.{key}": value.contiguous() for key, value in state.items()}
        save_file(named, tmp_path / f"{name}.safetensors")
    set_weights_and_activate_adapters(theirs, list(scales), list(scales.values()))
    files = [f"{tmp_path / name}.safetensors:{scale}" for name, scale in scales.items()]
    sources = {
        adapters: resolve.resolve(str(model), adapters=adapters)
        for adapters in (tuple(files), tuple(files[:1]), tuple(files[1:]))
    }
    given = torch.randn(1, 4, 16, 16), torch.tensor(7.0), torch.randn(1, 9, 32)
    with torch.inference_mode(), quiet():
        true = theirs(*given).sample
        apart = []
        for source in sources.values():
            unet = pytorch.open_path(model / "unet", "", "sd", _diffusion.UNET, source.adapter_paths)
            apart.append(float((unet(*given)["out_sample"] - true).abs().max() / true.abs().max()))
    assert apart[0] < 1e-5 < 1e-3 < min(apart[1:])
    assert len({source.sha256 for source in sources.values()}) == len(sources)
    assert sources[tuple(files)].adapters == ("first.safetensors:0.8", "second.safetensors:-0.5")
    named = {"model": "sd", "sha256": sources[tuple(files)].sha256, "revision": None}
    assert resolve.references(named) == (str(model), tuple(files))


EVERYWHERE = ("to_q", "to_out.0", "ff.net.2", "time_emb_proj", "conv1", "conv_shortcut", "proj_in", "conv")
# how files name the factors of a UNet's layer and its alpha, which is half of the rank here
NAMES: dict[str, tuple[str, ...]] = {
    "kohya": ("lora_unet_{under}.lora_down.weight", "lora_unet_{under}.lora_up.weight", "lora_unet_{under}.alpha"),
    "without a prefix": ("{module}.lora_A.weight", "{module}.lora_B.weight"),
    "of peft": ("base_model.model.{module}.lora_A.weight", "base_model.model.{module}.lora_B.weight"),
    "of other programs": ("diffusion_model.{module}.lora_A.weight", "diffusion_model.{module}.lora_B.weight"),
}


@pytest.mark.parametrize("names", NAMES)
def test_every_layer_of_a_unet_is_changed_by_its_own_alpha(names: str, model: Path, tmp_path: Path) -> None:
    """W + alpha / rank * B A (arXiv 2106.09685) of every kind of layer, in each way of naming them."""
    with quiet():
        theirs = UNet2DConditionModel.from_pretrained(model / "unet")
    torch.manual_seed(2)
    stored, wanted = {}, {name: value.detach().clone() for name, value in theirs.named_parameters()}
    for module, layer in theirs.named_modules():
        if module.endswith(EVERYWHERE) and isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            kernel, one = (layer.kernel_size, (1, 1)) if isinstance(layer, torch.nn.Conv2d) else ((), ())
            down = torch.randn(4, layer.weight.shape[1], *kernel)
            up = torch.randn(layer.weight.shape[0], 4, *one)
            share = 0.5 if len(NAMES[names]) > 2 else 1.0
            change = torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1)).reshape(layer.weight.shape)
            wanted[f"{module}.weight"] += share * change
            known = {"module": module, "under": module.replace(".", "_")}
            for form, value in zip(NAMES[names], (down, up, torch.tensor(2.0)), strict=False):
                stored[form.format(**known)] = value
    save_file(stored, tmp_path / "lora.safetensors")
    merged = pytorch.open_path(model / "unet", "", "sd", _diffusion.UNET, (tmp_path / "lora.safetensors",))
    for name, value in merged.unet.named_parameters():
        assert torch.allclose(value, wanted[name], atol=1e-5), name


@pytest.mark.parametrize(
    ("name", "tensors", "error", "told"),
    [
        ("x.safetensors", {"lora_unet_mid_block_x.hada_w1_a": torch.zeros(2)}, UnsupportedModel, "LoHa"),
        ("x.safetensors", {"unet.conv_in.weight": torch.zeros(2)}, ModelError, "is not a LoRA"),
        (
            "x.safetensors",
            {f"unet.mid_block.nowhere.to_q.lora_{part}.weight": torch.zeros(2, 2) for part in "AB"},
            ModelError,
            "another base",
        ),
        ("x.safetensors", {"down_blocks.9.to_q.lora_A.weight": torch.zeros(2, 2)}, ModelError, "lacks a factor"),
        (
            "x.safetensors",
            {f"text_encoder_2.x.q_proj.lora_{part}.weight": torch.zeros(2, 2) for part in "AB"},
            ModelError,
            "another base: it changes a second text encoder",
        ),
        (
            "x.safetensors",
            {f"unet.conv_in.lora_{part}.weight": torch.full((2, 2), math.nan) for part in "AB"},
            ModelError,
            "holds NaN or infinity in conv_in",
        ),
        (
            "x.safetensors",
            {
                "unet.conv_in.lora_A.weight": torch.zeros(0, 4, 3, 3),
                "unet.conv_in.lora_B.weight": torch.zeros(4, 0, 1, 1),
            },
            ModelError,
            "holds nothing in conv_in",
        ),
        ("x.safetensors", {"lora_unet_conv_in.lora_mid.weight": torch.zeros(2)}, UnsupportedModel, "Tucker"),
        ("x.bin", {}, UnsafeModel, "pickled"),
        ("x.safetensors:much", {}, ModelError, "is not a number"),
        ("missing.safetensors", None, ModelError, "missing.safetensors"),
    ],
)
def test_what_is_no_lora_of_the_model_is_told(
    name: str, tensors: Any, error: type[ModelError], told: str, model: Path, tmp_path: Path
) -> None:
    if tensors is not None:
        save_file(tensors, tmp_path / name.partition(":")[0])
    with pytest.raises(error, match=told):
        pipeline.plan(pipeline.Request(model=str(model), targets=("rpi",), adapters=(str(tmp_path / name),)))
