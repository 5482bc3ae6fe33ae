"""Submodels of diffusion pipelines in Apple's form, computed by the evaluator, against diffusers and transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from torch import nn
from transformers import CLIPConfig, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from edgepack.coreml import Package, chain
from edgepack.coreml.renaming import RENAMING, Renaming, read
from edgepack.errors import ConversionError, InputError, PackageDamaged
from edgepack.formats.coreml.export import Traced, diffusion, late
from edgepack.formats.coreml.export.compression import weights
from edgepack.formats.coreml.export.convert import parameters
from edgepack.formats.coreml.export.diffusion import chunks
from edgepack.formats.coreml.export.diffusion.modules import (
    SafetyChecker,
    TextEncoder,
    TracedPart,
    Unet,
    VaeDecoder,
    VaeEncoder,
)
from edgepack.formats.coreml.export.sensitivity import Study
from edgepack.original import diffusion as original
from edgepack.records import Recipe, Source
from edgepack.runtime.engines.coreml import Session

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

CLOSE = 1e-5  # of the largest value: float32 sums in another order
HALF = 50  # decibels that float16 keeps of these models at least
BLOCKS: dict[str, Any] = {
    "sample_size": 16,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}
VAE: dict[str, Any] = {
    "block_out_channels": (4, 8),
    "norm_num_groups": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
}
TINY: dict[str, Any] = {
    "encoder_block_out_channels": (8, 8),
    "decoder_block_out_channels": (8, 8),
    "num_encoder_blocks": (1, 1),
    "num_decoder_blocks": (1, 1),
}
TEXT = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3, "vocab_size": 999}
WIDE = {"block_out_channels": (4, 8), "cross_attention_dim": 8}
XL = {
    "block_out_channels": (2, 4),
    "cross_attention_dim": 64,
    "attention_head_dim": (2, 4),
    "transformer_layers_per_block": (1, 2),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 80,
}


def nothing() -> None:
    """Forget nothing: the modules' weights are in no file."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Whose name and licence are written into packages."""
    folder = tmp_path_factory.mktemp("source")
    return Source(
        model="tiny", name="tiny", path=folder, origin=folder, revision=None, architecture="", model_type="",
        task="text-to-image", licence=None, parameters=0, weights_bytes=0, convolutional=True, sha256="0" * 64,
    )  # fmt: skip


IMAGES = np.random.default_rng(3).normal(size=(3, 3, 16, 16)).astype(np.float32)


def unet(**options: Any) -> Unet:
    torch.manual_seed(0)
    return Unet(UNet2DConditionModel(**{**BLOCKS, **options}), (16, 16), tokens=7)


def text(kind: Any, *outputs: str) -> TextEncoder:
    torch.manual_seed(0)
    config = CLIPTextConfig(**TEXT, max_position_embeddings=7, projection_dim=12, eos_token_id=2)
    return TextEncoder(kind(config), outputs, tokens=7)


def checker() -> SafetyChecker:
    """A safety checker with concepts that some images are close to."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    vision = {**sizes, "image_size": 16, "patch_size": 8}
    made = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, text_config=TEXT, projection_dim=12))
    for name in ("concept_embeds", "special_care_embeds"):
        getattr(made, name).data.normal_()
    made.special_care_embeds_weights.data.fill_(0.1)
    with torch.inference_mode():
        scores = original.SafetyChecker(made.eval())(torch.from_numpy(IMAGES))["concept_scores"]
        made.concept_embeds_weights.data += scores.amax(1).sort().values[:2].mean()
    return SafetyChecker(made, (16, 16))


def random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def predicted(module: nn.Module, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """What diffusers' UNet gives for feeds in the form of ONNX pipelines."""
    given = {name: torch.from_numpy(array) for name, array in feeds.items()}
    added = {name: given.pop(name) for name in ("time_ids", "text_embeds") if name in given}
    return {"out_sample": module(**given, added_cond_kwargs=added).sample}


