"""What another package's original route is told of a submodel: its name, its config and its weights alone."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from edgepack.plans import Subject
from edgepack.records import Source
from edgepack.runtime.submodel import MODEL
from edgepack.tasks import SubmodelTask, text_embedding


def test_a_submodel_is_told_apart(tmp_path: Path) -> None:
    config = {"left": {"width": 2}, "right": {"width": 3}}  # without model_type: these are nobody's but their task's
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(
        {"left.w": np.zeros((2, 2)), "right.w": np.zeros((3, 3)), "scale": np.zeros(1)}, tmp_path / "model.safetensors"
    )
    task: Any = types.SimpleNamespace(
        NAME="two-towers",
        SUBMODELS={
            name: SubmodelTask(
                task=text_embedding,
                runtime="two-towers",
                processing=lambda whole: whole,
                config=name,
                weights=(f"{name}.",),
            )
            for name in config
        },
    )
    source = Source(
        model="towers", name="towers", path=tmp_path, origin=tmp_path, revision=None, architecture="Towers",
        model_type="", task="two-towers", licence=None, parameters=14, weights_bytes=112, convolutional=False,
        sha256="",
    )  # fmt: skip
    whole = Subject(source=source, task=task, config=config)
    assert whole.name == MODEL
    assert len(whole.tensors) == 3
    assert {name: part.name for name, part in whole.submodels.items()} == {"left": "left", "right": "right"}
    assert {name: [t.name for t in part.tensors] for name, part in whole.submodels.items()} == {
        "left": ["left.w"],
        "right": ["right.w"],
    }
    assert [part.source.parameters for part in whole.submodels.values()] == [4, 9]
    assert whole.submodels["left"].config == {"width": 2}
