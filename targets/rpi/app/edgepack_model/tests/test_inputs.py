"""Texts and images that go wrong first become the inputs that edgepack made of them when it embedded the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgepack_model._bundle import BUNDLE

from edgepack.runtime import golden, model, submodel
from edgepack.runtime.opening import opened
from edgepack.runtime.submodel import MODEL, TEXT_MODEL, VISION_MODEL

FILE = Path(__file__).with_name("golden_inputs.safetensors")
TENSORS = golden.read(FILE) if FILE.is_file() else {}
EXAMPLES = [name for name in TENSORS if ".input." not in name]
LISTED = opened(BUNDLE, verify=False)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_input(name: str) -> None:
    number, kind = name.split(".")
    made = model(LISTED.task, {}, LISTED.folder, LISTED.processing)
    part = {"text": TEXT_MODEL, "image": VISION_MODEL, "file": VISION_MODEL}.get(kind, MODEL)
    if kind == "file":
        pytest.importorskip("PIL", reason="files of images are decoded by Pillow")
    stored = TENSORS[name]
    example = stored if kind == "image" else stored.tobytes() if kind == "file" else json.loads(stored.tobytes())
    if LISTED.processing.generation is not None:
        found = {"input_ids": np.array([made.tokens(example)])}
    else:
        given = tuple(example) if isinstance(example, list) else example
        found = submodel(made, part if part in LISTED.models else MODEL).feeds([given])
    wanted = {key.split(".input.")[1]: value for key, value in TENSORS.items() if key.startswith(f"{number}.input.")}
    assert set(found) >= set(wanted)
    for key, value in wanted.items():
        np.testing.assert_array_equal(found[key], value)
