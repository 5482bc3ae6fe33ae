"""Read the settings of a diffusion pipeline: each component's config.json, the tokenizers, the scheduler."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepack import sample_size
from edgepack.documents import Json, JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.runtime.processing import Diffusion, Image, Processing, PromptEncoder, Schedule
from edgepack.tasks import _image_processor, _schedule, read_config
from edgepack.tasks._diffusion import skipped, states
from edgepack.tasks._pipeline_folder import INDEX
from edgepack.tasks._text import token, token_id

# Pipelines, with steps and guidance where none are asked for: diffusers', but for 50 steps, which a small device has no
# time for.
PIPELINES = {
    "StableDiffusionPipeline": (20, 7.5),
    "StableDiffusionImg2ImgPipeline": (20, 7.5),
    "StableDiffusionInpaintPipeline": (20, 7.5),
    "StableDiffusionXLPipeline": (20, 5.0),
    "LatentConsistencyModelPipeline": (4, 8.5),
}
_TURBO = (1, 0.0)  # of a model that was distilled to one step
_UNET, _VAE, _SCHEDULER = "unet", "vae", "scheduler"
_ENCODER, _TOKENIZER = "text_encoder", "tokenizer"
_REQUIRED = (_ENCODER, _TOKENIZER, _UNET, _VAE, _SCHEDULER)
_ENDLESS = 10**30  # of a tokenizer that has no length of its own, as transformers says it
_PROJECTING = ("encoder_hid_dim", "encoder_hid_dim_type")  # of prompts, before the UNet reads them
_INPAINTING = "StableDiffusionInpaintPipeline"
_XL, _LCM = "StableDiffusionXL", "LatentConsistencyModelPipeline"
_SEEN = "feature_extractor"  # by the safety checker


def read(folder: Path, config: JsonObject) -> Processing:
    """Return how prompts become images, of the pipeline in ``folder`` whose model_index.json is ``config``.

    Raises ModelError, UnsupportedModel, UnreadSetting.
    """
    kind = config["_class_name"]
    for name in (*_REQUIRED, *((f"{_ENCODER}_2", f"{_TOKENIZER}_2") if kind.startswith(_XL) else ())):
        if not _has(config, name):
            raise ModelError(
                f"{folder.name} lacks the component {name}, which a {kind} has", hint="download the whole repository"
            )
    unet, vae = read_config(folder / _UNET / "config.json"), read_config(folder / _VAE / "config.json")
    blocks = vae["block_out_channels" if "block_out_channels" in vae else "decoder_block_out_channels"]
    factor = 2 ** (len(blocks) - 1)
    height, width = _sides(unet)
    schedule = _schedule.schedule(folder / _SCHEDULER, kind, config[_SCHEDULER][1])
    if kind == _INPAINTING and unet["in_channels"] == vae["latent_channels"] and _clips(schedule):
        raise UnsupportedModel(
            f"{folder.name}: the scheduler's clip_sample is on, which diffusers turns off for images from prompts, "
            "and not for inpainting",
            hint='set "clip_sample": false in a copy of scheduler_config.json',
        )
    steps, guidance = _TURBO if _is_turbo(schedule) else PIPELINES[kind]
    mean, deviation = _normal(vae, kind)
    return Processing(
        image=_image(folder, config),
        diffusion=Diffusion(
            encoders=_encoders(folder, unet, xl=kind.startswith(_XL)),
            latent_channels=int(vae["latent_channels"]),
            unet_channels=int(unet["in_channels"]),
            vae_scale_factor=factor,
            scaling_factor=float(vae["scaling_factor"]),
            latents_mean=mean,
            latents_std=deviation,
            height=height * factor,
            width=width * factor,
            multiple_of=factor,
            timestep_cond=unet.get("time_cond_proj_dim"),
            all_steps=kind == _LCM,
            time_ids=unet.get("addition_embed_type") == "text_time",
            zeros_for_empty_prompt=bool(config.get("force_zeros_for_empty_prompt", False)),
            steps=steps,
            guidance=guidance,
        ),
        schedule=schedule,
    )


def _is_turbo(schedule: Schedule) -> bool:
    """Return whether it is the schedule of SD-Turbo (Euler) or SDXL-Turbo (Euler ancestral), which tells them alone.

    Others count their timesteps from the end too: those that predict velocities, with no signal at the first.
    """
    return (
        schedule.algorithm in ("euler", "euler_ancestral")
        and schedule.timestep_spacing == "trailing"
        and schedule.prediction_type in (None, "epsilon")
        and not schedule.rescale_betas_zero_snr
    )


def _clips(schedule: Schedule) -> bool:
    """Return whether a scheduler clips what it predicts without noise; DDIM's does where nothing is stated."""
    return schedule.clip_sample is True or (schedule.algorithm == "ddim" and schedule.clip_sample is None)


