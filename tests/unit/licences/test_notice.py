"""A bundle's notice names what converted this bundle, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack import formats, licences, targets, tasks
from edgepack.records import Source


@pytest.mark.parametrize(
    ("target", "task", "tools"),
    [
        ("rpi", "text-embedding", {"torch", "transformers", "onnx", "onnxruntime"}),
        ("rpi", "text-generation", {"numpy", "onnx-ir"}),
        ("rpi", "text-to-image", {"torch", "transformers", "onnx", "onnxruntime", "diffusers"}),
        ("iphone", "text-to-image", {"torch", "transformers", "coremltools", "diffusers"}),
        ("iphone", "text-embedding", {"torch", "transformers", "coremltools"}),
        ("iphone", "text-generation", {"numpy", "coremltools"}),
    ],
)
def test_the_notice_names_the_tools(target: str, task: str, tools: set[str], tmp_path: Path) -> None:
    source = Source(
        model="org/small", name="small", path=tmp_path, origin=tmp_path, revision=None, architecture="A",
        model_type="a", task=task, licence="mit", parameters=1, weights_bytes=4, convolutional=False, sha256="0",
    )  # fmt: skip
    place = targets.load(target)
    made = formats.tools(place, tasks.load(task))
    licences.write(tmp_path, source, place, place.recipe_for(source), tools=made)
    lines = (tmp_path / "NOTICE").read_text("utf-8").splitlines()
    assert {line.split()[0] for line in lines if line.startswith("  ")} == tools
    assert not any("its own page" in line for line in lines)
