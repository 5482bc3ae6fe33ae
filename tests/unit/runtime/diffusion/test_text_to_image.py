"""The denoising loop against diffusers' own pipelines, around the same PyTorch modules at equal seeds."""

import json
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from PIL import Image
from tests.pipelines import Tiny, generator, photo, quiet, small_vae, vae

from edgepack.errors import BundleDamaged, DoesNotFit, FileTrouble, InputError, UnknownName, UsageError
from edgepack.runtime import schema
from edgepack.runtime.one_at_a_time import OneAtATime
from edgepack.runtime.processing import Image as ImageSettings
from edgepack.runtime.processing import Size
from edgepack.runtime.tasks import text_to_image
from edgepack.runtime.tasks.text_to_image import Model

CLOSE = 1e-4  # of the final latents
PROMPT = "a red sofa by the window"


def same(ours, pipeline, seed, **asked):
    """Compare the latents and the images of all that was made."""
    for kind in ("latent", "np"):
        with quiet():
            found = pipeline(generator=generator(seed), output_type=kind, **asked).images
        if kind == "latent":
            assert np.abs(np.stack([one.latents for one in ours]) - found.numpy()).max() <= CLOSE
        else:
            levels = (found * 255).round().astype(int)
            assert np.abs(np.stack([one.pixels for one in ours]) - levels).max() <= 1