def encoded(module: nn.Module, feeds: Mapping[str, Any]) -> dict[str, Any]:
    found = module(torch.from_numpy(feeds["input_ids"]), output_hidden_states=True)
    vector = {"text_embeds": found.text_embeds} if "text_embeds" in found else {"pooler_output": found.pooler_output}
    layers = {f"hidden_states.{layer}": found.hidden_states[layer] for layer in range(3)}
    return {"last_hidden_state": found.last_hidden_state, **layers, **vector}


def decoded(module: Any, feeds: Mapping[str, Any]) -> dict[str, Any]:
    return {"sample": module.decode(torch.from_numpy(feeds["latent_sample"])).sample}


def latents(module: Any, feeds: Mapping[str, Any]) -> Any:
    return module.encode(torch.from_numpy(feeds["sample"]))


def judged(module: Any, feeds: Mapping[str, Any]) -> dict[str, Any]:
    images = torch.from_numpy(feeds["clip_input"])
    _, found = module(images, [np.zeros((2, 2, 3))] * len(images))
    assert len(set(found)) == 2  # one is suitable, another is not
    scores = original.SafetyChecker(module)(images)["concept_scores"]
    return {
        "filtered_images": torch.zeros(len(images), 512, 512, 3),
        "has_nsfw_concepts": torch.tensor(found).float(),
        "concept_scores": scores,
    }


