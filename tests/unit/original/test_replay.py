"""A recorded run played again: answers row by row, and what else is fed is computed."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.arrays import Array, Feeds, Outputs
from edgepack.original.recorders._replay import Replayed

RANDOM = np.random.default_rng(0)
SAMPLES = RANDOM.standard_normal((3, 2, 4, 4)).astype(np.float32)  # calls, rows, …
CALLS = [
    ({"sample": sample, "timestep": np.array(9.0 - step)}, {"made": sample * 2}) for step, sample in enumerate(SAMPLES)
]


def original(feeds: Feeds) -> Outputs:
    return {"made": np.full_like(feeds["sample"], 7)}


@pytest.fixture
def replayed() -> Replayed:
    return Replayed(CALLS, original, 1e-4)


def fed(sample: Array, timestep: float = 8.0) -> Feeds:
    return {"sample": sample, "timestep": np.array(timestep)}


def test_rows_are_answered_however_a_batch_brings_them_together(replayed: Replayed) -> None:
    turned = SAMPLES[1][::-1]
    assert np.array_equal(replayed(fed(turned))["made"], turned * 2)
    assert np.array_equal(replayed(fed(SAMPLES[1][1:]))["made"], SAMPLES[1][1:] * 2)
    assert replayed.apart == 0


def test_what_rounding_changes_is_answered_and_told(replayed: Replayed) -> None:
    assert np.array_equal(replayed(fed(SAMPLES[1] * np.float32(1.00002)))["made"], SAMPLES[1] * 2)
    assert replayed.apart == pytest.approx(2e-5, rel=0.1)


@pytest.mark.parametrize(
    "feeds",
    [
        fed(SAMPLES[1] * np.float32(1.01)),
        fed(SAMPLES[1], timestep=9.0),
        fed(SAMPLES[1][:, :2]),
        fed(np.full_like(SAMPLES[1], np.nan)),
        {**fed(SAMPLES[1]), "time_ids": np.ones((1, 6))},
    ],
)
def test_other_inputs_are_computed(feeds: Feeds, replayed: Replayed) -> None:
    assert (replayed(feeds)["made"] == 7).all()
    assert replayed.apart == 0
