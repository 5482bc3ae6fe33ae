"""edgepack's runtime on emulated Raspberry Pis: what the same bundle answers here, from the text or image on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.clients import boards, environments
from tests.clients.conftest import Packed
from tests.clients.programs import with_edgepack

# Of a probability. In int8 an activation may be rounded to its other neighbour, by which the scores of a small model
# move; in int4 each processor rounds other activations (docs/accuracy.md): up to 0.014 was seen.
CLOSE = {"fp32": 1e-5, "int8": 0.01, "int4": 0.03}
# Cosine of two vectors; in fp32 the difference is below 1e-4 of their length.
SAME = {"fp32": 1 - 1e-9, "int8": 0.999, "int4": 0.999}
TASKS = [
    "text-classification", "token-classification", "question-answering", "fill-mask", "image-classification",
    "image-embedding", "text-generation",
]  # fmt: skip
BUNDLES = [("text-embedding", "int8"), *((task, recipe) for task in TASKS for recipe in CLOSE)]
Answers = Callable[[str], dict[tuple[str, str], Any]]


@pytest.fixture(scope="module")
def answers(packed: Callable[..., Packed]) -> Answers:
    """``answers("pi-5")``: what a board finds of each bundle, all asked in one process."""

    @cache
    def get(board: str) -> dict[tuple[str, str], Any]:
        command = [*boards.python(board), environments.HERE / "programs" / "with_edgepack.py"]
        packs = [packed(task, "rpi", recipe) for task, recipe in BUNDLES]
        found = environments.ask(command, [(pack.task, str(pack.folder), pack.inputs) for pack in packs])
        assert (found["isa"], found["emulated"]) == ("arm64", True)
        return dict(zip(BUNDLES, found["bundles"], strict=True))

    return get


@pytest.mark.parametrize("board", boards.BOARDS)
@pytest.mark.parametrize("bundle", BUNDLES, ids=" ".join)
def test_answers(bundle: tuple[str, str], board: str, answers: Answers, packed: Callable[..., Packed]) -> None:
    found, (task, recipe) = answers(board)[bundle], bundle
    pack = packed(task, "rpi", recipe)
    wanted = with_edgepack.ask(task, str(pack.folder), pack.inputs)
    assert len(wanted["answers"]) == len(pack.inputs)
    for there, here in zip(found["answers"], wanted["answers"], strict=True):
        assert here
        compare(there, here, recipe)
    assert found["golden"]["passed"], found["golden"]


def compare(there: Any, here: Any, recipe: str) -> None:
    """A vector by its direction, scores by what they are of, a text as it is.

    A label that has little more than half of the probability may lose it to another, and its span with it.
    """
    if isinstance(here, list):
        assert np.dot(there, here) / np.linalg.norm(there) / np.linalg.norm(here) >= SAME[recipe]
        assert np.linalg.norm(there) == pytest.approx(np.linalg.norm(here), rel=0.01)
    elif isinstance(here, dict):
        lost = {name: score for name, score in {**there, **here}.items() if name not in there or name not in here}
        assert all(score <= 0.5 + CLOSE[recipe] for score in lost.values()), lost
        assert {**there, **lost} == pytest.approx({**here, **lost}, abs=CLOSE[recipe])
    else:
        assert there == here
