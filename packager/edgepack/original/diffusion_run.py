"""diffusers' own pipeline at work, its parts watched: what each is fed, and what it makes of it."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from edgepack.arrays import Array, Feeds, Outputs
from edgepack.documents import JsonDict
from edgepack.errors import UnsupportedModel
from edgepack.original import configs, imports
from edgepack.original.diffusion import TextEncoder
from edgepack.original.library import Component
from edgepack.original.turns import Turns
from edgepack.tasks import read_model
from edgepack.tasks._diffusion import Prompt, scene

diffusers = imports.import_diffusers()

_FROM_IMAGES = "StableDiffusionImg2ImgPipeline"


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A method of a component, watched as the submodel ``name``: how its inputs and outputs are read off."""

    name: str
    component: Component
    method: str
    feeds: Callable[..., dict[str, Tensor | None]] | None = None  # None: it is no submodel's
    outputs: Callable[[Sequence[Tensor]], dict[str, Tensor]] | None = None  # None: what it makes is not kept
    runs: bool = True  # whether it makes anything


def watch(
    folder: Path,
    modules: Mapping[str, Component],
    prompts: Sequence[Prompt],
    guidance: float,
    reopen: Callable[[str], nn.Module] | None = None,
) -> list[JsonDict]:
    """Let diffusers' own pipeline make an image of each prompt, and watch its ``modules``.

    Return of each prompt ``feeds``, what each module was fed by name, ``outputs``, what the UNet and the decoder made
    of it, ``latents``, float32 [1, channels, height, width] after each step, and ``image``, uint8 [height, width, 3],
    where the prompt's latents are decoded: else the decoder is fed and does not run. What a prompt has no need of, the
    encoder of images, is fed the image that was made, or a scene where none was, and so is the safety checker, which
    judges nothing here. With ``reopen``, which opens a module once more, the ``modules`` may have let go of their
    weights (turns.py): one of them has its own at a time.
    """
    pipeline = _pipeline(folder, modules)
    taken = inspect.signature(pipeline.__call__).parameters
    turns = None if reopen is None else Turns(modules, reopen)
    recorded = []
    for prompt in prompts:
        feeds: dict[str, list[Feeds]] = {name: [] for name in modules}
        outputs: dict[str, list[Outputs]] = {name: [] for name in modules}
        latents: list[Array] = []

        def keep(
            pipe: Component, index: int, timestep: object, tensors: dict[str, Tensor], kept: list[Array] = latents
        ) -> dict[str, Tensor]:
            kept.append(tensors["latents"].numpy().copy())
            return {}

        asked: JsonDict = {"negative_prompt": prompt.negative} if "negative_prompt" in taken else {}
        if "mask_image" in taken:
            height, width = _size(pipeline)
            base, mask = (Image.fromarray(part) for part in scene(height, width))
            asked |= {"image": base, "mask_image": mask, "height": height, "width": width}
        with _watching(_parts(modules, decoded=prompt.decoded), feeds, outputs, turns):
            image = _image(
                pipeline,
                prompt.text,
                **asked,
                num_inference_steps=prompt.steps,
                guidance_scale=guidance if prompt.guidance is None else prompt.guidance,
                generator=torch.Generator().manual_seed(prompt.seed),
                output_type="np",
                callback_on_step_end=keep,
            )
        shown = scene(*_size(pipeline))[0] / np.float32(255) if image is None else image
        made = np.asarray(shown * 255).round().astype(np.uint8)
        recorded.append({"feeds": feeds, "outputs": outputs, "latents": latents})
        if image is not None:
            recorded[-1]["image"] = made
        if "vae_encoder" in modules:
            pixels = np.ascontiguousarray(np.transpose(shown[None], (0, 3, 1, 2)) * 2 - 1, np.float32)
            feeds["vae_encoder"].append({"sample": pixels})
        if "safety_checker" in modules:
            seen = pipeline.feature_extractor(Image.fromarray(made), return_tensors="np").pixel_values
            feeds["safety_checker"].append({"clip_input": np.asarray(seen, np.float32)})
    return recorded


class _Fed(Exception):
    """The decoder was fed, and is not to run."""


def _image(pipeline: Component, prompt: str, **asked: object) -> Array | None:
    """Return the image that diffusers makes, float32 [height, width, 3] of 0 to 1; None where it is not decoded.

    Raises UnsupportedModel where its own code breaks down, as over components that are not each other's.
    """
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = np.asarray(pipeline(prompt, **asked).images[0], np.float32)
        except _Fed:
            return None
        except Exception as error:  # whatever its code runs into
            raise UnsupportedModel(
                f"diffusers' {type(pipeline).__name__} cannot run these components: {configs.line(error)}",
                hint="the pipeline has to run in diffusers: correct its configs in a copy",
            ) from error
    if not np.isfinite(image).all():
        raise UnsupportedModel(
            f"diffusers' {type(pipeline).__name__} gives NaN with these components", hint="use an earlier checkpoint"
        )
    return image


