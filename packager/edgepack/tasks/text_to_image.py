"""Prompts to images: Stable Diffusion, in several submodels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgepack.arrays import Example, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.runtime.processing import Processing
from edgepack.tasks import SubmodelTask, _diffusion, _diffusion_settings
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "text-to-image"
TITLE = "prompts to images"
ROUTE = "export"
AUTO_CLASS = "DiffusionPipeline"
TOKENIZES = True
RECORDER = "diffusion"
EXTRA = "diffusion"
ARCHITECTURES = tuple(_diffusion_settings.PIPELINES)
INPUTS = ("prompt",)
COLUMNS = ("prompt",)
METRICS: JsonObject = {}
EMPTY = Processing()


def _part(task: _diffusion.Part, folder: str, *weights: str, coreml: str) -> SubmodelTask:
    name = task.NAME.replace("-", "_")
    return SubmodelTask(
        task=task,
        runtime=task.NAME,
        processing=lambda whole: EMPTY,
        folder=folder,
        weights=weights or ("",),
        files={"onnx": f"{name}/model", "coreml": coreml},
    )


SUBMODELS: Mapping[str, SubmodelTask] = {
    "text_encoder": _part(_diffusion.TEXT_ENCODER, "text_encoder", coreml="TextEncoder"),
    "unet": _part(_diffusion.UNET, "unet", coreml="Unet"),
    "vae_decoder": _part(_diffusion.VAE_DECODER, "vae", "decoder.", "post_quant_conv.", coreml="VAEDecoder"),
    "vae_encoder": _part(_diffusion.VAE_ENCODER, "vae", "encoder.", "quant_conv.", coreml="VAEEncoder"),
}


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read how prompts become ids, ids images, and by which steps. Raises ModelError, UnsupportedModel."""
    return _diffusion_settings.read(folder, config)


def inputs(rows: Rows) -> list[Example]:
    """Return a data set's prompts."""
    return [str(row["prompt"]) for row in rows]


def predict(model: TaskModel, rows: Rows) -> list[Example]:
    """Return an image per prompt, uint8 [h, w, 3]."""
    return [model.generate(prompt) for prompt in inputs(rows)]


def references(rows: Rows, model: TaskModel) -> list[Example]:
    """Return nothing: no image is the true one of a prompt."""
    return []
