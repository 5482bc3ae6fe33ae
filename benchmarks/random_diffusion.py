"""Write a Stable Diffusion of random weights in its real shape: for what a build costs and how fast a step is.

    python benchmarks/random_diffusion.py --tokenizer FOLDER OUT

The folder looks like one from a model hub: model_index.json, float32 safetensors (--half: float16), configs, and the
tokenizer of FOLDER (vocab.json, merges.txt of CLIP), which is not ours to write. One piece of one tensor is in memory
at a time. Weights are drawn as PyTorch initialises layers, so that activations stay finite through the UNet.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

POOL = 16_777_213  # random numbers that are drawn once; a prime, so that no row of a matrix repeats another
TOKENIZER = ("vocab.json", "merges.txt")
DTYPES = {"F32": np.float32, "F16": np.float16}
UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
VAE = {
    "sample_size": 512,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
TEXT = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "steps_offset": 1,
    "set_alpha_to_one": False,
}

Shapes = dict[str, tuple[int, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(description="a Stable Diffusion 1.5 of random weights, as a model hub would")
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a folder with CLIP's vocab.json and merges.txt")
    parser.add_argument("--half", action="store_true", help="float16 weights")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write(arguments.out, arguments.tokenizer, half=arguments.half, seed=arguments.seed)


def write(out: Path, tokenizer: Path, *, half: bool = False, seed: int = 0) -> None:
    """The pipeline's folder ``out``; model_index.json comes last, so a folder that has one is whole."""
    random = np.random.default_rng(seed)
    pool = random.uniform(-1, 1, POOL).astype(np.float32)
    with torch.device("meta"):
        models: dict[str, Any] = {
            "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT)),
            "unet": UNet2DConditionModel(**UNET),
            "vae": AutoencoderKL(**VAE),
        }
    for name, model in models.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        model.config.save_pretrained(out / name) if name == "text_encoder" else model.save_config(out / name)
        file = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        write_weights(out / name / f"{file}.safetensors", shapes, pool, random, "F16" if half else "F32")
    PNDMScheduler(**SCHEDULER).save_pretrained(out / "scheduler")
    write_tokenizer(out / "tokenizer", tokenizer)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2))


def write_weights(file: Path, shapes: Shapes, pool: np.ndarray, random: np.random.Generator, dtype: str) -> None:
    """One safetensors file: https://huggingface.co/docs/safetensors#format."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end, kind = 0, DTYPES[dtype]
    for name, shape in shapes.items():
        start, end = end, end + np.dtype(kind).itemsize * prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            for piece in values(name, shape, pool, random):
                stream.write(piece.astype(kind).data)


def values(name: str, shape: tuple[int, ...], pool: np.ndarray, random: np.random.Generator) -> Iterator[np.ndarray]:
    """A tensor in pieces: ones and zeros for a norm, else uniform in +- 1 / sqrt(inputs), as PyTorch initialises."""
    if len(shape) == 1:
        yield np.full(shape, float("norm" in name and name.endswith("weight")), np.float32)
        return
    place, left = int(random.integers(POOL)), prod(shape)
    limit = np.float32(1 / sqrt(prod(shape[1:])))
    while left:
        piece = pool[place : place + left]
        yield piece * limit
        place, left = 0, left - len(piece)


def write_tokenizer(out: Path, tokenizer: Path) -> None:
    """CLIP's tokenizer, with the files that SD 1.5 has beside it."""
    out.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER:
        shutil.copyfile(tokenizer / name, out / name)
    ends = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    settings = {
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "CLIPTokenizer",
        **ends,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    (out / "special_tokens_map.json").write_text(json.dumps(ends | {"pad_token": "<|endoftext|>"}, indent=2))


if __name__ == "__main__":
    main()
