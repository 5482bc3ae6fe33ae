"""A model that is run a few nodes at a time gives what it gives as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgepack.formats.onnx.builder.partitioned import PartitionedSession

from .conftest import Write, ids_of, recipe

_SHARED = 1 << 30  # bytes: everything in one piece


@pytest.mark.parametrize("wanted", [0, 2, -1])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "gpt_neox"])
def test_pieces_give_what_the_whole_gives(
    family: str, wanted: int, folder_of: Callable[[str], Path], write: Write
) -> None:
    written = write(folder_of(family), recipe("int4"))
    whole = written.session()
    first = {"logits_from": np.array([wanted])}
    feeds = [written.feeds(ids_of(1, length, seed=length), **first) for length in (5, 9)]
    counts = set()
    for most in (1, 5_000, 10_000, 20_000, 40_000, _SHARED):  # the last piece has the head alone, a layer, and more
        pieces = PartitionedSession(written.artifact.path, 1, ("logits",), most)
        for feed, outputs in zip(feeds, pieces.each(feeds), strict=True):
            assert list(outputs) == ["logits"]
            np.testing.assert_array_equal(outputs["logits"], whole(feed)["logits"])
        counts.add(pieces.count)
    assert len(counts) > 2


def test_a_piece_holds_the_weights_of_few_nodes(folder_of: Callable[[str], Path], write: Write) -> None:
    written = write(folder_of("llama"), recipe("int4"))
    counts = [PartitionedSession(written.artifact.path, 1, ("logits",), most).count for most in (1, 20_000, _SHARED)]
    assert counts[0] > counts[1] > counts[2] == 1
