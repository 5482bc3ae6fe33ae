"""Tiny pipelines of diffusers with random weights, and the same PyTorch modules as runs by optimum's names."""

import contextlib
import json
import warnings

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizerFast

from edgepack.runtime.processing import Diffusion, Processing, PromptEncoder
from edgepack.runtime.tasks.text_to_image import Model
from edgepack.tasks import _schedule

START, END = "<|startoftext|>", "<|endoftext|>"
BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
MERGES = (("s", "o"), ("f", "a</w>"), ("so", "fa</w>"), ("r", "e"), ("re", "d</w>"), ("t", "h"), ("th", "e</w>"))
LENGTH = 77
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@contextlib.contextmanager
def quiet():
    """Without the deprecations inside diffusers and transformers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def tokenizer(folder, pad=END):
    """A tokenizer of CLIP's kind with few merges, saved as tokenizer.json too."""
    letters = [chr(one) for one in BYTES] + [chr(256 + i) for i in range(256 - len(BYTES))]
    words = [*letters, *(f"{one}</w>" for one in letters), *("".join(pair) for pair in MERGES), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in MERGES)]))
    made = CLIPTokenizerFast.from_pretrained(folder, pad_token=pad, model_max_length=LENGTH)
    made.save_pretrained(folder)
    return made


def text_encoder(words, kind=CLIPTextModel, **more):
    settings = {
        "vocab_size": len(words),
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "projection_dim": 32,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
    }
    return kind(CLIPTextConfig(**{**settings, **more})).eval()


def unet(**more):
    settings = {
        "block_out_channels": (4, 8),
        "layers_per_block": 1,
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "norm_num_groups": 2,
        "attention_head_dim": 2,
    }
    return UNet2DConditionModel(**{**settings, **more}).eval()


def vae(**more):
    return AutoencoderKL(
        block_out_channels=(4, 4, 8, 8), in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, sample_size=64, **more,
    ).eval()  # fmt: skip


def small_vae(scaling_factor=1.0):
    """A distilled one, whose encoder gives latents, not their distribution."""
    return AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4, num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4, latent_channels=4, scaling_factor=scaling_factor,
    ).eval()  # fmt: skip


