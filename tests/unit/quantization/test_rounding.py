from __future__ import annotations

import numpy as np
import pytest

from edgepack.errors import ConversionError
from edgepack.quantization.rounding import blocks, float16, per_channel


@pytest.fixture
def weight():
    return np.random.default_rng(1).normal(size=(96, 40)).astype(np.float32)


def saturating(activation, weight):
    """vpmaddubsw by hand: saturating 16-bit sums of neighbouring u8 * s8 products, added up [n, N]."""
    products = activation[:, :, None].astype(np.int64) * weight[None].astype(np.int64)
    pairs = products.reshape(len(activation), -1, 2, weight.shape[1]).sum(2)
    return pairs.clip(-32768, 32767).sum(1)


@pytest.mark.parametrize("bias", [0.0, 1.0, -1.0, 5.0])
def test_saturating_and_exact_sums_are_equal(weight, bias):
    values = per_channel(weight + np.float32(bias)).values
    activation = np.full((1, 96), 255, np.uint8)
    for chosen in (activation, activation * (np.arange(96) % 2 == 0), activation * (values[:, 0] > 0)):
        exact = chosen.astype(np.int64) @ values.astype(np.int64)
        np.testing.assert_array_equal(saturating(chosen, values), exact)


def test_activations_of_seven_bits_leave_room_for_every_weight(weight):
    made = per_channel(weight + 5, 127)
    activation = np.full((1, 96), 127, np.uint8)
    np.testing.assert_allclose(made.scale, np.abs(weight + 5).max(0) / 127, rtol=1e-6)
    np.testing.assert_array_equal(
        saturating(activation, made.values), activation.astype(np.int64) @ made.values.astype(np.int64)
    )


def test_plain_eight_bits_would_saturate(weight):
    scale = np.abs(weight + 5).max(0) / 127
    values = np.round((weight + 5) / scale).astype(np.int8)
    activation = np.full((1, 96), 255, np.uint8)
    assert (saturating(activation, values) != activation.astype(np.int64) @ values.astype(np.int64)).any()


def test_per_channel_is_within_half_a_step(weight):
    stored = per_channel(weight)
    # a pair at the limit gives one step up
    assert (np.abs(stored.restored() - weight) <= 1.01 * stored.scale).all()


def test_an_odd_number_of_rows_and_a_zero_column(weight):
    odd = weight[:95].copy()
    odd[:, 3] = 0
    stored = per_channel(odd)
    assert stored.values.shape == (95, 40)
    assert np.isfinite(stored.scale).all()
    assert not stored.restored()[:, 3].any()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("width", [32, 40, 96])
def test_blocks_restore_the_matrix(weight, bits, width):
    matrix = np.ascontiguousarray(weight.T[:, :width])
    made = blocks(matrix, bits, 32)
    error = np.abs(made.restored() - matrix).max()
    assert made.restored().shape == matrix.shape
    assert error <= np.abs(matrix).max() / (5 if bits == 4 else 200)


def test_searched_scales_beat_the_plain_ones(weight):
    matrix = np.ascontiguousarray(weight.T)
    plain = np.abs(matrix.reshape(40, -1, 32)).max(2, keepdims=True) / 7
    rounded = np.round(matrix.reshape(40, -1, 32) / plain) * plain
    usual = ((rounded.reshape(matrix.shape) - matrix) ** 2).sum()
    assert ((blocks(matrix, 4, 32).restored() - matrix) ** 2).sum() < 0.8 * usual


def test_importance_moves_the_error_to_where_it_matters_less(weight):
    matrix = np.ascontiguousarray(weight.T)
    importance = np.where(np.arange(96) % 2, 100.0, 1.0).astype(np.float32)
    weighted = ((blocks(matrix, 4, 32, importance).restored() - matrix) ** 2 * importance).sum()
    assert weighted < ((blocks(matrix, 4, 32).restored() - matrix) ** 2 * importance).sum()


def test_what_float16_cannot_hold_is_told() -> None:
    assert float16(np.array([65504.0, -1e-9], np.float32)).dtype == np.float16
    with pytest.raises(ConversionError, match="7e\\+04 is more than float16 holds"):
        float16(np.array([1.0, 7e4], np.float32))
