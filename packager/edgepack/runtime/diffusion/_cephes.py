"""Logarithm, sine and cosine in float32 as torch computes them for its normal values: the Cephes library's polynomials.

Products that are added to are rounded once, as fused multiply-add does.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from edgepack.arrays import Array

_F = np.float32
_LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_LN2 = (-2.12194440e-4, 0.693359375)  # ln 2 in two parts: the small one and the large one
_HALF_ROOT = _F(0.707106781186547524)
_LEAST = _F(1.17549435e-38)
_QUARTER_TURNS = _F(1.27323954473516)  # of pi/4 in a radian
_PI_4 = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)  # -pi/4 in three parts
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)


def log(values: Array) -> Array:
    """Return the natural logarithm of float32 above 0."""
    bits = np.maximum(values, _LEAST).view(np.int32)
    exponent = ((bits >> 23) - 126).astype(_F)
    mantissa = (bits & ~0x7F800000 | 0x3F000000).view(_F)  # from 0.5 to 1
    small = mantissa < _HALF_ROOT
    exponent = exponent - small.astype(_F)
    x = (mantissa - _F(1)) + np.where(small, mantissa, _F(0))
    square = x * x
    y = _polynomial(_LOG, x) * x
    y = _added(y, square, exponent * _F(_LN2[0]))
    y = _added(-square, _F(0.5), y)
    return _added(exponent, _F(_LN2[1]), x + y)


def sincos(angles: Array) -> tuple[Array, Array]:
    """Return sine and cosine of float32 of 0 or more, some turns at most."""
    octant = ((angles * _QUARTER_TURNS).astype(np.int32) + 1) & ~1
    x = reduce(lambda x, part: _added(octant.astype(_F), _F(part), x), _PI_4, angles)
    square = x * x
    cosine = _added(_polynomial(_COSINE, square) * square, square, -(square * _F(0.5))) + _F(1)
    sine = _added(_polynomial(_SINE, square) * square, x, x)
    swapped = (octant & 2) != 0
    down, left = (octant & 4) != 0, ((octant - 2) & 4) == 0
    first, second = np.where(swapped, cosine, sine), np.where(swapped, sine, cosine)
    return np.where(down, -first, first), np.where(left, -second, second)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Return the polynomial's value, the highest power's coefficient first."""
    start = np.full_like(x, coefficients[0])
    return reduce(lambda sum_, one: _added(sum_, x, _F(one)), coefficients[1:], start)


def _added(a: Array, b: Array | np.float32, c: Array | np.float32) -> Array:
    """Return ``a * b + c``, rounded once."""
    return (a.astype(np.float64) * np.asarray(b, np.float64) + np.asarray(c, np.float64)).astype(_F)
