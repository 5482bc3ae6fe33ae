"""Images of the same prompt and seed by the original and by a compressed model, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.arrays import Array

ONE_STEP_PSNR, LATENTS_PSNR, IMAGE_PSNR = "one_step_psnr", "latents_psnr", "image_psnr"
MEANINGS = {
    ONE_STEP_PSNR: "the latents after a run of a single step; Apple's tables for Stable Diffusion state this figure, "
    "of the UNet alone",
    LATENTS_PSNR: "the last latents of a whole run; each step goes on from what the bundle made of the one before",
    IMAGE_PSNR: "the image of the whole run",
    "reading": "the largest difference between edgepack's denoising loop around the original's PyTorch modules and "
    "diffusers' pipeline, as a share of the largest latent, or of white in the image where more than a level differs",
}


@dataclass(frozen=True, kw_only=True)
class ImagePair:
    """A prompt's image by both, uint8 [height, width, 3]; of the same size."""

    prompt: str
    seed: int
    steps: int  # that were asked for; some schedulers run the UNet once more
    by_step: Sequence[float]  # psnr of the latents after each run of the UNet, dB
    image_psnr: float  # dB
    original: Array
    compressed: Array