class Tiny:
    """One pipeline's modules, and ours around them."""

    def __init__(self, folder, scheduler="DDIMScheduler", schedule=None, *, xl=False, autoencoder=vae, **settings):
        torch.manual_seed(0)
        self.folder = folder
        self.schedule = {**BETAS, **(schedule or {"clip_sample": False, "set_alpha_to_one": False})}
        with quiet():
            self.scheduler = getattr(diffusers, scheduler)(**self.schedule)
        pad = "!" if xl else END
        with quiet():
            self.words = [tokenizer(folder / "tokenizer"), *([tokenizer(folder / "tokenizer_2", pad)] if xl else [])]
            self.encoders = [text_encoder(self.words[0])]
            if xl:
                self.encoders.append(text_encoder(self.words[1], CLIPTextModelWithProjection))
                settings = {
                    "addition_embed_type": "text_time",
                    "addition_time_embed_dim": 8,
                    "cross_attention_dim": 64,
                    "projection_class_embeddings_input_dim": 80,
                    **settings,
                }
            self.unet, self.vae = unet(**settings), autoencoder()
        self.xl = xl

    def diffusers(self, kind, **more):
        """A pipeline of diffusers."""
        parts = {"vae": self.vae, "unet": self.unet, "scheduler": self.scheduler}
        names = ("tokenizer", "tokenizer_2"), ("text_encoder", "text_encoder_2")
        parts |= dict(zip(names[0], self.words, strict=False)) | dict(zip(names[1], self.encoders, strict=False))
        if not self.xl:
            parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        with quiet():
            made = getattr(diffusers, kind)(**{**parts, **more})
        made.set_progress_bar_config(disable=True)
        return made

    def ours(self, **more):
        """The task's object around the same modules."""
        return Model(self.runs(), self.folder, self.processing(**more))

    def processing(self, **more):
        settings = {
            "encoders": self._prompt_encoders(),
            "latent_channels": 4,
            "unet_channels": self.unet.config.in_channels,
            "vae_scale_factor": 8,
            "scaling_factor": self.vae.config.scaling_factor,
            "latents_mean": tuple(mean) if (mean := self.vae.config.get("latents_mean")) else None,
            "latents_std": tuple(std) if (std := self.vae.config.get("latents_std")) else None,
            "height": 64,
            "width": 64,
            "multiple_of": 8,
            "timestep_cond": self.unet.config.time_cond_proj_dim,
            "time_ids": self.xl,
            "zeros_for_empty_prompt": self.xl,
            "steps": 5,
            "guidance": 5.0,
        }
        config = {"_class_name": type(self.scheduler).__name__, **self.schedule}
        pipeline = "StableDiffusionXLPipeline" if self.xl else "StableDiffusionPipeline"
        processing = Processing(diffusion=Diffusion(**{**settings, **more}), schedule=_schedule.read(config, pipeline))
        assert Processing.from_json(json.loads(json.dumps(processing.to_json()))) == processing
        return processing

    def _prompt_encoders(self):
        first = {"max_length": LENGTH, "submodel": "text_encoder", "tokenizer": "tokenizer"}
        if not self.xl:
            return (PromptEncoder(**first, pad_id=self.words[0].pad_token_id, hidden="last_hidden_state"),)
        second = {"max_length": LENGTH, "submodel": "text_encoder_2", "tokenizer": "tokenizer_2"}
        skipping = ("hidden_states.1", "hidden_states.0")
        return (
            PromptEncoder(**first, pad_id=self.words[0].pad_token_id, hidden="hidden_states.2", skipping=skipping),
            PromptEncoder(
                **second, pad_id=self.words[1].pad_token_id, hidden="hidden_states.2", skipping=skipping,
                pooled="text_embeds",
            ),
        )  # fmt: skip

    def runs(self):
        names = ("text_encoder", "text_encoder_2")
        encoders = {name: text_run(one) for name, one in zip(names, self.encoders, strict=False)}
        return {
            **encoders,
            "unet": unet_run(self.unet),
            "vae_encoder": self._encoder(),
            "vae_decoder": run("sample", lambda latent_sample: self.vae.decode(latent_sample).sample),
        }

    def _encoder(self):
        if isinstance(self.vae, AutoencoderTiny):
            return run("latent_sample", lambda sample: self.vae.encode(sample).latents)
        return run("latent_parameters", lambda sample: self.vae.encode(sample).latent_dist.parameters)


def run(name, call):
    """A run with one output."""

    def made(feeds):
        with torch.no_grad():
            return {name: call(**{key: torch.from_numpy(value) for key, value in feeds.items()}).numpy()}

    return made


def text_run(module):
    def made(feeds):
        with torch.no_grad():
            found = module(torch.from_numpy(feeds["input_ids"]), output_hidden_states=True)
        hidden = {f"hidden_states.{index}": one.numpy() for index, one in enumerate(found.hidden_states)}
        pooled = {"text_embeds": found.text_embeds.numpy()} if "text_embeds" in found else {}
        return {"last_hidden_state": found.last_hidden_state.numpy(), **hidden, **pooled}

    return made


def unet_run(module):
    def call(sample, timestep, encoder_hidden_states, timestep_cond=None, text_embeds=None, time_ids=None):
        added = None if text_embeds is None else {"text_embeds": text_embeds, "time_ids": time_ids}
        return module(
            sample, timestep, encoder_hidden_states, timestep_cond=timestep_cond, added_cond_kwargs=added
        ).sample

    return run("out_sample", call)


def generator(seed):
    """Of diffusers: one, or a list of them."""
    if isinstance(seed, list):
        return [torch.Generator().manual_seed(one) for one in seed]
    return torch.Generator().manual_seed(seed)


def photo(height=64, width=64, seed=3):
    """Smooth colours, uint8."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    turns = np.random.RandomState(seed).uniform(1, 6, (3, 2))
    return np.stack([(np.sin(a * x + b * y) * 0.5 + 0.5) * 255 for a, b in turns], -1).astype(np.uint8)
