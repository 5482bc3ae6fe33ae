"""Submodels of a diffusion pipeline as Core ML packages that Apple's StableDiffusion reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from edgepack.arrays import Feeds
from edgepack.coreml.renaming import RENAMING
from edgepack.formats.coreml._package import save
from edgepack.formats.coreml._requirements import systems
from edgepack.formats.coreml.export.convert import converted, parameters
from edgepack.formats.coreml.export.diffusion.modules import TracedPart, traced
from edgepack.formats.coreml.export.late import Late
from edgepack.records import Source
from edgepack.tasks import Task

_OTHERWISE = "ONNX Runtime may run it: --target desktop, or another target than Apple's"


def convert(
    module: nn.Module,
    source: Source,
    task: Task,
    feeds: Feeds,
    out: Path,
    *,
    opset: int,
    bits: int,
    forget: Callable[[], None],
) -> dict[str, str]:
    """Write ``module`` (see original/diffusion.py) to ``out`` for inputs of the shapes of ``feeds``; see ``write``."""
    part = traced(module, task, feeds)
    names = write(part, source, task.TITLE, out, opset=opset, bits=bits, forget=forget)
    path = next(path for path, inner in module.named_modules() if inner is part.module)
    return {key: f"{path}.{name}" for key, name in names.items()}


def write(
    part: TracedPart, source: Source, title: str, out: Path, *, opset: int, bits: int, forget: Callable[[], None]
) -> dict[str, str]:
    """Write ``part`` to ``out``; the names of its weights in PyTorch by those in the program. Raises ConversionError.

    ``title`` says what it computes; ``forget`` is Late's. The module's large weights are gone afterwards.
    """
    part.eval()
    late = Late(part, out.with_suffix(".weights"), bits)
    late.take(forget)
    model = converted(part, part.inputs(bits), part.outputs, source.name, opset=opset, bits=bits, hint=_OTHERWISE)
    model.short_description = f"{source.name}: {title}"
    model.author, model.license = source.credited, source.licence or "not stated"
    model.version = source.revision or source.sha256[:12]
    for name in (*part.shapes, *part.outputs):
        described = model.input_description if name in part.shapes else model.output_description
        described[name] = _WORDS.get(name, "a vector for each token, of an earlier layer")
    model.user_defined_metadata["edgepack.needs"] = systems(opset)
    model.user_defined_metadata[RENAMING] = part.renaming.told()
    save(model, out)
    late.give(out)
    late.file.unlink()
    return parameters(part, "module.", bits)


_WORDS = {
    "input_ids": "the tokens' numbers, as floats",
    "last_hidden_state": "a vector for each token",
    "hidden_embeds": "a vector for each token, of the layer before the last",
    "pooled_outputs": "a vector for the whole text",
    "sample": "noisy latents, without and with the prompt",
    "timestep": "the step of the noise schedule",
    "encoder_hidden_states": "the texts' vectors: channels first, tokens last",
    "time_ids": "original height and width, top, left, wanted height and width",
    "text_embeds": "the vector for the whole text",
    "timestep_cond": "the guidance scale, embedded",
    "noise_pred": "the noise that is predicted",
    "z": "latents, divided by the scaling factor",
    "image": "an image of -1..1, red, green and blue",
    "x": "an image of -1..1, red, green and blue",
    "clip_input": "an image as CLIP reads it, normalised",
    "images": "images of 0..1, red, green and blue, that are blackened where they are unsuitable",
    "adjustment": "is added to the scores: 0",
    "filtered_images": "the images",
    "has_nsfw_concepts": "1 where the image is unsuitable",
    "concept_scores": "how close it is to each unsuitable concept",
    "latent": "the mean of the latents, and below it the logarithm of their variance; or latents alone",
}
