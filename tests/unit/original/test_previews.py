"""Colours of latents, learned from what the original made."""

import numpy as np

from edgepack.original.recorders import Recording, diffusion
from edgepack.original.recorders._runs import Run
from edgepack.runtime.processing import Diffusion, Processing

SETTINGS = Diffusion(
    encoders=(), latent_channels=4, unet_channels=4, vae_scale_factor=2, scaling_factor=1.0, height=8, width=12,
    multiple_of=2, steps=1, guidance=1.0,
)  # fmt: skip


def test_colours_that_are_linear_in_the_latents_are_found():
    random = np.random.RandomState(0)
    latents = [random.uniform(-1, 1, (1, 4, 4, 6)).astype(np.float32) for _ in range(2)]
    weights = random.uniform(-0.2, 0.2, (3, 4))
    colours = [np.einsum("rc,chw->hwr", weights, one[0]) + 0.1 for one in latents]
    images = [((one + 1) * 127.5).round().astype(np.uint8).repeat(2, 0).repeat(2, 1) for one in colours]
    runs = [(None, Run(latents=[one], image=image)) for one, image in zip(latents, images, strict=True)]
    recording = Recording(submodels={}, results=diffusion.Results(whole=runs[:1], single=runs[1:]))
    found = diffusion.completed(recording, Processing(diffusion=SETTINGS)).section(Diffusion)
    np.testing.assert_allclose(np.array(found.preview), np.c_[weights, np.full(3, 0.1)], atol=0.01)
    assert found.height == 8
