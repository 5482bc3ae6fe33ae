"""Pipelines of diffusers built for ONNX: every kind makes the images that diffusers makes; what cannot be is told."""

from __future__ import annotations

import inspect
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.numpy import load_file, save_file
from tests import diffusion_models
from tests.pipelines import quiet

import edgepack
from edgepack import pipeline
from edgepack.errors import DamagedWeights, ModelError, UnsafeModel, UnsupportedModel, UsageError
from edgepack.records import Bundle, NotMeasured
from edgepack.reports.sizes import components
from edgepack.runtime import manifest
from edgepack.runtime.diffusion.image_values import GeneratedImage
from edgepack.tasks import _diffusion_settings
from edgepack.tasks._defaults import SETTINGS as DEFAULTS

Build = Callable[..., tuple[Bundle, ...]]
PARTS = {
    "sd": {"text_encoder", "unet", "vae_decoder", "vae_encoder"},
    "safe": {"text_encoder", "unet", "vae_decoder", "vae_encoder", "safety_checker"},
    "tiny_vae": {"text_encoder", "unet", "vae_decoder", "vae_encoder"},
    "xl": {"text_encoder", "text_encoder_2", "unet", "vae_decoder", "vae_encoder"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A pipeline of each kind, made once."""
    place = tmp_path_factory.mktemp("pipelines")

    def made(kind: str) -> Path:
        if not (place / kind).is_dir():
            diffusion_models.save(kind, place / kind)
        return place / kind

    return made


@pytest.mark.parametrize("kind", diffusion_models.KINDS)
def test_the_images_are_those_of_diffusers(kind: str, folder: Callable[[str], Path], build: Build) -> None:
    (bundle,) = build(folder(kind), "rpi", recipes=("fp32",))
    figures = {figure.metric: figure for figure in bundle.accuracy}
    assert figures["reading"].passed  # the loop around diffusers' modules against diffusers' pipeline
    assert figures["latents_psnr"].compressed > 100
    assert figures["image_psnr"].compressed > 60  # a level of 255 in a few pixels at most
    assert {figure.submodel for figure in bundle.accuracy} >= PARTS.get(kind, set())
    listed = manifest.read(bundle.path)
    assert set(listed.models) == PARTS.get(kind, set(listed.models))


def test_settings_that_a_config_leaves_out_are_those_of_the_class() -> None:
    kinds = {
        **{kind: inspect.signature(getattr(diffusers, kind)).parameters for kind in DEFAULTS if kind[0].isupper()},
        "clip_text_model": inspect.signature(transformers.CLIPTextConfig).parameters,
    }
    assert set(kinds) == set(DEFAULTS)
    for kind, stated in DEFAULTS.items():
        for name, value in stated.items():
            default = kinds[kind][name].default
            assert value == (list(default) if isinstance(default, tuple) else default), (kind, name)


def test_latents_are_normalised_as_the_pipeline_does(
    folder: Callable[[str], Path], build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By channel in XL alone; no pipeline reads shift_factor. Whatever is read wrongly shows in the image."""
    stated = {"latents_mean": [0.5, -0.3, 0.2, 0.1], "latents_std": [1.5, 0.7, 2.0, 1.1], "shift_factor": 0.4}
    for kind, mean in (("xl", tuple(stated["latents_mean"])), ("sd", None)):
        model = changed(folder(kind), tmp_path / kind, "vae/config.json", **stated)
        (bundle,) = build(model, "rpi", recipes=("fp32",))
        assert manifest.read(bundle.path).processing.diffusion.latents_mean == mean
        figures = {figure.metric: figure for figure in bundle.accuracy}
        assert figures["image_psnr"].compressed > 60
    monkeypatch.setattr(_diffusion_settings, "_normal", lambda vae, kind: (None, None))
    (bundle,) = build(tmp_path / "xl", "rpi", recipes=("fp32",), allow_loss=True)
    assert not {figure.metric: figure for figure in bundle.accuracy}["reading"].passed


@pytest.mark.parametrize("values", [[0.1, 0.2], "four", [0.1, 0.2, 0.3, None]])
def test_a_mean_that_is_not_of_each_channel_is_told(
    values: object, folder: Callable[[str], Path], tmp_path: Path
) -> None:
    stated = {"latents_mean": values, "latents_std": [1, 1, 1, 1]}
    model = changed(folder("xl"), tmp_path / "model", "vae/config.json", **stated)
    with pytest.raises(ModelError, match="latents_mean and latents_std are not 4 numbers each"):
        pipeline.plan(pipeline.Request(model=str(model), targets=("rpi",)))


def test_a_config_of_the_first_years_is_read(folder: Callable[[str], Path], build: Build, tmp_path: Path) -> None:
    model = Path(shutil.copytree(folder("sd"), tmp_path / "model"))
    config = json.loads((model / "vae" / "config.json").read_text("utf-8"))
    del config["scaling_factor"], config["latent_channels"]
    (model / "vae" / "config.json").write_text(json.dumps(config), "utf-8")
    (bundle,) = build(model, "rpi", recipes=("fp32",))
    assert manifest.read(bundle.path).processing.diffusion.scaling_factor == 0.18215


@pytest.mark.parametrize(
    "settings",
    [
        {"skip_prk_steps": False},  # the class's own default: it takes no fewer than four steps
        {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True},  # model_index.json names the class
        {"lambda_min_clipped": -math.inf},  # as diffusers writes the default of DPM-Solver++
    ],
)
def test_a_scheduler_is_used_as_diffusers_does(
    settings: dict[str, object], folder: Callable[[str], Path], build: Build, tmp_path: Path
) -> None:
    model = changed(folder("sd"), tmp_path / "model", "scheduler/scheduler_config.json", **settings)
    (bundle,) = build(model, "rpi", recipes=("fp32",))
    figures = {figure.metric: figure for figure in bundle.accuracy}
    assert isinstance(figures["one_step_psnr"].compressed, NotMeasured) == ("skip_prk_steps" in settings)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(model)
    asked = {"guidance_scale": 3.0, "num_inference_steps": 5, "height": 32, "width": 32, "output_type": "latent"}
    theirs = pipeline("a red sofa", generator=torch.manual_seed(0), **asked).images[0].numpy()
    (ours,) = edgepack.load(bundle.path).generate("a red sofa", steps=5, guidance=3, seed=0)
    assert np.abs(ours.latents - theirs).max() < 1e-4 * np.abs(theirs).max()


def test_sd_turbo_takes_one_step_without_guidance(folder: Callable[[str], Path], build: Build, tmp_path: Path) -> None:
    """Of SD-Turbo's own scheduler_config.json; other models that count from the end take the usual steps."""
    file, named = "scheduler/scheduler_config.json", {"_class_name": "EulerDiscreteScheduler"}
    stated = {**named, "timestep_spacing": "trailing", "timestep_type": "discrete", "prediction_type": "epsilon"}
    model = changed(folder("sd"), tmp_path / "turbo", file, **stated, use_karras_sigmas=False, sigma_max=None)
    index = json.loads((model / "model_index.json").read_text("utf-8"))
    index["scheduler"][1] = named["_class_name"]
    (model / "model_index.json").write_text(json.dumps(index), "utf-8")
    (bundle,) = build(model, "rpi", recipes=("fp32",))
    with quiet():  # numpy's advice about torch
        original = diffusers.DiffusionPipeline.from_pretrained(model)
    asked = {"guidance_scale": 0.0, "num_inference_steps": 1, "height": 32, "width": 32, "output_type": "latent"}
    with quiet():
        theirs = original("a red sofa", generator=torch.manual_seed(0), **asked).images[0].numpy()
    (ours,) = edgepack.load(bundle.path).generate("a red sofa", seed=0)
    assert np.abs(ours.latents - theirs).max() < 1e-4 * np.abs(theirs).max()
    other = changed(model, tmp_path / "velocity", file, prediction_type="v_prediction", rescale_betas_zero_snr=True)
    (plan,) = pipeline.plan(pipeline.Request(model=str(other), targets=("rpi",)))
    assert plan.processing.diffusion.steps == 20


def test_an_image_to_begin_with_as_the_pipeline_that_diffusers_chooses(
    folder: Callable[[str], Path], build: Build, photo: np.ndarray
) -> None:
    """Of a folder of latent consistency models, too, whose pipeline counts steps in another way."""
    for kind in ("sd", "lcm", "tiny_vae"):
        (bundle,) = build(folder(kind), "rpi", recipes=("fp32",))
        model = edgepack.load(bundle.path)
        image = np.ascontiguousarray(photo[:32, :32])
        theirs = diffusers.AutoPipelineForImage2Image.from_pretrained(folder(kind))
        asked = {"strength": 0.6, "num_inference_steps": 4, "guidance_scale": 3.0, "output_type": "latent"}
        made = theirs("a red sofa", image=Image.fromarray(image), generator=torch.manual_seed(1), **asked)
        (ours,) = model.generate("a red sofa", image=image, strength=0.6, steps=4, guidance=3, seed=1)
        latents = made.images[0].numpy()
        assert np.abs(ours.latents - latents).max() < 1e-4 * np.abs(latents).max()


def test_a_bundle_validates_runs_and_is_compressed(folder: Callable[[str], Path], build: Build) -> None:
    (bundle,) = build(folder("sd"), "rpi")
    assert bundle.recipe.name == "int8"
    # a build's report tells the size that the bundle has, the parts of the decoder included
    assert sum(part.bytes for part in components(bundle.artifacts)) == manifest.read(bundle.path).model_bytes
    model = edgepack.load(bundle.path)
    first, again = (model.generate("a red sofa", steps=2, seed=3)[0].pixels for _ in range(2))
    assert first.shape == (32, 32, 3)
    assert np.array_equal(first, again)


@pytest.mark.parametrize("kind", ["sd", "xl", "lcm", "tiny_vae", "safe"])
def test_half_precision(kind: str, folder: Callable[[str], Path], build: Build) -> None:
    """A Resize takes float32 sizes and scales whatever it enlarges."""
    (bundle,) = build(folder(kind), "desktop", recipes=("fp16",))
    assert {figure.metric: figure.compressed for figure in bundle.accuracy}["image_psnr"] > 45


def test_sizes_that_do_not_halve_evenly(folder: Callable[[str], Path], build: Build) -> None:
    (bundle,) = build(folder("sd"), "rpi", recipes=("fp32",))
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder("sd"))
    pipeline.check_inputs = lambda *given, **named: None  # of pixels in eights, where a latent is of two here
    asked = {"guidance_scale": 3.0, "num_inference_steps": 2, "height": 34, "width": 38}
    theirs = pipeline("a red sofa", generator=torch.manual_seed(0), output_type="latent", **asked).images[0].numpy()
    (ours,) = edgepack.load(bundle.path).generate("a red sofa", steps=2, guidance=3, seed=0, height=34, width=38)
    vars(pipeline.text_encoder)["text_model"] = pipeline.text_encoder  # where diffusers looks for the last norm
    skipped = pipeline("a red sofa", generator=torch.manual_seed(0), output_type="latent", clip_skip=1, **asked)
    made = edgepack.load(bundle.path).generate(
        "a red sofa", steps=2, guidance=3, seed=0, height=34, width=38, clip_skip=1
    )
    theirs_skipped = skipped.images[0].numpy()
    assert np.abs(made[0].latents - theirs_skipped).max() < 1e-4 * np.abs(theirs_skipped).max()
    assert not np.allclose(theirs, theirs_skipped, atol=1e-3)
    assert ours.pixels.shape == (34, 38, 3)
    assert ours.latents.shape == theirs.shape == (4, 17, 19)
    assert np.abs(ours.latents - theirs).max() < 1e-4 * np.abs(theirs).max()
    assert np.array_equal(ours.latents, (made := in_bands(bundle.path, height=34, width=38)).latents)
    assert np.abs(ours.pixels.astype(int) - made.pixels).max() <= 1


def test_two_text_encoders_leave_out_layers_as_diffusers_does(folder: Callable[[str], Path], build: Build) -> None:
    (bundle,) = build(folder("xl"), "rpi", recipes=("fp32",))
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder("xl"))
    asked = {"guidance_scale": 3.0, "num_inference_steps": 2, "height": 32, "width": 32, "output_type": "latent"}
    pipeline.check_inputs = lambda *given, **named: None  # of pixels in eights, where a latent is of two here
    model = edgepack.load(bundle.path)
    found = []
    for skipped in (None, 1):
        with quiet():  # numpy's advice about torch
            made = pipeline("a red sofa", generator=torch.manual_seed(0), clip_skip=skipped, **asked)
        theirs = made.images[0].numpy()
        (ours,) = model.generate("a red sofa", steps=2, guidance=3, seed=0, clip_skip=skipped or 0)
        assert np.abs(ours.latents - theirs).max() < 1e-4 * np.abs(theirs).max()
        found.append(theirs)
    assert not np.allclose(*found, atol=1e-3)
    with pytest.raises(UsageError, match="clip_skip is 9"):
        model.generate("a red sofa", steps=2, clip_skip=9)