SCHEDULERS = [
    ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    ("PNDMScheduler", {"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1}),
    ("EulerDiscreteScheduler", {"timestep_spacing": "leading", "steps_offset": 1}),
    ("EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}),
    ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    ("LCMScheduler", {}),
]
EACH_SCHEDULER = pytest.mark.parametrize(
    ("name", "config"), SCHEDULERS, ids=lambda one: one if isinstance(one, str) else ""
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return Tiny(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def xl(tmp_path_factory):
    return Tiny(tmp_path_factory.mktemp("xl"), "EulerDiscreteScheduler", {"timestep_spacing": "leading"}, xl=True)


@EACH_SCHEDULER
def test_images_of_a_prompt(tmp_path, name, config):
    tiny = Tiny(tmp_path, name, config)
    made = tiny.ours().generate(PROMPT, negative_prompt="blurry", steps=6, guidance=4.0, seed=7, images=2)
    same(
        made, tiny.diffusers("StableDiffusionPipeline"), 7, prompt=PROMPT, negative_prompt="blurry",
        num_inference_steps=6, guidance_scale=4.0, num_images_per_prompt=2,
    )  # fmt: skip


@pytest.mark.parametrize("seed", [7, [5, 6]], ids=["one seed", "a seed each"])
@pytest.mark.parametrize("guidance", [1.0, 5.0])
@EACH_SCHEDULER
def test_images_that_begin_with_another(tmp_path, name, config, guidance, seed):
    tiny = Tiny(tmp_path, name, config)
    made = tiny.ours().generate(PROMPT, image=photo(), strength=0.6, steps=7, guidance=guidance, seed=seed, images=2)
    same(
        made, tiny.diffusers("StableDiffusionImg2ImgPipeline"), seed, prompt=PROMPT, image=Image.fromarray(photo()),
        strength=0.6, num_inference_steps=7, guidance_scale=guidance, num_images_per_prompt=2,
    )  # fmt: skip


def paints_as_diffusers(tiny, strength):
    mask = np.zeros((64, 64), np.uint8)
    mask[13:47, 22:64] = 200
    made = tiny.ours().generate(PROMPT, image=photo(), mask=mask, strength=strength, steps=6, seed=[3, 4])
    same(
        made, tiny.diffusers("StableDiffusionInpaintPipeline"), [3, 4], prompt=PROMPT, height=64, width=64,
        image=Image.fromarray(photo()), mask_image=Image.fromarray(mask), strength=strength,
        num_inference_steps=6, guidance_scale=5.0, num_images_per_prompt=2,
    )  # fmt: skip


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("name", ["PNDMScheduler", "EulerAncestralDiscreteScheduler"])
def test_parts_of_an_image(tmp_path, name, strength, channels):
    tiny = Tiny(tmp_path, name, dict(SCHEDULERS)[name], in_channels=channels)
    paints_as_diffusers(tiny, strength)


@pytest.mark.parametrize("seed", [7, [5, 6]], ids=["one seed", "a seed each"])
def test_images_of_an_autoencoder_that_draws_no_latents(tmp_path, seed):
    tiny = Tiny(tmp_path, *SCHEDULERS[2], autoencoder=lambda: small_vae(scaling_factor=0.7))
    made = tiny.ours().generate(PROMPT, image=photo(), strength=0.6, steps=5, seed=seed, images=2)
    same(
        made, tiny.diffusers("StableDiffusionImg2ImgPipeline"), seed, prompt=PROMPT, image=Image.fromarray(photo()),
        strength=0.6, num_inference_steps=5, guidance_scale=5.0, num_images_per_prompt=2,
    )  # fmt: skip


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_parts_of_an_image_with_an_autoencoder_that_draws_no_latents(tmp_path, strength, channels):
    tiny = Tiny(tmp_path, *SCHEDULERS[3], in_channels=channels, autoencoder=small_vae)
    paints_as_diffusers(tiny, strength)


@pytest.mark.parametrize("negative", [None, "", "grey"])
@pytest.mark.parametrize("skipped", [0, 1])
def test_two_text_encoders(xl, negative, skipped):
    made = xl.ours().generate(PROMPT, negative_prompt=negative, steps=4, seed=1, width=96, height=64, clip_skip=skipped)
    same(
        made, xl.diffusers("StableDiffusionXLPipeline"), 1, prompt=PROMPT, negative_prompt=negative,
        num_inference_steps=4, guidance_scale=5.0, width=96, height=64, clip_skip=skipped or None,
    )  # fmt: skip


def test_two_text_encoders_and_an_image(xl):
    made = xl.ours().generate(PROMPT, image=photo(), strength=0.5, steps=6, seed=1)
    same(
        made, xl.diffusers("StableDiffusionXLImg2ImgPipeline"), 1, prompt=PROMPT, image=Image.fromarray(photo()),
        strength=0.5, num_inference_steps=6, guidance_scale=5.0,
    )  # fmt: skip


def test_latents_with_a_mean_and_a_deviation_for_each_channel(tmp_path):
    normal = {"latents_mean": [0.5, -0.3, 0.2, 0.1], "latents_std": [1.5, 0.7, 2.0, 1.1]}
    tiny = Tiny(tmp_path, *SCHEDULERS[2], xl=True, autoencoder=lambda: vae(**normal))
    made = tiny.ours().generate(PROMPT, image=photo(), strength=0.5, steps=6, seed=1)
    same(
        made, tiny.diffusers("StableDiffusionXLImg2ImgPipeline"), 1, prompt=PROMPT, image=Image.fromarray(photo()),
        strength=0.5, num_inference_steps=6, guidance_scale=5.0,
    )  # fmt: skip


def test_the_mask_of_a_model_with_two_text_encoders(xl):
    mask = np.zeros((64, 64), np.uint8)
    mask[13:47, 22:64] = 200
    made = xl.ours().generate(PROMPT, image=photo(), mask=mask, strength=0.5, steps=6, seed=[3, 4])
    same(
        made, xl.diffusers("StableDiffusionXLInpaintPipeline"), [3, 4], prompt=PROMPT, height=64, width=64,
        image=Image.fromarray(photo()), mask_image=Image.fromarray(mask), strength=0.5,
        num_inference_steps=6, guidance_scale=5.0, num_images_per_prompt=2,
    )  # fmt: skip


@pytest.mark.parametrize(("steps", "strength"), [(1, 0.5), (4, 0.3), (6, 0.8), (5, 1.0)])
def test_latent_consistency_models_take_all_steps_of_an_image(tmp_path, steps, strength):
    tiny = Tiny(tmp_path, "LCMScheduler", {}, time_cond_proj_dim=32)
    made = tiny.ours(all_steps=True).generate(PROMPT, image=photo(), strength=strength, steps=steps, seed=1)
    same(
        made, tiny.diffusers("LatentConsistencyModelImg2ImgPipeline"), 1, prompt=PROMPT, image=Image.fromarray(photo()),
        strength=strength, num_inference_steps=steps, guidance_scale=5.0,
    )  # fmt: skip


def test_latent_consistency_models_are_told_what_a_strength_leaves(tmp_path):
    tiny = Tiny(tmp_path, "LCMScheduler", {}, time_cond_proj_dim=32)
    with pytest.raises(UsageError, match=r"strength 0\.3 leaves 15 of the 50 timesteps, and steps is 20"):
        tiny.ours(all_steps=True).generate(PROMPT, image=photo(), strength=0.3, steps=20)


def test_one_step_without_guidance(xl, tmp_path):
    turbo = Tiny(tmp_path, "EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}, xl=True)
    made = turbo.ours().generate(PROMPT, steps=1, guidance=0.0, seed=2)
    same(
        made, turbo.diffusers("StableDiffusionXLPipeline"), 2, prompt=PROMPT, num_inference_steps=1, guidance_scale=0.0
    )


def test_a_consistency_model_is_told_the_guidance(tmp_path):
    tiny = Tiny(tmp_path, "LCMScheduler", {}, time_cond_proj_dim=32)
    made = tiny.ours().generate(PROMPT, steps=4, guidance=8.0, seed=2, images=2)
    same(
        made, tiny.diffusers("LatentConsistencyModelPipeline"), 2, prompt=PROMPT, num_inference_steps=4,
        guidance_scale=8.0, num_images_per_prompt=2,
    )  # fmt: skip


def test_rescaled_guidance_of_v_predictions(tmp_path):
    config = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    tiny = Tiny(tmp_path, "DDIMScheduler", {**config, "clip_sample": False})
    made = tiny.ours(guidance_rescale=0.7).generate(PROMPT, steps=5, seed=3)
    same(
        made, tiny.diffusers("StableDiffusionPipeline"), 3, prompt=PROMPT, num_inference_steps=5, guidance_scale=5.0,
        guidance_rescale=0.7,
    )  # fmt: skip


def test_another_scheduler_keeps_what_is_stated(plain):
    made = plain.ours().generate(PROMPT, steps=5, seed=3, scheduler="euler")
    pipeline = plain.diffusers("StableDiffusionPipeline")
    with quiet():
        pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    same(made, pipeline, 3, prompt=PROMPT, num_inference_steps=5, guidance_scale=5.0)


def test_noise_of_numpys_generator(plain):
    made = plain.ours().generate(PROMPT, steps=3, seed=3, noise="numpy")
    noise = np.random.RandomState(3).standard_normal((1, 4, 8, 8)).astype(np.float32)
    same(
        made, plain.diffusers("StableDiffusionPipeline"), 3, prompt=PROMPT, num_inference_steps=3, guidance_scale=5.0,
        latents=torch.from_numpy(noise),
    )  # fmt: skip


def test_predictions_one_after_the_other_are_the_same(plain):
    model = plain.ours()
    together, apart = (model.generate(PROMPT, steps=3, seed=3, together=one)[0].latents for one in (True, False))
    np.testing.assert_allclose(apart, together, atol=1e-5)


@pytest.mark.parametrize(("side", "batches"), [(64, {2}), (128, {1})])  # pixels of a side
def test_large_predictions_are_made_apart_where_submodels_open_one_at_a_time(plain, monkeypatch, side, batches):
    monkeypatch.setattr(text_to_image, "_APART", 16 * 16)
    runs, seen = plain.ours()._runs, []

    def watched(name):
        return lambda feeds: seen.append((name, len(next(iter(feeds.values()))))) or runs[name](feeds)

    model = plain.ours()
    model = Model(OneAtATime(tuple(runs), watched), model._folder, model._processing)
    first, again = (model.generate(PROMPT, steps=1, seed=3, height=side, width=side)[0].latents for _ in range(2))
    np.testing.assert_array_equal(first, again)  # though tokenizers were let go
    assert {batch for name, batch in seen if name == "unet"} == batches


def test_a_long_prompt_is_told_what_is_cut(plain):
    long = " ".join(["sofa"] * 75 + ["the red"])
    with pytest.warns(UserWarning, match=r"77 tokens.*'the red'"):
        made = plain.ours().generate(long, steps=2, seed=3)
    same(made, plain.diffusers("StableDiffusionPipeline"), 3, prompt=long, num_inference_steps=2, guidance_scale=5.0)


def test_progress_previews_and_an_early_end(plain):
    steps = []
    rows = tuple((*(0.2 if channel == colour else 0.0 for channel in range(4)), 0.1) for colour in range(3))
    model = plain.ours(preview=rows)
    assert model.generate(PROMPT, steps=6, seed=3, progress=steps.append, stop=lambda: len(steps) == 3) == []
    assert [(step.index, step.count) for step in steps] == [(0, 6), (1, 6), (2, 6)]
    preview = steps[-1].preview()
    wanted = np.clip((steps[-1].denoised[0, :3] * 0.2 + 0.1) / 2 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(preview[0], wanted.transpose(1, 2, 0), atol=0.51)
    plain.ours().generate(PROMPT, steps=1, seed=3, progress=steps.append)
    assert steps[-1].preview() is None


def test_the_last_prediction_without_noise_is_what_is_made(plain):
    steps = []
    model = plain.ours()
    made = model.generate(PROMPT, steps=4, seed=3, scheduler="euler", progress=steps.append)
    np.testing.assert_allclose(steps[-1].denoised[0], made[0].latents, atol=1e-5)


def test_an_image_is_written_without_pillow_and_read_with_it(plain, tmp_path):
    made = plain.ours().generate(PROMPT, steps=1, seed=3)[0]
    made.save(tmp_path / "made.png")
    with Image.open(tmp_path / "made.png") as read:
        assert read.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(read), made.pixels)
    with pytest.raises(FileTrouble, match="cannot be written"):
        made.save(tmp_path / "nowhere" / "made.png")


def test_a_seed_that_is_chosen_gives_the_image_again(plain):
    model = plain.ours()
    first = model.generate(PROMPT, steps=1)[0]
    np.testing.assert_array_equal(model.generate(PROMPT, steps=1, seed=first.seed)[0].pixels, first.pixels)
    assert first.seed != model.generate(PROMPT, steps=1)[0].seed


PAINTING = {"image": photo(), "mask": photo()[..., 0]}


@pytest.mark.parametrize(
    ("asked", "failure", "said"),
    [
        ({"prompt": "  "}, InputError, "the prompt is empty"),
        ({"prompt": None}, UsageError, "prompt is None"),
        ({"width": 100}, UsageError, "width is 100"),
        ({"height": 0}, UsageError, "height is 0"),
        ({"height": 20_000}, UsageError, "height is 20,000"),
        ({"steps": 0}, UsageError, "steps is 0"),
        ({"steps": 2000}, UsageError, "steps is 2,000"),
        ({"guidance": -1}, UsageError, "guidance is -1"),
        ({"guidance": float("nan")}, UsageError, "guidance is nan"),
        ({"seed": -1}, UsageError, "seed is -1"),
        ({"seed": 2**63}, UsageError, "seed is 9223372036854775808"),
        ({"seed": [1, 2], "images": 3}, UsageError, "2 seeds and 3 images"),
        ({"images": 0}, UsageError, "images is 0"),
        ({"scheduler": "heun"}, UnknownName, "no scheduler named 'heun'"),
        ({"noise": "cuda"}, UnknownName, "no noise named 'cuda'"),
        ({"strength": 0.5}, UsageError, "a strength and no image"),
        ({"mask": PAINTING["mask"]}, UsageError, "a mask and no image"),
        ({"image": photo(), "strength": 1.1}, UsageError, "strength is 1.1"),
        ({"image": photo(), "strength": 0}, UsageError, "strength is 0"),
        ({"guidance": 1e300}, UsageError, "guidance is 1e+300"),
        ({"image": photo(), "strength": 0.1}, UsageError, "leaves no step"),
        ({"image": np.zeros((64, 64, 3))}, InputError, "an image must be"),
        ({"image": b"not an image"}, InputError, "not an image"),
        ({"image": photo(), "mask": photo(64, 72)}, InputError, "64 x 64 pixels, the mask 72 x 64"),
        ({"clip_skip": 1}, UsageError, "clip_skip is 1"),
        ({"tile": 63}, UsageError, "tile is 63"),
        ({"tile": 64, "width": 128}, UsageError, "decodes images as a whole"),
    ],
)
def test_what_cannot_be_made_is_told(plain, asked, failure, said):
    with pytest.raises(failure, match=re.escape(said)) as caught:
        plain.ours().generate(**{"prompt": PROMPT, "steps": 2, **asked})
    assert caught.value.hint or failure is InputError
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("strength", "steps", "taken"), [(0.8, 2, 1), (0.1, 10, 1), (0.3, 4, 1), (1.0, 1, 1)])
def test_the_usual_steps_are_enough_to_begin_with_an_image(plain, strength, steps, taken):
    seen = []
    options = {"image": photo(), "strength": strength, "seed": 1}
    (usual,) = plain.ours(steps=1).generate(PROMPT, progress=seen.append, **options)
    assert [step.count for step in seen] == [taken]
    np.testing.assert_array_equal(usual.latents, plain.ours().generate(PROMPT, steps=steps, **options)[0].latents)
    if steps > 1:
        with pytest.raises(UsageError, match="leaves no step") as raised:
            plain.ours().generate(PROMPT, steps=steps - 1, **options)
        assert f"take {steps} steps or more" in raised.value.hint


def test_a_model_that_repaints_needs_image_and_mask(tmp_path):
    model = Tiny(tmp_path, in_channels=9).ours()
    with pytest.raises(UsageError, match="it needs an image and a mask"):
        model.generate(PROMPT)
    with pytest.raises(UsageError, match="it needs a mask"):
        model.generate(PROMPT, image=photo())


def test_a_bundle_of_one_size(plain):
    model = plain.ours(fixed_size=True)
    with pytest.raises(UsageError, match="96 x 64 pixels are asked for, and this bundle makes 64 x 64"):
        model.generate(PROMPT, width=96)
    assert model.generate(PROMPT, image=photo(80, 120), steps=2)[0].pixels.shape == (64, 64, 3)


def test_the_image_gives_the_size(plain):
    assert plain.ours().generate(PROMPT, image=photo(70, 100), steps=2)[0].pixels.shape == (64, 96, 3)


def test_a_safety_checker_that_refuses(plain):
    model = plain.ours()
    seen = ImageSettings(input="clip_input", channels=3, size=Size(height=64, width=64), alpha="drop", steps=())
    runs = {**plain.runs(), "safety_checker": lambda feeds: {"has_nsfw_concepts": feeds["clip_input"][:, 0, 0, 0] >= 0}}
    model = Model(runs, plain.folder, replace(plain.processing(), image=seen))
    with pytest.raises(InputError, match="refuses image 1 of 1, of seed 3"):
        model.generate(PROMPT, steps=1, seed=3)


def test_a_manifest_that_contradicts_itself_or_lacks_a_part(plain):
    with pytest.raises(BundleDamaged, match="multiples of 12 pixels"):
        plain.ours(multiple_of=12).generate(PROMPT)
    runs = {name: run for name, run in plain.runs().items() if name != "unet"}
    with pytest.raises(BundleDamaged, match="lacks the submodel 'unet'"):
        Model(runs, plain.folder, plain.processing()).generate(PROMPT)
    runs = {name: run for name, run in plain.runs().items() if name != "vae_encoder"}
    with pytest.raises(UsageError, match="no image encoder"):
        Model(runs, plain.folder, plain.processing()).generate(PROMPT, image=photo())


def test_memory_that_is_short(plain):
    def fails(feeds):
        raise MemoryError

    model = Model({**plain.runs(), "vae_decoder": fails}, plain.folder, plain.processing())
    with pytest.raises(DoesNotFit, match="not enough memory to make this image") as caught:
        model.generate(PROMPT, steps=1)
    assert "--tile" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "output", "said"),
    [("unet", "out_sample", "the latents after step 1 of 2"), ("vae_decoder", "sample", "the decoder's values")],
)
def test_a_model_that_overflows_makes_no_black_image(plain, name, output, said):
    runs = plain.runs()
    broken = {**runs, name: lambda feeds: {output: runs[name](feeds)[output] * np.float32(np.nan)}}
    with pytest.raises(InputError, match=f"{said} are not finite"):
        Model(broken, plain.folder, plain.processing()).generate(PROMPT, steps=2)


def test_a_tokenizer_stays_in_the_bundle():
    file = files("edgepack") / "schemas" / "bundle-2.json"
    stated = json.loads(file.read_text("utf-8"))["$defs"]["PromptEncoder"]["properties"]["tokenizer"]
    schema.check("tokenizer_2", stated)
    for name in ("../tokenizer", "/tokenizer", "a/../b", "", "."):
        with pytest.raises(schema.Mismatch):
            schema.check(name, stated)
