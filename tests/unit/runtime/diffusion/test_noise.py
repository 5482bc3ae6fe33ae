"""Noise from seeds against torch's and NumPy's own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.runtime.diffusion import noise

ULPS = 4  # of values around one: torch's vector instructions differ by processor; with AVX2 there is no difference
SEEDS = st.integers(0, 2**63 - 1)
avx2 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def same(mine, theirs):
    assert mine.dtype == np.float32
    if avx2:
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=ULPS * 1.2e-7)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.lists(st.integers(1, 300), min_size=1, max_size=6))
def test_draws_of_any_size_follow_each_other_as_torchs(seed, sizes):
    generator, ours = torch.Generator().manual_seed(seed), noise.Draws(seed)
    for size in sizes:
        same(ours((size,)), torch.randn(size, generator=generator).numpy())


def test_latents_of_many_values_are_torchs():
    generator, ours = torch.Generator().manual_seed(11), noise.Draws(11)
    for shape in ((4, 4, 96, 96), (1, 4, 63, 65)):
        same(ours(shape), torch.randn(shape, generator=generator).numpy())


def test_a_seed_for_each_image_as_a_list_of_generators():
    drawn = noise.Draws([3, 4])((2, 4, 8, 8))
    for index, seed in enumerate((3, 4)):
        wanted = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)).numpy()
        same(drawn[index : index + 1], wanted)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_numpys_generator(seed):
    wanted = np.random.RandomState(seed).standard_normal((1, 4, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(noise.Draws(seed, "numpy")((1, 4, 8, 8)), wanted)
