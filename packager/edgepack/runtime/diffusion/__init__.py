"""Latent diffusion on the device: noise, schedulers, tiled decoding, in numpy alone."""
