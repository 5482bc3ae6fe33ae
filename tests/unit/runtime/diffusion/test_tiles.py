"""Decoding in tiles against decoding at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.runtime.diffusion import tiles

CONVOLUTIONS = 6  # of latents on each side that they see, less than the halo


def convolutional(scale=2):
    """A decoder without normalisation, as small ones are: its tiles are those of the whole image."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(4, 4, 3, padding=1) for _ in range(CONVOLUTIONS)]
    decoder = torch.nn.Sequential(*layers, torch.nn.Upsample(scale_factor=scale), torch.nn.Conv2d(4, 3, 3, padding=1))

    def decode(latents):
        with torch.no_grad():
            return decoder(torch.from_numpy(latents)).numpy()

    return decode


@pytest.mark.parametrize(("height", "width"), [(80, 80), (33, 70), (100, 40)])
def test_tiles_of_convolutions_are_the_whole(height, width):
    latents = np.random.RandomState(0).standard_normal((1, 4, height, width)).astype(np.float32)
    decode = convolutional()
    shapes = []

    def watched(part):
        shapes.append(part.shape[2:])
        return decode(part)

    made = tiles.decoded(watched, latents, 40)
    np.testing.assert_allclose(made, decode(latents), atol=1e-5)
    assert len(shapes) > 1
    assert max(max(shape) for shape in shapes) <= 40


def test_what_fits_in_a_tile_is_decoded_at_once():
    latents = np.ones((1, 4, 32, 40), np.float32)
    assert tiles.decoded(lambda part: part, latents, 40) is latents


def test_one_tile_goes_over_into_the_next_without_a_step():
    latents = np.zeros((1, 1, 40, 120), np.float32)
    count = iter(range(100))
    made = tiles.decoded(lambda part: np.full_like(part, next(count)), latents, 40)  # each tile of a colour of its own
    steps = np.abs(np.diff(made[0, 0, 0]))
    assert made.max() > 2
    assert steps.max() <= 1 / tiles.BLEND + 1e-6


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(tiles.LEAST, 128), st.sampled_from([1, 2, 8]))
def test_tiles_cover_an_axis_and_their_weights_add_up(size, side, factor):
    spans = list(tiles.spans(size, side))
    total = np.zeros(size * factor)
    for start, end in spans:
        assert 0 <= start < end <= size
        assert end - start == min(side, size)
        total[start * factor : end * factor] += tiles.weights((start, end), spans, factor)
    np.testing.assert_allclose(total, 1, atol=1e-6)