def in_bands(bundle: Path, **size: int) -> GeneratedImage:
    """The same image, decoded in bands, by a bundle that would fail if it decoded at once."""
    model = edgepack.load(bundle, one_at_a_time=True)
    opened = model._runs._open
    model._runs._open = lambda name: opened({"vae_decoder": "no such thing"}.get(name, name))
    made: list[GeneratedImage] = model.generate("a red sofa", steps=2, guidance=3, seed=0, tile=16, **size)
    return made[0]


def changed(folder: Path, to: Path, file: str, **settings: object) -> Path:
    """A copy of a pipeline with other settings in a JSON file of it."""
    shutil.copytree(folder, to)
    table = json.loads((to / file).read_text("utf-8"))
    (to / file).write_text(json.dumps({**table, **settings}), "utf-8")
    return to


@pytest.mark.parametrize(
    ("file", "settings", "error", "told"),
    [
        ("model_index.json", {"_class_name": "StableCascadePipeline"}, UnsupportedModel, "StableDiffusionPipeline"),
        ("model_index.json", {"_class_name": None}, ModelError, "_class_name"),
        ("model_index.json", {"unet": [None, None]}, ModelError, "lacks the component unet"),
        ("model_index.json", {"unet": "diffusers"}, ModelError, "lacks the component unet"),
        ("model_index.json", {"../unet": ["diffusers", "UNet2DConditionModel"]}, UnsafeModel, "../unet"),
        ("model_index.json", {"refiner": ["diffusers", "UNet2DConditionModel"]}, ModelError, "refiner"),
        ("unet/config.json", {"mystery_blocks": 3}, UnsupportedModel, "mystery_blocks"),
        ("unet/config.json", {"cross_attention_dim": 24}, UnsupportedModel, "the UNet reads"),
        ("text_encoder/config.json", {"use_attention_mask": True}, UnsupportedModel, "use_attention_mask"),
        ("unet/config.json", {"encoder_hid_dim": 32}, UnsupportedModel, "encoder_hid_dim"),
        (
            "model_index.json",
            {"_class_name": "StableDiffusionInpaintPipeline", "scheduler": ["diffusers", "DDIMScheduler"]},
            UnsupportedModel,
            "clip_sample is on",
        ),
        ("unet/config.json", {"sample_size": None}, ModelError, "sample_size"),
        ("unet/config.json", {"_class_name": "UNet3DConditionModel"}, ModelError, "calls unet a UNet2DConditionModel"),
        ("unet/config.json", {"block_out_channels": [16, 64]}, UnsupportedModel, "down_blocks"),
        ("model_index.json", {"scheduler": ["diffusers", "UniPCMultistepScheduler"]}, UnsupportedModel, "UniPC"),
        ("tokenizer/tokenizer_config.json", {"model_max_length": 10**30}, ModelError, "maximum prompt length"),
    ],
)
def test_what_cannot_be_built_is_told(
    file: str,
    settings: dict[str, object],
    error: type[ModelError],
    told: str,
    folder: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    model = changed(folder("sd"), tmp_path / "model", file, **settings)
    with pytest.raises(error) as raised:
        pipeline.plan(pipeline.Request(model=str(model), targets=("rpi",)))
    assert told in f"{raised.value} {raised.value.hint}"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tensors: tensors.pop("conv_out.bias"), "conv_out.bias"),
        (lambda tensors: tensors.update(strange=np.zeros(3, np.float32)), "strange"),
        (lambda tensors: tensors["conv_out.bias"].fill(np.nan), "NaN"),
    ],
)
def test_damaged_weights_are_told(
    change: Callable[[dict[str, np.ndarray]], object], told: str, folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder("sd"), model)
    file = model / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = {name: np.array(value) for name, value in load_file(file).items()}
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(DamagedWeights, match=told):
        pipeline.plan(pipeline.Request(model=str(model), targets=("rpi",)))


def test_pickled_weights_and_variants_are_told(folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder("sd"), model)
    file = model / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_name("diffusion_pytorch_model.fp16.safetensors"))
    with pytest.raises(ModelError, match="fp16"):
        pipeline.plan(pipeline.Request(model=str(model), targets=("rpi",)))
    file.with_name("diffusion_pytorch_model.fp16.safetensors").rename(file.with_suffix(".bin"))
    with pytest.raises(UnsafeModel, match="pickled"):
        pipeline.plan(pipeline.Request(model=str(model), targets=("rpi",)))
