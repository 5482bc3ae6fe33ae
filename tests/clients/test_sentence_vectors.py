"""sentence-transformers and fastembed on the bundle of a sentence encoder: edgepack's vectors, long texts too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.clients import environments
from tests.clients.conftest import Packed

SAME = 0.999
PROGRAMS = environments.HERE / "programs"


TARGETS = ["rpi", "web"]


def cosines(bundle: Packed, found: object) -> np.ndarray:
    return (np.asarray(found) * bundle.vectors).sum(1)


def test_sentence_transformers(packed: Callable[..., Packed]) -> None:
    bundles = [packed("text-embedding", target) for target in TARGETS]
    command = [environments.python("optimum"), PROGRAMS / "with_sentence_transformers.py"]
    found = environments.ask(command, [(str(bundle.folder), bundle.file, bundle.inputs) for bundle in bundles])
    for bundle, vectors in zip(bundles, found, strict=True):
        assert cosines(bundle, vectors).min() >= SAME


@pytest.mark.parametrize("pooling", ["mean", "own"])
@pytest.mark.parametrize("target", TARGETS)
def test_fastembed(target: str, pooling: str, packed: Callable[..., Packed]) -> None:
    bundle = packed("text-embedding", target)
    command = [environments.python("fastembed"), PROGRAMS / "with_fastembed.py"]
    found = environments.ask(command, [(str(bundle.folder), bundle.file, pooling, bundle.inputs)])[0]
    assert cosines(bundle, found).min() >= SAME