def _size(pipeline: Component) -> tuple[int, int]:
    """Return the height and width of the pipeline's images, in pixels."""
    side = pipeline.unet.config.sample_size
    height, width = side if isinstance(side, list | tuple) else (side, side)
    return height * pipeline.vae_scale_factor, width * pipeline.vae_scale_factor


def _pipeline(folder: Path, modules: Mapping[str, Component]) -> Component:
    """Return the pipeline of ``folder`` around modules that are open already, to make images from prompts alone."""
    given = {name: module.encoder for name, module in modules.items() if isinstance(module, TextEncoder)}
    given |= {"unet": modules["unet"].unet, "vae": modules["vae_decoder"].vae}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = _pipeline_class(folder).from_pretrained(
            folder, local_files_only=True, safety_checker=None, requires_safety_checker=False, **given
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _pipeline_class(folder: Path) -> Component:
    """Return the class that ``folder`` names; of one that begins with an image its sibling that does not."""
    named = str(read_model(folder)["_class_name"])
    return diffusers.StableDiffusionPipeline if named == _FROM_IMAGES else diffusers.DiffusionPipeline


def _parts(modules: Mapping[str, Component], *, decoded: bool) -> list[_Part]:
    """Return what is watched: the text encoders, the UNet, the autoencoder, whose decoder may not run."""
    vae = modules["vae_decoder"].vae
    return [
        *(
            _Part(name=name, component=module.encoder, method="forward", feeds=_text_feeds)
            for name, module in modules.items()
            if isinstance(module, TextEncoder)
        ),
        _Part(
            name="unet",
            component=modules["unet"].unet,
            method="forward",
            feeds=_unet_feeds,
            outputs=lambda made: {"out_sample": made[0]},
        ),
        _Part(
            name="vae_decoder",
            component=vae,
            method="decode",
            feeds=lambda z, *rest, **named: {"latent_sample": z},
            outputs=lambda made: {"sample": made[0]},
            runs=decoded,
        ),
        _Part(name="vae_decoder", component=vae, method="encode"),  # where a run begins with an image
    ]


@contextmanager
def _watching(
    parts: Sequence[_Part],
    feeds: Mapping[str, list[Feeds]],
    outputs: Mapping[str, list[Outputs]],
    turns: Turns | None,
) -> Iterator[None]:
    """Add to ``feeds`` what each of ``parts`` is called with, and to ``outputs`` what it makes."""
    for part in parts:
        setattr(part.component, part.method, _watched(part, feeds[part.name], outputs[part.name], turns))
    try:
        yield
    finally:
        for part in parts:
            delattr(part.component, part.method)


def _watched(
    part: _Part, fed: list[Feeds], kept: list[Outputs], turns: Turns | None
) -> Callable[..., Sequence[Tensor]]:
    method: Callable[..., Sequence[Tensor]] = getattr(part.component, part.method)

    @functools.wraps(method)
    def call(*given: object, **named: object) -> Sequence[Tensor]:
        if turns is not None and part.runs:
            turns.take(part.name)
        if part.feeds is not None:
            fed.append(_arrays(part.feeds(*given, **named)))
        if not part.runs:
            raise _Fed
        made = method(*given, **named)
        if part.outputs is not None:
            kept.append(_arrays(part.outputs(made)))
        return made

    return call


def _arrays(tensors: Mapping[str, Tensor | None]) -> dict[str, Array]:
    return {name: value.numpy().copy() for name, value in tensors.items() if value is not None}


def _text_feeds(input_ids: Tensor, attention_mask: Tensor | None = None, **rest: object) -> dict[str, Tensor | None]:
    return {"input_ids": input_ids}


def _unet_feeds(
    sample: Tensor,
    timestep: Tensor | float,
    encoder_hidden_states: Tensor,
    timestep_cond: Tensor | None = None,
    added_cond_kwargs: Mapping[str, Tensor] | None = None,
    **rest: object,
) -> dict[str, Tensor | None]:
    added = {} if added_cond_kwargs is None else added_cond_kwargs
    return {
        "sample": sample,
        "timestep": torch.as_tensor(timestep, dtype=torch.float32).reshape(()),
        "encoder_hidden_states": encoder_hidden_states,
        "timestep_cond": timestep_cond,
        **added,
    }
