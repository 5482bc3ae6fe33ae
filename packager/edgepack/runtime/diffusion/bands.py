"""Decoding in bands: what the decoder makes of the whole image, in the memory of a few of its rows.

The decoder is cut into graphs that follow each other (formats/onnx/export/bands.py). Each map between two of them is
kept whole, in 16 bits where it is large; a graph computes some rows of it at a time, and reads a few more, the halo, at
inner edges, where convolutions reach over. A group normalisation is of the whole map: its mean and variance are found
in a pass over the bands before, from means of rows and of their squares. Each graph is opened when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np

from edgepack import memory
from edgepack.arrays import Array, Feeds, Outputs
from edgepack.runtime.engines import Session

RUN = "vae_decoder bands"  # the name under which a task finds its Bands
LATENTS, HEIGHT, SAMPLE = "latent_sample", "height", "sample"  # inputs and output

HALO = "edgepack.halo"  # in a graph's metadata: rows that it reads beyond a band; it takes all rows where there is none
SCALE = "edgepack.scale"  # rows of its output for one of its input
GROUPS = "edgepack.groups"  # of the norm that a graph measures for
MEAN, VARIANCE = "mean_", "variance_"  # and the number of a norm: inputs [1, groups, 1]
ROWS, SQUARES = "rows_", "squares_"  # outputs [1, channels, rows]: means of rows, and of their squares
_SMALL = 1 << 22  # values of a map that is kept in 32 bits
_HIGHEST = 32_768.0  # of a row that is kept in 16 bits


class PartSession(Session, Protocol):
    """An opened graph, with what its file says of it."""

    metadata: Mapping[str, str]


class Bands:
    """A run: LATENTS, float32 [1, channels, height, width], to SAMPLE, float32 [1, 3, height, width].

    HEIGHT, an integer, is how many rows of a part's output are made at a time, where they are more than its halo.
    """

    def __init__(self, graphs: Sequence[Path], open: Callable[[Path], PartSession]) -> None:
        self._graphs, self._open = graphs, open

    def __call__(self, feeds: Mapping[str, Array]) -> Outputs:
        """Return the image. Raises InputError, DoesNotFit, as sessions do."""
        kept, height = _Map.of(feeds[LATENTS]), int(feeds[HEIGHT])
        measured: Feeds = {}
        for graph in self._graphs:
            part = _Part(self._open(graph))
            if part.measures:
                measured |= part.measure(kept, measured, height)
            else:
                kept, measured = part.made(kept, measured, height), {}
                memory.release()
            del part
        return {SAMPLE: kept.rows(0, kept.height)}


class _Map:
    """A map [1, channels, height, width], put and taken by rows; a large one in 16 bits and a scale for each row."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.height, self.width = shape, shape[2], shape[3]
        small = prod(shape) <= _SMALL
        self._scales = None if small else np.ones((self.height, 1), np.float32)
        self._values = np.empty(shape, np.float32 if small else np.float16)

    @classmethod
    def of(cls, values: Array) -> _Map:
        """Return the map of float32 ``values``."""
        made = cls(values.shape)
        made.put(0, values)
        return made

    def rows(self, start: int, end: int) -> Array:
        """Return rows in float32."""
        made = self._values[:, :, start:end].astype(np.float32)
        if self._scales is not None:
            made *= self._scales[start:end]
        return made

    def put(self, start: int, values: Array) -> None:
        """Keep ``values`` as the rows from ``start`` on."""
        end = start + values.shape[2]
        if self._scales is None:
            self._values[:, :, start:end] = values
            return
        largest = np.maximum(values.max(axis=(0, 1, 3)), -values.min(axis=(0, 1, 3)))
        self._scales[start:end, 0] = np.where(largest > 0, largest / np.float32(_HIGHEST), 1)
        np.divide(values, self._scales[start:end], out=self._values[:, :, start:end], casting="same_kind")


class _Part:
    """An opened graph."""

    def __init__(self, session: PartSession) -> None:
        self._session, facts = session, session.metadata
        self._halo = int(facts[HALO]) if HALO in facts else None
        self._scale = int(facts.get(SCALE, "1"))
        self._groups = int(facts.get(GROUPS, "0"))
        self._input, self._outputs = session.inputs[0].name, [spec.name for spec in session.outputs]

    @property
    def measures(self) -> bool:
        """True if it gives what a norm's mean and variance are computed from."""
        return self._groups > 0

    def measure(self, kept: _Map, measured: Feeds, height: int) -> Feeds:
        """Return the mean and the variance of a norm, under the names of the inputs that take them."""
        rows, squares = self._outputs
        sums, count = np.zeros((2, self._groups)), 0
        for _, found in self._bands(kept, measured, height):
            each = [found[name].astype(np.float64).reshape(self._groups, -1) for name in (rows, squares)]
            sums += [one.sum(axis=1) for one in each]
            count += each[0].shape[1]
        mean, square = sums / count
        norm = rows.removeprefix(ROWS)
        found = {f"{MEAN}{norm}": mean, f"{VARIANCE}{norm}": np.maximum(square - mean**2, 0)}
        return {name: one.astype(np.float32)[None, :, None] for name, one in found.items()}

    def made(self, kept: _Map, measured: Feeds, height: int) -> _Map:
        """Return what the graph makes of a map, which takes the place of that one where it has its shape."""
        (output,) = self._outputs
        if self._halo is None:
            return _Map.of(self._session({self._input: kept.rows(0, kept.height)})[output])
        made: _Map | None = None
        waiting: list[tuple[int, Array]] = []  # in its place are rows that the next band reads
        for start, found in self._bands(kept, measured, height):
            values = found[output]
            if made is None:
                shape = (*values.shape[:2], kept.height * self._scale, kept.width * self._scale)
                made = kept if shape == kept.shape else _Map(shape)
            for place, before in waiting:
                made.put(place, before)
            waiting = [(start * self._scale, values)]
        assert made is not None  # there is a band
        made.put(*waiting[0])
        return made

    def _bands(self, kept: _Map, measured: Feeds, height: int) -> Iterator[tuple[int, Feeds]]:
        """Yield the first row of each band, and the outputs without their halo."""
        halo = self._halo or 0
        rows = max(1, halo, height // self._scale)
        for start in range(0, kept.height, rows):
            end = min(start + rows, kept.height)
            first, last = max(0, start - halo), min(kept.height, end + halo)
            found = self._session({self._input: kept.rows(first, last), **measured})
            scale = next(iter(found.values())).shape[2] // (last - first)
            own = slice((start - first) * scale, (end - first) * scale)
            yield start, {name: np.ascontiguousarray(values[:, :, own]) for name, values in found.items()}
