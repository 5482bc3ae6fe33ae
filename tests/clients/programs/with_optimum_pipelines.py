"""optimum's pipelines of Stable Diffusion on bundles: the final latents of a prompt at a seed, as JSON."""

import json
import sys

import torch
from optimum.onnxruntime import ORTStableDiffusionPipeline, ORTStableDiffusionXLPipeline

KINDS = {"sd": ORTStableDiffusionPipeline, "xl": ORTStableDiffusionXLPipeline}


def latents(kind: str, folder: str, prompt: str, negative: str, steps: int, seed: int) -> list[float]:
    """Latents, flat."""
    pipeline = KINDS[kind].from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        prompt,
        negative_prompt=negative,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
    )
    return torch.as_tensor(made.images).flatten().tolist()


print(json.dumps([latents(**job) for job in json.load(sys.stdin)]))
