"""transformers.js on bundles for the web of every family of language models, in Node, and of one in Chromium.

It makes position_ids, the attention mask and empty keys and values by what config.json says of a family, and takes the
graph's inputs by their names: a family that it lays out otherwise answers otherwise, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.decoders.conftest import FAMILIES, make, with_tokenizer

import edgepack
from edgepack.records import Bundle

NEW = 8  # tokens
REFUSED = ("gemma4_text",)  # by the target, for its layout
PROMPT = np.random.default_rng(5).integers(3, 160, 12).tolist()
SHORT = PROMPT[4:]  # padded on the left when it is asked beside PROMPT
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def decoder(
    build: Callable[..., tuple[Bundle, ...]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """``decoder("gemma2")``: the bundle of a family's small random model, built once."""
    made: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in made:
            folder, _ = make(family, tmp_path_factory.mktemp(family.replace(":", "-")))
            bundles = build(with_tokenizer(folder), "web", recipes=("fp32",), allow_loss=True)
            made[family] = bundles[0].path
        return made[family]

    return get


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "family"),
    [
        *(("node-4.3.2", name) for name in FAMILIES if ":" not in name and name not in REFUSED),
        ("chromium-4.3.2", "llama"),
    ],
)
def test_ids(client: str, family: str, asking: Callable[[str], Ask], decoder: Callable[[str], Path]) -> None:
    folder = decoder(family)
    here = edgepack.load(folder)
    wanted = [here.continued(ids, NEW) for ids in (PROMPT, SHORT)]
    padding = len(PROMPT) - len(SHORT)
    rows, mask = [PROMPT, [0] * padding + SHORT], [[1] * len(PROMPT), [0] * padding + [1] * len(SHORT)]
    alone = asking(client)(folder, continued={"ids": rows[:1], "mask": mask[:1], "tokens": NEW})
    assert alone["rows"] == wanted[:1]
    assert {"position_ids", "num_logits_to_keep"} <= set(alone["inputs"])
    assert asking(client)(folder, continued={"ids": rows, "mask": mask, "tokens": NEW})["rows"] == wanted
