"""Modules of a diffusion pipeline to be traced, with the inputs and outputs that Apple's StableDiffusion reads.

Ref.: apple/ml-stable-diffusion, swift/StableDiffusion/pipeline. Its loop feeds two rows to the UNet, the unconditional
one first, and hands texts over with their channels first and their tokens last [2, width, 1, tokens] (BC1S).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import coremltools as ct
import numpy as np
import torch
from torch import Tensor, nn

from edgepack.arrays import Feeds
from edgepack.coreml.renaming import Renaming
from edgepack.tasks import Task, _diffusion

ROWS = 2  # of the UNet: without and with the prompt
_NO_VARIANCE = -30.0  # the least logarithm of a variance that diffusers reads
_LAYER = "hidden_states."  # and its number: an output
Shapes = Mapping[str, tuple[int, ...]]


class TracedPart(nn.Module):
    """A ``module`` of diffusers or transformers, its inputs' shapes and its outputs' names in the package.

    ``renaming`` leads from the names that ONNX pipelines have to those of the package.
    """

    module: nn.Module
    EXACT: tuple[str, ...] = ()  # inputs that stay float32, whose values float16 cannot hold

    def __init__(self, module: nn.Module, shapes: Shapes, renaming: Renaming) -> None:
        super().__init__()
        self.module, self.shapes, self.renaming = module, shapes, renaming

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs in their order."""
        return tuple(self.renaming.outputs)

    def example(self) -> tuple[Tensor, ...]:
        """Return what is traced: float32 zeros."""
        return tuple(torch.zeros(shape) for shape in self.shapes.values())

    def inputs(self, bits: int) -> list[Any]:
        """Return coremltools' types: floats of ``bits``."""
        usual = np.float32 if bits == 32 else np.float16
        return [
            ct.TensorType(name=name, shape=shape, dtype=np.float32 if name in self.EXACT else usual)
            for name, shape in self.shapes.items()
        ]


class TextEncoder(TracedPart):
    """Ids as floats [1, tokens] to a CLIPTextModel's last states, or to those of the layer before and a vector (XL)."""

    EXACT = ("input_ids",)

    def __init__(self, module: nn.Module, *, tokens: int, penultimate: bool) -> None:
        config: Any = module.config
        projected = getattr(module, "text_projection", None) is not None
        vector = "text_embeds" if projected else "pooler_output"
        self.penultimate = penultimate
        states = f"{_LAYER}{config.num_hidden_layers - 1}" if penultimate else "last_hidden_state"
        made = {"hidden_embeds" if penultimate else "last_hidden_state": states, "pooled_outputs": vector}
        shapes = {"input_ids": (1, tokens)}
        super().__init__(module, shapes, Renaming({"input_ids": "input_ids"}, made))

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return states [1, tokens, width] and the vector [1, width]."""
        found = self.module(input_ids=input_ids.to(torch.int32), output_hidden_states=self.penultimate)
        states = found.hidden_states[-2] if self.penultimate else found.last_hidden_state
        vector = found.text_embeds if hasattr(found, "text_embeds") else found.pooler_output
        return states, vector


class Unet(TracedPart):
    """Latents [2, channels, height, width] and what they are conditioned on to the noise that is predicted."""

    EXACT = ("timestep", "time_ids")

    def __init__(self, module: nn.Module, size: tuple[int, int], *, tokens: int) -> None:
        config: Any = module.config
        shapes: dict[str, tuple[int, ...]] = {
            "sample": (ROWS, int(config.in_channels), *size),
            "timestep": (ROWS,),
            "encoder_hidden_states": (ROWS, int(config.cross_attention_dim), 1, tokens),
        }
        if config.addition_embed_type == "text_time":
            ids = 6  # original height and width, top, left, wanted height and width; a refiner's 5 have a score instead
            vector = int(config.projection_class_embeddings_input_dim) - ids * int(config.addition_time_embed_dim)
            shapes |= {"time_ids": (ROWS, ids), "text_embeds": (ROWS, vector)}
        if config.time_cond_proj_dim is not None:
            shapes["timestep_cond"] = (ROWS, int(config.time_cond_proj_dim))
        renaming = Renaming({name: name for name in shapes}, {"noise_pred": "out_sample"}, ("encoder_hidden_states",))
        super().__init__(module, shapes, renaming)

    def forward(self, *arrays: Tensor) -> Tensor:
        """Return the prediction, of the sample's height and width."""
        given = dict(zip(self.shapes, arrays, strict=True))
        added = {name: given[name] for name in ("time_ids", "text_embeds") if name in given}
        made: tuple[Tensor] = self.module(
            given["sample"],
            given["timestep"],
            given["encoder_hidden_states"].squeeze(2).transpose(1, 2),
            timestep_cond=given.get("timestep_cond"),
            added_cond_kwargs=added or None,
            return_dict=False,
        )
        return made[0]


class VaeDecoder(TracedPart):
    """Latents [1, channels, height, width], divided by the scaling factor, to a picture of -1..1."""

    def __init__(self, module: nn.Module, size: tuple[int, int]) -> None:
        config: Any = module.config
        shapes = {"z": (1, int(config.latent_channels), *size)}
        super().__init__(module, shapes, Renaming({"z": "latent_sample"}, {"image": "sample"}))

    def forward(self, z: Tensor) -> Tensor:
        """Return [1, 3, pixels high, pixels wide]."""
        made: tuple[Tensor] = self.module.decode(z, return_dict=False)  # type: ignore[operator]
        return made[0]


class VaeEncoder(TracedPart):
    """A picture of -1..1 to the mean and the logarithm of the variance of its latents, one below the other."""

    def __init__(self, module: nn.Module, size: tuple[int, int]) -> None:
        config: Any = module.config
        shapes = {"x": (1, int(config.in_channels), *size)}
        super().__init__(module, shapes, Renaming({"x": "sample"}, {"latent": "latent_parameters"}))

    def forward(self, x: Tensor) -> Tensor:
        """Return [1, 2 * channels, height, width]; of an encoder that gives latents alone the least variance."""
        made = self.module.encode(x)  # type: ignore[operator]
        if hasattr(made, "latent_dist"):
            parameters: Tensor = made.latent_dist.parameters
            return parameters
        return torch.cat([made.latents, torch.full_like(made.latents, _NO_VARIANCE)], dim=1)


def traced(module: Any, task: Task, feeds: Feeds) -> TracedPart:
    """Return the part that ``module`` (see original/diffusion.py) is, for inputs of the shapes of ``feeds``."""
    if task.NAME in _diffusion.TEXT_ENCODERS:
        penultimate = any(name.startswith(_LAYER) for name in task.OUTPUTS)
        return TextEncoder(module.encoder, tokens=feeds["input_ids"].shape[1], penultimate=penultimate)
    if task.NAME == _diffusion.UNET.NAME:
        tokens = feeds["encoder_hidden_states"].shape[1]
        return Unet(module.unet, feeds["sample"].shape[2:], tokens=tokens)
    if task.NAME == _diffusion.VAE_DECODER.NAME:
        return VaeDecoder(module.vae, feeds["latent_sample"].shape[2:])
    return VaeEncoder(module.vae, feeds["sample"].shape[2:])
