"""Vectors in fewer bits are byte for byte those of sentence-transformers' quantize_embeddings."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from edgepack.errors import UsageError
from edgepack.runtime import vectors

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers.util import quantize_embeddings

MANY = np.random.default_rng(0).normal(size=(200, 21)).astype(np.float32)
FEW = np.concatenate([MANY[:5] * 1.5, np.zeros((1, 21), np.float32)])  # beyond the ranges, and bits of zeros


@pytest.mark.parametrize("precision", vectors.PRECISIONS)
def test_the_bytes_are_the_library_s(precision: vectors.Precision) -> None:
    eight = precision.endswith("int8")
    ranges = vectors.ranges(MANY) if eight else None
    true = quantize_embeddings(FEW, precision, calibration_embeddings=MANY if eight else None)
    made = vectors.quantize(FEW, precision, ranges)
    assert made.dtype == true.dtype
    np.testing.assert_array_equal(made, true)


def test_a_number_that_never_changes() -> None:
    still = MANY.copy()
    still[:, 3] = 0.25
    true = quantize_embeddings(still, "uint8")
    np.testing.assert_array_equal(vectors.quantize(still, "uint8", vectors.ranges(still)), true)


@pytest.mark.parametrize(
    ("precision", "bounds", "words"),
    [
        ("int4", None, "no precision 'int4'"),
        ("int8", None, "need the range"),
        ("int8", np.zeros((2, 3), np.float32), r"shape \[2, 3\]"),
        ("int8", vectors.ranges(MANY)[::-1], "a least above its most"),
        ("int8", "x", "no numbers"),
        ("binary", vectors.ranges(MANY), "not for binary"),
    ],
)
def test_what_is_refused(precision: Any, bounds: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        vectors.quantize(FEW, precision, bounds)


def test_shorter_vectors() -> None:
    np.testing.assert_array_equal(vectors.cut(FEW, 7), FEW[:, :7])
    assert vectors.cut(FEW, None) is FEW
    with pytest.raises(UsageError, match="have 21 numbers"):
        vectors.cut(FEW, 22)
