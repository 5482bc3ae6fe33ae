"""The original in numpy computes what transformers computes, for every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.original.decoder import Reference

from .conftest import ALL, config_of

_CLOSE = 1e-4  # float32 sums in another order, relative to the largest logit
_TOKENS = 24


@pytest.mark.parametrize("name", ALL)
def test_logits(name: str, family: Callable[[str], tuple[Path, Any]]) -> None:
    folder, model = family(name)
    ids = np.random.default_rng(3).integers(3, 160, (2, _TOKENS))
    with torch.no_grad():
        wanted = model(torch.from_numpy(ids)).logits.numpy()
    checkpoint = Checkpoint(folder, describe(config_of(folder)))
    checkpoint.check()  # as --dry-run does
    made = Reference(checkpoint).logits(ids)
    assert np.abs(made - wanted).max() <= _CLOSE * np.abs(wanted).max()
