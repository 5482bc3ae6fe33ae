"""Decoding in tiles: the memory of a part of the image, and no seams.

Tiles overlap. At a tile's inner edge the decoder's convolutions see padding in the place of the neighbour, so that a
``HALO`` of each edge is thrown away; where two tiles meet, one goes over into the other along ``BLEND``. With this halo
convolutions as deep as Stable Diffusion's come within two levels of 255 of the whole image, shallower ones give it.
What remains is what a decoder computes over the whole image, normalisation and attention: a tile does so over the
tile, which shifts colours and contrast, without a seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edgepack.arrays import Array

HALO, BLEND = 8, 4  # of the latents
LEAST = 32  # of the latents, a tile's side: with less nearly all of it is overlap
Span = tuple[int, int]  # from, up to


def decoded(decode: Callable[[Array], Array], latents: Array, side: int) -> Array:
    """Return what ``decode`` makes of latents, float32 [1, channels, height, width], in tiles of ``side`` at most."""
    height, width = latents.shape[2:]
    if height <= side and width <= side:
        return decode(latents)
    rows, columns = list(spans(height, side)), list(spans(width, side))
    made: Array | None = None
    for row in rows:
        for column in columns:
            tile = decode(np.ascontiguousarray(latents[:, :, slice(*row), slice(*column)]))
            factor = tile.shape[2] // (row[1] - row[0])
            if made is None:
                made = np.zeros((*tile.shape[:2], height * factor, width * factor), np.float32)
            down, across = weights(row, rows, factor), weights(column, columns, factor)
            tile = tile * down[:, None] * across
            made[:, :, slice(*_times(row, factor)), slice(*_times(column, factor))] += tile
    assert made is not None  # there is a tile
    return made


def spans(size: int, side: int) -> Iterator[Span]:
    """Yield where tiles of one ``side`` lie along an axis, as evenly as they can."""
    if size <= side:
        yield 0, size
        return
    overlap = 2 * HALO + BLEND
    count = -(-(size - overlap) // (side - overlap))
    for index in range(count):
        start = (size - side) * index // (count - 1)
        yield start, start + side


def weights(span: Span, all_: list[Span], factor: int) -> Array:
    """Return how much of a tile is in the image along an axis, float32 [pixels]; over all tiles they add up to 1."""
    place = np.arange(span[0] * factor, span[1] * factor) + 0.5
    own = _raw(place, span, all_, factor)
    return (own / sum(_raw(place, one, all_, factor) for one in all_)).astype(np.float32)


def _raw(place: Array, span: Span, all_: list[Span], factor: int) -> Array:
    """Return what rises from 0 behind the halo of an inner edge to 1, at places of pixels."""
    start, end = (edge * factor for edge in span)
    rise = [np.ones_like(place)]
    if span[0] > all_[0][0]:
        rise.append((place - start) / factor - HALO)
    if span[1] < all_[-1][1]:
        rise.append((end - place) / factor - HALO)
    return np.asarray(np.clip(np.minimum.reduce([*rise[:1], *(one / BLEND for one in rise[1:])]), 0, 1))


def _times(span: Span, factor: int) -> Span:
    return span[0] * factor, span[1] * factor
