"""Modules of a diffusion pipeline to be traced, with the inputs and outputs that Apple's StableDiffusion reads.

Ref.: apple/ml-stable-diffusion, swift/StableDiffusion/pipeline. Its loop feeds two rows to the UNet, the unconditional
one first, and hands texts over with their channels first and their tokens last [2, width, 1, tokens] (BC1S).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import coremltools as ct
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from edgepack.arrays import Feeds
from edgepack.coreml.renaming import Renaming
from edgepack.original.library import Component, PretrainedConfig
from edgepack.tasks import Task, _diffusion

ROWS = 2  # of the UNet: without and with the prompt
_SHOWN = (512, 512)  # pixels, as Apple's package writes them out
_ROUNDED, _CAREFUL = 0.0005, 0.01  # the least score that is not rounded to 0; what is added where care is due
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

    def inputs(self, bits: int) -> list[ct.TensorType]:
        """Return coremltools' types: floats of ``bits``."""
        usual = np.float32 if bits == 32 else np.float16
        return [
            ct.TensorType(name=name, shape=shape, dtype=np.float32 if name in self.EXACT else usual)
            for name, shape in self.shapes.items()
        ]


class TextEncoder(TracedPart):
    """Ids as floats [1, tokens] to what a CLIPTextModel makes of them: a vector, and states of its layers.

    Stable Diffusion 1 and 2 read the last states; XL those before the last layer, which its package calls
    ``hidden_embeds``, and there are those of the other layers then.
    """

    EXACT = ("input_ids",)

    def __init__(self, module: nn.Module, names: Sequence[str], *, tokens: int) -> None:
        layers = [name for name in names if name.startswith(_LAYER)]
        called = {"pooler_output": "pooled_outputs", "text_embeds": "pooled_outputs"}
        called |= {name: name.replace(".", "_") for name in layers} | dict.fromkeys(layers[-1:], "hidden_embeds")
        made = {called.get(name, name): name for name in names}
        super().__init__(module, {"input_ids": (1, tokens)}, Renaming({"input_ids": "input_ids"}, made))

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        """Return states [1, tokens, width] and the vector [1, width], in the order of the outputs."""
        found = self.module(input_ids=input_ids.to(torch.int32), output_hidden_states=True)
        layers = {f"{_LAYER}{layer}": states for layer, states in enumerate(found.hidden_states)}
        return tuple(layers[name] if name in layers else found[name] for name in self.renaming.outputs.values())


class Unet(TracedPart):
    """Latents [2, channels, height, width] and what they are conditioned on to the noise that is predicted."""

    EXACT = ("timestep", "time_ids")

    def __init__(self, module: nn.Module, size: tuple[int, int], *, tokens: int) -> None:
        config: PretrainedConfig = module.config
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
    """Latents [1, channels, height, width], divided by the scaling factor, to an image of -1..1."""

    def __init__(self, module: nn.Module, size: tuple[int, int]) -> None:
        config: PretrainedConfig = module.config
        shapes = {"z": (1, int(config.latent_channels), *size)}
        super().__init__(module, shapes, Renaming({"z": "latent_sample"}, {"image": "sample"}))

    def forward(self, z: Tensor) -> Tensor:
        """Return [1, 3, pixels high, pixels wide]."""
        made: tuple[Tensor] = self.module.decode(z, return_dict=False)  # type: ignore[operator]
        return made[0]


class VaeEncoder(TracedPart):
    """An image of -1..1 to the means and the logarithms of the variances of its latents, behind each other.

    An AutoencoderTiny gives latents alone, where Apple's package expects both.
    """

    def __init__(self, module: nn.Module, size: tuple[int, int], output: str) -> None:
        config: PretrainedConfig = module.config
        shapes = {"x": (1, int(config.in_channels), *size)}
        super().__init__(module, shapes, Renaming({"x": "sample"}, {"latent": output}))

    def forward(self, x: Tensor) -> Tensor:
        """Return [1, 2 * channels, height, width], or [1, channels, height, width]."""
        found: Component = self.module.encode(x)  # type: ignore[operator]
        made: Tensor = found.latents if "latents" in found else found.latent_dist.parameters
        return made


class SafetyChecker(TracedPart):
    """Images as CLIP reads them to whether they are unsuitable, by scores of concepts.

    Apple's package hands over images ``images`` too, of 512 by 512 whatever their size, to have them blackened, and
    an ``adjustment`` of the scores; nobody uses what comes of it.
    """

    def __init__(self, module: nn.Module, size: tuple[int, int]) -> None:
        shapes = {"clip_input": (1, 3, *size), "images": (1, *_SHOWN, 3), "adjustment": (1,)}
        made = ("filtered_images", "has_nsfw_concepts", "concept_scores")
        renaming = Renaming({"clip_input": "clip_input"}, {name: name for name in made}, zeros=("images", "adjustment"))
        super().__init__(module, shapes, renaming)

    def forward(self, clip_input: Tensor, images: Tensor, adjustment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the images, 1 or 0 [1], and scores [1, concepts].

        diffusers' StableDiffusionSafetyChecker rounds scores to three digits before it compares them with 0.
        """
        checker: Component = self.module
        embedding = normalize(checker.visual_projection(checker.vision_model(clip_input)[1]))
        special = embedding @ normalize(checker.special_care_embeds).T - checker.special_care_embeds_weights
        careful = (special + adjustment > _ROUNDED).float().amax(1, keepdim=True) * _CAREFUL
        scores = embedding @ normalize(checker.concept_embeds).T - checker.concept_embeds_weights + careful
        found = (scores + adjustment > _ROUNDED).float().amax(1)
        return images * (1 - found), found, scores


def traced(module: Component, task: Task, feeds: Feeds) -> TracedPart:
    """Return the part that ``module`` (see original/diffusion.py) is, for inputs of the shapes of ``feeds``."""
    if task.NAME in _diffusion.TEXT_ENCODERS:
        return TextEncoder(module.encoder, task.OUTPUTS, tokens=feeds["input_ids"].shape[1])
    if task.NAME == _diffusion.SAFETY_CHECKER.NAME:
        return SafetyChecker(module.checker, feeds["clip_input"].shape[2:])
    if task.NAME == _diffusion.UNET.NAME:
        tokens = feeds["encoder_hidden_states"].shape[1]
        return Unet(module.unet, feeds["sample"].shape[2:], tokens=tokens)
    if task.NAME == _diffusion.VAE_DECODER.NAME:
        return VaeDecoder(module.vae, feeds["latent_sample"].shape[2:])
    return VaeEncoder(module.vae, feeds["sample"].shape[2:], *task.OUTPUTS)
