"""A trial of an exported graph: does it compute what the module does, before anything is compressed?

Batches of one, two and three rows of different lengths are tried, and maps of another size: a trace can hold a number
of the batch that it was made with, and a fusion can take padding for text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.arrays import Array, Feeds, Outputs, Run
from edgepack.errors import EdgepackError
from edgepack.runtime.processing import Text
from edgepack.tasks import Axes

_SIZES = (1, 1, 2, 3)
_ODD = (9, 11)  # sides of a map, which no graph that doubles what it has halved can give back
_MAP = 4  # dimensions
_PART, _FEWEST = 4, 16  # of the sides of maps
_LEAST = 1e-6  # the largest value of an output of zeros
CLOSE = 1e-4  # of the largest value: float32 sums in another order stay far below it


def batches(feeds: Sequence[Feeds], text: Text | None) -> list[Feeds]:
    """Make batches of one (a short row, a long one), two and three rows of ``feeds``.

    They are padded as ``text`` says; None for images, and for sounds, which are cut to the shortest.
    """
    rows = [_row(feed, index) for feed in feeds for index in range(len(next(iter(feed.values()))))]
    order = np.linspace(0, len(rows) - 1, sum(_SIZES)).astype(int)  # feeds come by length: short, …, long
    spread = [rows[index] for index in (*order[::-1][::2], *order[::2][: len(order) // 2 + 1])]
    shared = {name: array for name, array in feeds[0].items() if not array.ndim}  # by all rows, as a timestep is
    made, start = [], 0
    for size in _SIZES:
        made.append({**_joined(spread[start : start + size], text), **shared})
        start += size
    return made


def resized(feeds: Feeds, axes: Axes) -> list[Feeds]:
    """Return ``feeds`` once more with maps of odd sides, where ``axes`` let these vary; nothing where none do."""
    cut = {name: feeds[name][:, :, : _ODD[0], : _ODD[1]] for name in _maps(feeds, axes)}
    return [{**feeds, **cut}] if cut else []


def smaller(feeds: Feeds, axes: Axes) -> Feeds:
    """Return ``feeds`` with maps of _PART of their sides, where ``axes`` let these vary: the whole takes minutes.

    That the compressed graph computes what the original does of whole maps is measured on what it was fed.
    """
    cut = {}
    for name in _maps(feeds, axes):
        height, width = (max(side // _PART, min(side, _FEWEST)) for side in feeds[name].shape[2:])
        cut[name] = feeds[name][:, :, :height, :width]
    return {**feeds, **cut}


def _maps(feeds: Feeds, axes: Axes) -> list[str]:
    return [name for name in feeds if {2, 3} <= axes.get(name, {}).keys()]


def difference(run: Run, feeds: Sequence[Feeds], wanted: Sequence[Outputs]) -> str:
    """Return what the graph computes otherwise than the module, in a clause; "" where nothing.

    A difference is relative to the largest value that the output has in any batch: one score may happen to be near 0.
    """
    largest: dict[str, float] = {}
    for feed, outputs in zip(feeds, wanted, strict=True):
        for name, value in outputs.items():
            most = float(np.abs(_unpadded(value, feed)).max())
            largest[name] = max(most, largest.get(name, _LEAST))
    for feed, outputs in zip(feeds, wanted, strict=True):
        try:
            made = run(feed)
        except EdgepackError as error:
            return f"{_said(feed)} fails: {error}"
        for name, value in outputs.items():
            apart = _apart(made[name], value, feed) / largest[name]
            if not apart <= CLOSE:
                return f"{name} of {_said(feed)} differs from PyTorch's by {apart:.1e} of its largest value"
    return ""


def _said(feed: Feeds) -> str:
    first = next(iter(feed.values()))
    sides = f" and {first.shape[2]} x {first.shape[3]}" if first.ndim == _MAP else ""
    return f"a batch of {len(first)}{sides}"


def _apart(made: Array, true: Array, feed: Feeds) -> float:
    """Return the largest difference; what belongs to padding is left out."""
    if made.shape != true.shape:
        return float("inf")
    return float(np.abs(_unpadded(made, feed) - _unpadded(true, feed)).max())


def _unpadded(values: Array, feed: Feeds) -> Array:
    mask = feed.get("attention_mask")
    padded = mask is not None and values.ndim > 1 and values.shape[:2] == mask.shape
    return values[mask.astype(bool)] if mask is not None and padded else values


def _row(feed: Feeds, index: int) -> Feeds:
    """Return one row of a batch, without its padding."""
    row = {name: array[index] for name, array in feed.items() if array.ndim}
    mask = row.get("attention_mask")
    return row if mask is None else {name: array[mask.astype(bool)] for name, array in row.items()}


def _joined(rows: Sequence[Feeds], text: Text | None) -> Feeds:
    """Join rows into a batch; texts are padded to the longest, sounds cut to the shortest."""
    if text is None or "attention_mask" not in rows[0]:
        return {name: _stacked([row[name] for row in rows]) for name in rows[0]}
    longest = max(len(row["attention_mask"]) for row in rows)
    fill = {"input_ids": text.pad_id}
    left = text.padding_side == "left"

    def padded(name: str, array: Array) -> Array:
        more = longest - len(array)
        return np.pad(array, (more, 0) if left else (0, more), constant_values=fill.get(name, 0))

    return {name: np.stack([padded(name, row[name]) for row in rows]) for name in rows[0]}


def _stacked(parts: Sequence[Array]) -> Array:
    shortest = min(len(part) for part in parts) if parts[0].ndim else None
    return np.stack([part[:shortest] if part.ndim else part for part in parts])
