"""Prompts to images: Stable Diffusion, in several submodels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edgepack.arrays import Example, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.runtime.processing import Processing
from edgepack.tasks import SubmodelTask, Task, _diffusion, _diffusion_settings
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
TOOLS = ("diffusers",)
LAYOUTS = ("flat",)  # transformers.js has no diffusion
ARCHITECTURES = tuple(_diffusion_settings.PIPELINES)
INPUTS = ("prompt",)
COLUMNS = ("prompt",)
OPTIONAL_COLUMNS = ("negative_prompt", "seed", "steps", "guidance")
METRICS: JsonObject = {}
EMPTY = Processing()


def _text_encoder(whole: JsonObject, own: JsonObject) -> Task:
    """Return the encoder of Stable Diffusion 1 and 2, or of XL, which gives the states of each layer."""
    xl = str(whole["_class_name"]).startswith("StableDiffusionXL")
    return (
        _diffusion.of_layers(_diffusion.XL_TEXT_ENCODER, own)
        if xl
        else _diffusion.of_skipped(_diffusion.TEXT_ENCODER, own)
    )


def _vae_encoder(whole: JsonObject, own: JsonObject) -> Task:
    tiny = own.get("_class_name") == "AutoencoderTiny"
    return _diffusion.TINY_VAE_ENCODER if tiny else _diffusion.VAE_ENCODER


def _part(
    task: Task,
    name: str,
    coreml: str,
    adapt: Callable[[JsonObject, JsonObject], Task | None] | None = None,
    *,
    folder: str = "",
    weights: tuple[str, ...] = ("",),
) -> SubmodelTask:
    return SubmodelTask(
        task=task,
        runtime=task.NAME,
        processing=lambda whole: EMPTY,
        folder=folder or name,
        weights=weights,
        files={"onnx": f"{name}/model", "coreml": coreml},
        adapt=adapt,
    )


_DECODER, _ENCODER = ("decoder.", "post_quant_conv."), ("encoder.", "quant_conv.")  # weights of an autoencoder
SUBMODELS: Mapping[str, SubmodelTask] = {
    "text_encoder": _part(_diffusion.TEXT_ENCODER, "text_encoder", "TextEncoder", _text_encoder),
    "text_encoder_2": _part(
        _diffusion.XL_TEXT_ENCODER_2,
        "text_encoder_2",
        "TextEncoder2",
        lambda whole, own: _diffusion.of_layers(_diffusion.XL_TEXT_ENCODER_2, own),
    ),
    "unet": _part(_diffusion.UNET, "unet", "Unet"),
    "vae_decoder": _part(_diffusion.VAE_DECODER, "vae_decoder", "VAEDecoder", folder="vae", weights=_DECODER),
    "vae_encoder": _part(
        _diffusion.VAE_ENCODER, "vae_encoder", "VAEEncoder", _vae_encoder, folder="vae", weights=_ENCODER
    ),
    "safety_checker": _part(_diffusion.SAFETY_CHECKER, "safety_checker", "SafetyChecker"),
}


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read how prompts become ids, ids images, and by which steps. Raises ModelError, UnsupportedModel."""
    return _diffusion_settings.read(folder, config)


def inputs(rows: Rows) -> list[Example]:
    """Return a data set's prompts."""
    return [str(row["prompt"]) for row in rows]


def predict(model: TaskModel, rows: Rows) -> list[Example]:
    """Return an image per prompt, uint8 [h, w, 3]."""
    return [model.generate(prompt)[0].pixels for prompt in inputs(rows)]


def references(rows: Rows, model: TaskModel) -> list[Example]:
    """Return nothing: no image is the true one of a prompt."""
    return []
