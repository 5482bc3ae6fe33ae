"""Files that are given where a model's folder or a LoRA is asked for: what they are, and what can be done with them.

Ref.: the names in the checkpoints of Stable Diffusion's own code, and of diffusers' loaders/textual_inversion.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgepack import weights
from edgepack.errors import ModelError, UnsafeModel, UnsupportedModel
from edgepack.weights import Stored
from edgepack.weights.choice import PICKLED

_FOLDER = "give a model folder, a hub id or python:package/folder"
_UNET, _ENTRY = "model.diffusion_model.", "model.diffusion_model.input_blocks.0.0.weight"
_XL = "conditioner.embedders."
_INPAINTING = 9  # channels of the entry
_WORDS = {"emb_params", "clip_l", "clip_g"}  # of textual inversions, which may have a name of their own instead
_LORA = re.compile(r"lora_|\.lora\.")
_DESCRIPTIONS = ("config.json", "model_index.json")


def refusal(file: Path) -> ModelError:
    """Return the error for a ``file`` that is given as a model. Raises DamagedWeights, UnsupportedModel."""
    if any(file.match(pattern) for pattern in PICKLED):
        return UnsafeModel(
            f"{file} is a pickled file, which runs code when it is loaded, and not a model folder",
            hint=f"convert it where you trust it; a checkpoint of Stable Diffusion so: {_conversion(file, ())}",
        )
    if file.suffix == ".gguf":
        return UnsupportedModel(
            f"{file} is GGUF, llama.cpp's format, which is mostly quantized already",
            hint="start from the safetensors of the model that it was made from; its card names it as base_model",
        )
    if file.suffix != ".safetensors":
        return ModelError(f"{file} is a file, not a model folder", hint=_FOLDER)
    tensors = weights.tensors(file)
    if told := of_pipelines(file, tensors):
        return told
    if any(_LORA.search(tensor.name) for tensor in tensors):
        return ModelError(f"{file} is a LoRA, not a model", hint=f"edgepack build BASE_MODEL --adapter {file}")
    return ModelError(f"{file} holds weights alone", hint="give the folder that holds config.json beside them")


def of_pipelines(file: Path, tensors: Sequence[Stored]) -> ModelError | None:
    """Return the error for a whole Stable Diffusion, or a textual inversion, in one file; None where it is neither."""
    if any(tensor.name.startswith(_UNET) for tensor in tensors):
        return ModelError(
            f"{file} is a checkpoint of Stable Diffusion in one file, and edgepack reads diffusers' folders",
            hint=f"convert it: {_conversion(file, tensors)}",
        )
    if tensors and (all(tensor.name in _WORDS for tensor in tensors) or _is_word(tensors)):
        return UnsupportedModel(
            f"{file} is a textual inversion, a word for the text encoder, which edgepack does not merge",
            hint=f"write a pipeline that has it: p.load_textual_inversion({str(file)!r}); p.save_pretrained('folder')",
        )
    return None


def check(folder: Path) -> None:
    """Raises ModelError where a ``folder`` without a description holds a file of which ``of_pipelines`` knows."""
    if any((folder / name).is_file() for name in _DESCRIPTIONS):
        return
    for file in sorted(folder.glob("*.safetensors")):
        if told := of_pipelines(file, weights.tensors(file)):
            raise told


def _conversion(file: Path, tensors: Sequence[Stored]) -> str:
    """Return the call of diffusers that writes a folder."""
    inpaints = any(tensor.name == _ENTRY and tensor.shape[1:2] == (_INPAINTING,) for tensor in tensors)
    xl = any(tensor.name.startswith(_XL) for tensor in tensors)
    kind = "StableDiffusionXL" if xl else "StableDiffusionInpaint" if inpaints else "StableDiffusion"
    return f"diffusers.{kind}Pipeline.from_single_file({str(file)!r}).save_pretrained('folder')"


def _is_word(tensors: Sequence[Stored]) -> bool:
    """Return whether there is but a vector, or several, under a word such as ``<cat-toy>``."""
    return len(tensors) == 1 and "." not in tensors[0].name and len(tensors[0].shape) in (1, 2)
