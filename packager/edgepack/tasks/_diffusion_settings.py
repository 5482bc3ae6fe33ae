"""Read the settings of a diffusion pipeline: each component's config.json, the tokenizers, the scheduler."""

from __future__ import annotations

from pathlib import Path

from edgepack.documents import JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.runtime.processing import Diffusion, Processing, PromptEncoder
from edgepack.tasks import _schedule, read_config
from edgepack.tasks._text import token, token_id

# Pipelines and what diffusers takes where nothing is asked for, but for the steps: 50, which a small device has no time
# for. (steps, guidance)
PIPELINES = {
    "StableDiffusionPipeline": (20, 7.5),
    "LatentConsistencyModelPipeline": (4, 8.5),
}
_UNET, _VAE, _SCHEDULER = "unet", "vae", "scheduler"
_ENCODER, _TOKENIZER = "text_encoder", "tokenizer"
_REQUIRED = (_ENCODER, _TOKENIZER, _UNET, _VAE, _SCHEDULER)


def read(folder: Path, config: JsonObject) -> Processing:
    """Return how prompts become images, of the pipeline in ``folder`` whose model_index.json is ``config``.

    Raises ModelError, UnsupportedModel, UnreadSetting.
    """
    for name in _REQUIRED:
        if not isinstance(config.get(name), list):
            raise ModelError(
                f"{folder.name} lacks the component {name}, which a {config['_class_name']} has",
                hint="download the whole repository",
            )
    unet, vae = read_config(folder / _UNET / "config.json"), read_config(folder / _VAE / "config.json")
    factor = 2 ** (len(vae["block_out_channels"]) - 1)
    height, width = _sides(unet)
    steps, guidance = PIPELINES[config["_class_name"]]
    return Processing(
        diffusion=Diffusion(
            encoders=(_encoder(folder, unet),),
            latent_channels=int(vae["latent_channels"]),
            unet_channels=int(unet["in_channels"]),
            vae_scale_factor=factor,
            scaling_factor=float(vae["scaling_factor"]),
            shift_factor=_number(vae, "shift_factor"),
            height=height * factor,
            width=width * factor,
            multiple_of=factor * 2 ** (len(unet["block_out_channels"]) - 1),
            timestep_cond=unet.get("time_cond_proj_dim"),
            steps=steps,
            guidance=guidance,
        ),
        schedule=_schedule.schedule(folder / _SCHEDULER, config["_class_name"]),
    )


def _sides(unet: JsonObject) -> tuple[int, int]:
    side = unet.get("sample_size")
    height, width = side if isinstance(side, list) else (side, side)
    if not isinstance(height, int) or not isinstance(width, int):
        raise ModelError("unet/config.json names no sample_size", hint='for example "sample_size": 64')
    return height, width


def _number(config: JsonObject, name: str) -> float:
    value = config.get(name)
    return 0.0 if value is None else float(value)


def _encoder(folder: Path, unet: JsonObject) -> PromptEncoder:
    """Raises UnsupportedModel where the UNet reads other states than the encoder gives."""
    config, place = read_config(folder / _ENCODER / "config.json"), folder / _TOKENIZER
    if config["hidden_size"] != unet["cross_attention_dim"]:
        raise UnsupportedModel(
            f"{folder.name}: the text encoder gives states of {config['hidden_size']}, the UNet reads "
            f"{unet['cross_attention_dim']}",
            hint="the components are of different models: download them again",
        )
    stated = read_config(place / "tokenizer_config.json")
    return PromptEncoder(
        submodel=_ENCODER,
        tokenizer=_TOKENIZER,
        max_length=int(stated["model_max_length"]),
        pad_id=token_id(place, token(stated, "pad_token")),
        hidden="last_hidden_state",
    )