IDS = np.array([[0, 5, 9, 2, 2, 2, 2], [0, 8, 7, 6, 5, 4, 2], [0, 2, 2, 2, 2, 2, 2]], np.int64)
STEP = {"sample": random(3, 4, 16, 16), "timestep": np.array(981.0), "encoder_hidden_states": random(3, 7, 8)}
WIDER = {"encoder_hidden_states": random(3, 7, 64), "text_embeds": random(3, 32)}
TIMES = {"time_ids": np.array([[1024, 768, 0, 3, 1024, 1000]] * 3, np.float32)}
LAYERS = tuple(f"hidden_states.{layer}" for layer in range(3))
Case = tuple[Callable[[], TracedPart], Callable[[Any, Mapping[str, Any]], dict[str, Any]], dict[str, Any]]
CASES: dict[str, Case] = {
    "text": (lambda: text(CLIPTextModel, "pooler_output", "last_hidden_state"), encoded, {"input_ids": IDS}),
    "text, XL": (
        lambda: text(CLIPTextModelWithProjection, "text_embeds", "last_hidden_state", *LAYERS),
        encoded,
        {"input_ids": IDS},
    ),
    "safety checker": (checker, judged, {"clip_input": IMAGES, "images": random(3, 2, 2, 3)}),
    "unet, LCM, inpainting": (
        lambda: unet(**WIDE, time_cond_proj_dim=9, in_channels=9),
        predicted,
        {**STEP, "timestep_cond": random(3, 9), "sample": random(3, 9, 16, 16)},
    ),
    "unet, XL": (lambda: unet(**XL), predicted, {**STEP, **WIDER, **TIMES}),
    "decoder": (lambda: VaeDecoder(AutoencoderKL(**VAE), (6, 8)), decoded, {"latent_sample": random(1, 4, 6, 8)}),
    "encoder": (
        lambda: VaeEncoder(AutoencoderKL(**VAE), (12, 16), "latent_parameters"),
        lambda module, feeds: {"latent_parameters": latents(module, feeds).latent_dist.parameters},
        {"sample": random(1, 3, 12, 16)},
    ),
    "small encoder": (
        lambda: VaeEncoder(AutoencoderTiny(**TINY), (12, 16), "latent_sample"),
        lambda module, feeds: {"latent_sample": latents(module, feeds).latents},
        {"sample": random(1, 3, 12, 16)},
    ),
    "small decoder": (
        lambda: VaeDecoder(AutoencoderTiny(**TINY), (6, 8)), decoded, {"latent_sample": random(2, 4, 6, 8)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_package_computes_what_diffusers_does(name: str, tmp_path: Path, source: Source) -> None:
    make, compute, feeds = CASES[name]
    part = make()
    names = diffusion.write(part, source, "a test", tmp_path / "x.mlpackage", opset=16, bits=32, forget=nothing)
    with torch.inference_mode():
        true = compute(part.module, feeds)
    made = Session(tmp_path / "x.mlpackage", 1)(feeds)
    assert list(made) == list(part.renaming.outputs.values())
    for output, array in made.items():
        np.testing.assert_allclose(array, true[output], rtol=0, atol=CLOSE * float(true[output].abs().max()))
    if name == "text, XL":
        assert list(part.renaming.outputs)[-1] == "hidden_embeds"
        assert part.renaming.outputs["hidden_embeds"] == LAYERS[-1]
    known = {name for name, _ in part.module.named_parameters()}
    assert {names[weight.name] for weight in weights(tmp_path / "x.mlpackage")} <= known


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Path:
    """A UNet in float16."""
    out = tmp_path_factory.mktemp("halves") / "Unet.mlpackage"
    diffusion.write(unet(**WIDE), source, "a test", out, opset=18, bits=16, forget=nothing)
    return out


def test_interface_is_what_apples_package_reads(halves: Path) -> None:
    found = Package(halves)
    assert [(one.name, one.dtype, one.shape) for one in found.inputs()] == [
        ("sample", "float16", (2, 4, 16, 16)),
        ("timestep", "float32", (2,)),
        ("encoder_hidden_states", "float16", (2, 8, 1, 7)),
    ]
    assert [(one.name, one.dtype, one.shape) for one in found.outputs()] == [("noise_pred", "float32", (2, 4, 16, 16))]
    known = Session(halves, 1)
    assert [(one.name, one.shape) for one in (*known.inputs, *known.outputs)] == [
        ("sample", (2, 4, 16, 16)),
        ("timestep", (2,)),
        ("encoder_hidden_states", (2, 7, 8)),
        ("out_sample", (2, 4, 16, 16)),
    ]
    with torch.inference_mode():
        true = predicted(unet(**WIDE).module, STEP)["out_sample"].numpy()
    error = np.sqrt(np.mean(np.square(Session(halves, 1)(STEP)["out_sample"] - true)))
    assert 20 * np.log10(np.abs(true).max() / error) > HALF


def test_chunks_compute_what_the_whole_does(halves: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Unet.mlpackages"
    chunks.split(halves, chain.chunks(folder))
    assert sorted(part.name for part in folder.iterdir()) == ["UnetChunk1.mlpackage", "UnetChunk2.mlpackage"]
    first, second = chain.Chain(folder).parts
    crossing = {one.name: one for one in first.outputs()}
    assert crossing == {one.name: one for one in second.inputs() if one.name in crossing}
    assert {one.dtype for one in crossing.values()} == {"float32"}
    sizes = [file.stat().st_size for file in sorted(folder.rglob("weight.bin"))]
    assert max(sizes) < 0.6 * (halves / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    np.testing.assert_array_equal(Session(folder, 1)(STEP)["out_sample"], Session(halves, 1)(STEP)["out_sample"])


def test_unet_is_split_where_its_restored_weights_are_more_than_a_file_may_hold(halves: Path, tmp_path: Path) -> None:
    recipe = Recipe(name="int8", scheme="channels", weight_bits=8, embedding_bits=8)
    made = {}
    for most in (30_000, 60_000):  # of 38,000 bytes
        out = tmp_path / str(most) / "Unet.mlpackage"
        out.parent.mkdir()
        made[most] = Traced(halves, 18, {}, Study(), (), {}, most).compress(out, recipe, ())
    split, whole = made.values()
    assert (split.path.name, whole.path.name) == ("Unet.mlpackages", "Unet.mlpackage")
    assert not whole.path.with_suffix(".mlpackages").exists()
    assert not split.path.with_suffix(".mlpackage").exists()
    assert split.coverage == whole.coverage
    assert split.bytes == sum(file.stat().st_size for file in split.path.rglob("*") if file.is_file())
    np.testing.assert_array_equal(
        Session(split.path, 1)(STEP)["out_sample"], Session(whole.path, 1)(STEP)["out_sample"]
    )


def test_feeds_that_do_not_fit_are_told(halves: Path) -> None:
    session = Session(halves, 1)
    with pytest.raises(InputError, match="needs the input 'timestep'"):
        session({name: array for name, array in STEP.items() if name != "timestep"})
    with pytest.raises(InputError, match="2 and 3 rows"):
        session({**STEP, "sample": STEP["sample"][:2]})


@pytest.mark.parametrize(
    "told", ["[]", "{", '{"inputs": 1, "outputs": {}, "tokens_last": [], "zeros": []}', '{"inputs": {}}']
)
def test_damaged_metadata_is_told(told: str) -> None:
    with pytest.raises(PackageDamaged, match=RENAMING):
        read(told)


@pytest.mark.parametrize("renamed", [{"x": "y"}, {"sample": "sample", "timestep": "timestep"}])
def test_names_of_other_inputs_are_told(renamed: dict[str, str], halves: Path) -> None:
    with pytest.raises(PackageDamaged, match="other inputs"):
        Renaming(renamed, {"noise_pred": "out_sample"}, ("timestep",)).usual(Package(halves).inputs())


LARGE_PARTS: dict[str, Callable[[], TracedPart]] = {
    "unet": lambda: unet(**WIDE),
    "decoder": lambda: VaeDecoder(AutoencoderKL(**VAE), (8, 8)),
    "encoder": lambda: VaeEncoder(AutoencoderKL(**VAE), (16, 16), "latent_parameters"),
    "text": lambda: text(CLIPTextModel, "last_hidden_state", "pooler_output"),
    "text, but the last layer": lambda: text(CLIPTextModel, "hidden_states.1"),
    "safety checker": checker,
}


@pytest.mark.parametrize("kind", LARGE_PARTS)
def test_large_weights_are_written_when_the_program_is(
    kind: str, tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are those that are made with all weights in memory; the module has let go of them."""
    for name, least in (("whole", late.LARGE), ("late", 64)):
        monkeypatch.setattr(late, "LARGE", least)
        torch.manual_seed(0)
        part = LARGE_PARTS[kind]()
        diffusion.write(part, source, "a test", tmp_path / f"{name}.mlpackage", opset=16, bits=16, forget=nothing)
    layers = [one.weight for one in part.modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    gone = [one for one in layers if one.numel() >= 64]
    assert len(gone) > 5
    assert all(one.untyped_storage().nbytes() == 4 for one in gone)
    root = tmp_path / "late.mlpackage"
    files = sorted(file.relative_to(root) for file in root.rglob("*") if file.is_file())
    assert [file.name for file in files] == ["model.mlmodel", "weight.bin", "Manifest.json"]
    for file in files:
        assert (root / file).read_bytes() == (tmp_path / "whole.mlpackage" / file).read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["late.mlpackage", "whole.mlpackage"]


def test_weights_that_the_converter_calls_otherwise_are_told(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that stays in a weight's place is never taken for the weight."""
    monkeypatch.setattr(late, "LARGE", 64)
    monkeypatch.setattr(
        late, "parameters", lambda *given: {f"{key}_1": name for key, name in parameters(*given).items()}
    )
    with pytest.raises(ConversionError, match="changed the weight"):
        diffusion.write(
            unet(**WIDE), source, "a test", tmp_path / "a.mlpackage", opset=16, bits=16, forget=lambda: None
        )