def _has(config: JsonObject, name: str) -> bool:
    """Return whether model_index.json names a component and not null, as it does of what a pipeline does without."""
    kind = config.get(name)
    return isinstance(kind, list) and None not in kind


def _image(folder: Path, config: JsonObject) -> Image | None:
    """Return how an image becomes what the safety checker sees; None where there is no checker. Raises ModelError."""
    if not _has(config, "safety_checker"):
        return None
    if not _has(config, _SEEN):
        raise ModelError(
            f"{folder.name} has a safety checker, and no {_SEEN} that prepares what it sees",
            hint=f"download the subfolder {_SEEN}, or set safety_checker to [null, null] in a copy of {INDEX}",
        )
    own = read_config(folder / "safety_checker" / "config.json")
    return replace(_image_processor.read(folder / _SEEN, own), input="clip_input")


def _sides(unet: JsonObject) -> tuple[int, int]:
    found = sample_size.sides(unet)
    if found is None:
        raise ModelError("unet/config.json names no sample_size", hint='for example "sample_size": 64')
    return found


def _normal(vae: JsonObject, kind: str) -> tuple[tuple[float, ...], tuple[float, ...]] | tuple[None, None]:
    """Return the mean and the deviation of latents by channel. Raises ModelError.

    diffusers' pipelines of XL alone read them, and where both are stated; none of the supported reads shift_factor.
    """
    stated: list[Json] = [vae.get(name) for name in ("latents_mean", "latents_std")]
    if not kind.startswith(_XL) or None in stated:
        return None, None
    channels = vae["latent_channels"]
    if not all(_are_numbers(values, channels) for values in stated) or min(stated[1]) <= 0:
        raise ModelError(
            f"vae/config.json: latents_mean and latents_std are not {channels} numbers each, deviations above 0",
            hint="there is one for each of the latent_channels: download the component again",
        )
    mean, deviation = (tuple(map(float, values)) for values in stated)
    return mean, deviation


def _are_numbers(values: Json, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(isinstance(one, int | float) for one in values)


def _encoders(folder: Path, unet: JsonObject, *, xl: bool) -> tuple[PromptEncoder, ...]:
    """Raises UnsupportedModel where the UNet reads other states than the encoders give."""
    names = ("", "_2") if xl else ("",)
    configs = [read_config(folder / f"{_ENCODER}{name}" / "config.json") for name in names]
    for part, config, keys in ((_ENCODER, configs[0], ("use_attention_mask",)), (_UNET, unet, _PROJECTING)):
        for key in keys:
            if config.get(key):
                raise UnsupportedModel(
                    f"{folder.name}: {part}/config.json sets {key}, which edgepack does not support",
                    hint="choose a model without it",
                )
    given, read = sum(int(config["hidden_size"]) for config in configs), unet["cross_attention_dim"]
    if read != given:
        raise UnsupportedModel(
            f"{folder.name}: the text encoders give states of {given}, the UNet reads {read}",
            hint="the components are of different models: download them again",
        )
    made = []
    for name, config in zip(names, configs, strict=True):
        place, layers = folder / f"{_TOKENIZER}{name}", int(config["num_hidden_layers"])
        stated = read_config(place / "tokenizer_config.json")
        made.append(
            PromptEncoder(
                submodel=f"{_ENCODER}{name}",
                tokenizer=f"{_TOKENIZER}{name}",
                max_length=int(stated.get("model_max_length", _ENDLESS)),
                pad_id=token_id(place, token(stated, "pad_token")),
                hidden=states(layers - 1) if xl else "last_hidden_state",
                skipping=tuple(map(states, reversed(range(layers - 1)))) if xl else skipped(config),
                pooled="text_embeds" if name else None,
            )
        )
    return tuple(made)
