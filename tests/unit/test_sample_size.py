"""The size of a pipeline's images, whatever version of diffusers saved it: as diffusers' own pipeline has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from diffusers import DiffusionPipeline
from tests import diffusion_models
from tests.pipelines import quiet

from edgepack import sample_size


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return diffusion_models.save("sd", tmp_path_factory.mktemp("model") / "sd")


@pytest.mark.parametrize("side", [16, 96, [16, 24]])
@pytest.mark.parametrize("version", ["0.2.2", "0.8.1", "0.9.0.dev0", "0.9.0", "0.42.1", None])
def test_sides_are_those_of_diffusers(version: str | None, side: int | list[int], folder: Path) -> None:
    file = folder / "unet" / "config.json"
    config = {**json.loads(file.read_text("utf-8")), "sample_size": side, "_diffusers_version": version}
    if version is None:
        del config["_diffusers_version"]
    file.write_text(json.dumps(config), "utf-8")
    with quiet():
        unet = DiffusionPipeline.from_pretrained(folder).unet
    found = unet.config.sample_size
    assert sample_size.sides(config) == (tuple(found) if isinstance(found, list) else (found, found))
    assert (found == 64) == (side == 16 and version in {"0.2.2", "0.8.1"})


@pytest.mark.parametrize("stated", [None, "64", [64], [64, None]])
def test_no_size_is_none(stated: object) -> None:
    assert sample_size.sides({"_class_name": "UNet2DConditionModel", "sample_size": stated}) is None
