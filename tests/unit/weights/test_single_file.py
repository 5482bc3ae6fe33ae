"""A file that is given where a folder or a LoRA is asked for: what it is, and what to do with it."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgepack.errors import DamagedWeights, ModelError, ModelNotFound, UnsafeModel, UnsupportedModel
from edgepack.stages import resolve
from edgepack.weights import lora_file

UNET = "model.diffusion_model.input_blocks.0.0.weight"
CHECKPOINTS = {
    "StableDiffusionPipeline": {UNET: (8, 4, 3, 3)},
    "StableDiffusionInpaintPipeline": {UNET: (8, 9, 3, 3)},
    "StableDiffusionXLPipeline": {UNET: (8, 4, 3, 3), "conditioner.embedders.0.transformer.x": (2,)},
}
WORDS = [{"emb_params": (2, 8)}, {"<cat-toy>": (8,)}, {"clip_l": (2, 8), "clip_g": (2, 16)}]


def saved(folder: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, folder / "some.safetensors")
    return folder / "some.safetensors"


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint_in_one_file_is_told_how_to_convert(kind: str, tmp_path: Path) -> None:
    file = saved(tmp_path, CHECKPOINTS[kind])
    for given in (file, tmp_path):  # the folder has nothing else
        with pytest.raises(ModelError, match="a checkpoint of Stable Diffusion in one file") as raised:
            resolve.find(str(given))
        assert f"diffusers.{kind}.from_single_file('{file}')" in raised.value.hint
    with pytest.raises(ModelError, match="a checkpoint of Stable Diffusion in one file"):
        lora_file.find(f"{file}:0.5")


@pytest.mark.parametrize("shapes", WORDS)
def test_a_textual_inversion_is_told_apart(shapes: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    file = saved(tmp_path, shapes)
    for look in (resolve.find, lora_file.find):
        with pytest.raises(UnsupportedModel, match="a textual inversion") as raised:
            look(str(file))
        assert "load_textual_inversion" in raised.value.hint


def test_other_files(tmp_path: Path) -> None:
    lora = saved(tmp_path, {"unet.a.lora_A.weight": (2, 8), "unet.a.lora_B.weight": (8, 2)})
    with pytest.raises(ModelError, match="is a LoRA") as raised:
        resolve.find(str(lora))
    assert f"--adapter {lora}" in raised.value.hint
    with pytest.raises(ModelError, match="holds weights alone"):
        resolve.find(str(saved(tmp_path, {"decoder.conv_in.weight": (2, 2), "encoder.conv_in.weight": (2, 2)})))
    for name, kind, told in (
        ("x.ckpt", UnsafeModel, "from_single_file"),
        ("x.gguf", UnsupportedModel, "safetensors of the model"),
        ("x.txt", ModelError, "give a model folder"),
        ("x.safetensors", DamagedWeights, "again"),
    ):
        (tmp_path / name).write_bytes(b"junk")
        with pytest.raises(kind) as raised:
            resolve.find(str(tmp_path / name))
        assert told in raised.value.hint
    with pytest.raises(ModelNotFound, match="there is no file"):
        lora_file.find(str(tmp_path / "nowhere.safetensors:0.5"))
