"""A model that is run a few nodes at a time gives what it gives as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgepack.formats.onnx.builder.partitioned import Pieces

from .conftest import Write, ids_of, recipe

_SHARED = 1 << 30  # bytes: everything in one piece


@pytest.mark.parametrize("most", [1, 20_000, _SHARED])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "gpt_neox"])
def test_pieces_give_what_the_whole_gives(
    family: str, most: int, folder_of: Callable[[str], Path], write: Write
) -> None:
    written = write(folder_of(family), recipe("int4"))
    whole = written.session()
    everything = {"logits_from": np.array([0])}
    feeds = [written.feeds(ids_of(1, length, seed=length), **everything) for length in (5, 9)]
    found = list(Pieces(written.artifact.path, 1, ("logits",), most).each(feeds))
    for feed, outputs in zip(feeds, found, strict=True):
        assert list(outputs) == ["logits"]
        np.testing.assert_array_equal(outputs["logits"], whole(feed)["logits"])


def test_a_piece_holds_the_weights_of_few_nodes(folder_of: Callable[[str], Path], write: Write) -> None:
    written = write(folder_of("llama"), recipe("int4"))
    counts = [Pieces(written.artifact.path, 1, ("logits",), most).count for most in (1, 20_000, _SHARED)]
    assert counts[0] > counts[1] > counts[2] == 1
