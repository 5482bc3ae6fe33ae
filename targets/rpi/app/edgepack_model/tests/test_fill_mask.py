"""The wrapper's own call."""

from __future__ import annotations

from edgepack_model import FillMask
from edgepack_model._bundle import BUNDLE

from edgepack.runtime.opening import opened
from edgepack.runtime.processing import Mask


def test_tokens_for_the_mask_come_best_first() -> None:
    mask = opened(BUNDLE, verify=False).processing.section(Mask).mask_token
    (found,) = FillMask().fill([f"Paris is the {mask} of France."], top=3)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len(found) == 3
