"""A LoRA of a diffusion pipeline: one safetensors file, in diffusers' names or kohya's, with a scale behind a colon."""

from __future__ import annotations

import math
import re
from pathlib import Path

from edgepack import weights
from edgepack.errors import ModelError, ModelNotFound, UnsafeModel, UnsupportedModel
from edgepack.weights import single_file

_SUFFIX = ".safetensors"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
# What other methods call their tensors
_OTHERS = {
    "LoHa": r"\.hada_", "LoKr": r"\.lokr_", "DoRA": r"\.dora_scale$|lora_magnitude_vector", "(IA)^3": r"\.on_input$",
    "full differences": r"\.diff(_b)?$", "LoCon with a Tucker core": r"\.lora_mid\.",
}  # fmt: skip
_KNOWN = re.compile(r"lora|\.alpha$")


def parse(reference: str | Path) -> tuple[Path, float]:
    """Return the file of ``FILE[:scale]``, and the scale, 1 where none is stated. Raises ModelError."""
    text = str(reference)
    name, colon, scale = text.rpartition(":")
    if not colon or not name.endswith(_SUFFIX):
        return Path(text).expanduser(), 1.0
    try:
        value = float(scale)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ModelError(f"the scale of the LoRA {text} is not a number", hint=f"for example --adapter {name}:0.8")
    return Path(name).expanduser(), value


def find(reference: str) -> Path:
    """Return ``reference`` with the place of its file, checked. Raises ModelError and subclasses of it."""
    file, scale = parse(reference)
    if file.suffix in _PICKLED:
        raise UnsafeModel(
            f"{file.name} is pickled, which runs code when it is loaded",
            hint="take the LoRA as safetensors, or convert it where you trust it",
        )
    if not file.exists():
        raise ModelNotFound(f"there is no file {file}", hint="--adapter FILE.safetensors:0.8")
    if not file.is_file() or file.suffix != _SUFFIX:
        raise ModelError(
            f"{file} is not a LoRA of a pipeline", hint="give its safetensors file: --adapter FILE.safetensors:0.8"
        )
    tensors = weights.tensors(file)
    names = [tensor.name for tensor in tensors]
    for method, pattern in _OTHERS.items():
        if any(re.search(pattern, name) for name in names):
            raise UnsupportedModel(
                f"{file.name} holds {method}, not a LoRA", hint="merge it with the tool that trained it, and build that"
            )
    if told := single_file.of_pipelines(file, tensors):
        raise told
    strange = [name for name in names if not _KNOWN.search(name)]
    if strange or not names:
        raise ModelError(
            f"{file.name} is not a LoRA: it holds {strange[0] if strange else 'nothing'}",
            hint="give the file of the LoRA, not of a model",
        )
    return Path(f"{file.resolve()}:{scale:g}")
