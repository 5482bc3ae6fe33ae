"""Folders of tiny diffusers pipelines with random weights, of every kind that is packed or refused."""

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from tests.pipelines import BETAS, END, quiet, text_encoder, tokenizer, unet
from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextModelWithProjection

SIZES = {"block_out_channels": (16, 32), "sample_size": 16}  # few channels are left uncompressed
WORDS = {"vocab_size": 1024}  # more than the tokenizer has: of the real one's, positions are a small share too
STEPS = {"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1}
VELOCITY = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": "v_prediction"}
XL = {
    "block_out_channels": (2, 4),
    "layers_per_block": 2,
    "attention_head_dim": (2, 4),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "transformer_layers_per_block": (1, 2),
    "projection_class_embeddings_input_dim": 80,
    "cross_attention_dim": 64,
    "norm_num_groups": 1,
}


def save(kind, folder, seed=0):
    """Save the pipeline ``kind`` (KINDS) as a folder of safetensors, and return the folder."""
    torch.manual_seed(seed)
    with quiet():
        KINDS[kind](folder.parent / f"{folder.name}-words").save_pretrained(folder, safe_serialization=True)
    return folder


def vae():
    """Two levels: a latent for four pixels."""
    return AutoencoderKL(
        block_out_channels=[8, 16], in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=2,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2, sample_size=32,
    ).eval()  # fmt: skip


def parts(words, scheduler=None, **settings):
    """Components of a pipeline of one text encoder, without a safety checker."""
    known = tokenizer(words)
    return {
        "vae": vae(),
        "text_encoder": text_encoder(known, **WORDS),
        "tokenizer": known,
        "unet": unet(**{**SIZES, **settings}),
        "scheduler": scheduler or PNDMScheduler(**BETAS, **STEPS),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def sd(words):
    """Stable Diffusion 1.x."""
    return StableDiffusionPipeline(**parts(words))


def v_prediction(words):
    """Stable Diffusion 2.x: the UNet predicts a velocity."""
    return StableDiffusionPipeline(**parts(words, DDIMScheduler(**BETAS, **VELOCITY)))


def lcm(words):
    """A latent consistency model: the UNet is told the guidance."""
    return LatentConsistencyModelPipeline(**parts(words, LCMScheduler(**BETAS), time_cond_proj_dim=256))


def from_image(words):
    """Stable Diffusion 1.x, saved by the pipeline that begins with an image."""
    return StableDiffusionImg2ImgPipeline(**parts(words))


def inpaint(words):
    """A UNet of nine channels."""
    return StableDiffusionInpaintPipeline(**parts(words, in_channels=9))


def tiny_vae(words):
    """A distilled autoencoder."""
    small = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
        latent_channels=4,
    )
    return StableDiffusionPipeline(**{**parts(words), "vae": small.eval()})


def safe(words):
    """Stable Diffusion 1.x with a safety checker that refuses nothing."""
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "projection_dim": 8}
    seen = {**sizes, "num_hidden_layers": 2, "image_size": 28, "patch_size": 14}
    config = CLIPConfig(vision_config=seen, text_config={**sizes, "num_hidden_layers": 1}, projection_dim=8)
    checker = StableDiffusionSafetyChecker(config).eval()
    with torch.no_grad():
        for concepts, least in (
            (checker.concept_embeds, checker.concept_embeds_weights),
            (checker.special_care_embeds, checker.special_care_embeds_weights),
        ):
            concepts.normal_()
            least.fill_(0.99)
    extractor = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    given = {**parts(words), "safety_checker": checker, "feature_extractor": extractor}
    return StableDiffusionPipeline(**{**given, "requires_safety_checker": True})


def xl(words, scheduler=None):
    """Stable Diffusion XL: two text encoders."""
    first, second = tokenizer(words / "1", END), tokenizer(words / "2", "!")
    return StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=text_encoder(first, **WORDS),
        text_encoder_2=text_encoder(second, CLIPTextModelWithProjection, **WORDS),
        tokenizer=first,
        tokenizer_2=second,
        unet=unet(**{**SIZES, **XL}),
        scheduler=scheduler or EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
    )


def turbo(words):
    """Stable Diffusion XL Turbo's scheduler."""
    return xl(words, EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing"))


KINDS = {made.__name__: made for made in (sd, v_prediction, lcm, from_image, inpaint, tiny_vae, safe, xl, turbo)}
