"""The submodels of a diffusion pipeline, with optimum's names; their inputs are recorded from a run of the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgepack import activations
from edgepack.activations import Activations
from edgepack.arrays import Array, Example, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.runtime.processing import Processing
from edgepack.tasks import Axes, _fixed_context

_BATCH = {0: "batch_size"}
_MAPS = {0: "batch_size", 2: "height", 3: "width"}
_TOKENS = {0: "batch_size", 1: "sequence_length"}
_SKIPPED = 2  # layers at most that clip_skip leaves out of a text encoder that gives its last states
LAYER = "hidden_states."  # and its number, as optimum calls an output
VECTOR = "text_embeds"  # the output of XL's second text encoder that its UNet reads beside the states
TEXTS = ("encoder_hidden_states", VECTOR)  # the inputs of a UNet that text encoders give
_VECTORS = 4  # golden ones, spread over the steps


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A run of the pipeline that inputs are recorded from."""

    text: str
    negative: str | None
    seed: int
    steps: int = 8
    guidance: float | None = None  # None: the model's usual one
    decoded: bool = True  # whether the last latents become an image


# Even ones calibrate, odd ones measure agreement, as everywhere.
PROMPTS = (
    Prompt(text="a red sofa by a window, soft morning light", negative=None, seed=0),
    Prompt(text="a photo of a small living room with a wooden table", negative="blurry, people", seed=1),
    Prompt(text="two chairs on a blue carpet", negative="dark", seed=2),
    Prompt(text="a bed, a lamp and green curtains", negative=None, seed=3),
)
# Of large models, whose steps take seconds
FEW_PROMPTS = (replace(PROMPTS[0], steps=2), replace(PROMPTS[1], steps=4))
LARGE = 200_000_000  # parameters


def prompts(parameters: int) -> tuple[Prompt, ...]:
    """Return the runs for a model with that number of ``parameters``."""
    return PROMPTS if parameters < LARGE else FEW_PROMPTS


@dataclass(frozen=True, kw_only=True)
class Part:
    """A submodel, as a task of its own (tasks.Task)."""

    NAME: str
    TITLE: str
    AUTO_CLASS: str  # of transformers or diffusers
    OUTPUTS: tuple[str, ...]
    AXES: Axes
    GRAPH_OUTPUTS: tuple[str, ...] = ()  # OUTPUTS in the order that clients expect, where that is another
    ROUTE: str = "export"
    TOKENIZES: bool = False
    RECORDED: bool = True
    ACTIVATIONS: Activations = activations.maps
    WEIGHTS_ASIDE: bool = True
    ARCHITECTURES: tuple[str, ...] = ()
    INPUTS: tuple[str, ...] = ()
    COLUMNS: tuple[str, ...] = ()
    PAIRS: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    MEASURES: tuple[str, ...] = ("cosine", "psnr", "max_error")
    METRICS: JsonObject = field(default_factory=dict)
    TRIALS: JsonObject = field(default_factory=dict)

    def processing(self, folder: Path, config: JsonObject) -> Processing:
        """Return nothing: what a submodel is fed is the whole's business."""
        return Processing()

    def sized(self, processing: Processing, context: int | None) -> Processing:
        """Return ``processing``: a prompt has one length. Raises UsageError for a context."""
        return _fixed_context.sized(processing, context)

    def limited(self, processing: Processing, lengths: Sequence[int]) -> Processing:
        """Return ``processing``: a prompt has one length. Raises UsageError for lengths."""
        return _fixed_context.limited(processing, lengths)

    def contexts(self, processing: Processing) -> list[int | None]:
        """Return a single choice: the context is fixed."""
        return [None]

    def examples(self, processing: Processing) -> list[Example]:
        """Return the runs that inputs are recorded from."""
        return list(PROMPTS)

    def batches(self, model: TaskModel, examples: Sequence[Example], *, use: str = "") -> list[Feeds]:
        """Return nothing: inputs are recorded (original/recorders), not made of examples."""
        return []

    def golden(self, model: TaskModel, examples: Sequence[Feeds]) -> list[tuple[Example, Feeds]]:
        """Return a few of the recorded feeds, ``examples``, the first and the last among them."""
        count = min(_VECTORS, len(examples))
        places = [round(index * (len(examples) - 1) / max(count - 1, 1)) for index in range(count)]
        return [(None, examples[place]) for place in dict.fromkeys(places)]

    def rows(self, feeds: Feeds, outputs: Outputs) -> list[Array]:
        """Return the last output of each row of a batch, as a vector."""
        return [row.reshape(-1) for row in outputs[self.OUTPUTS[-1]]]

    def inputs(self, rows: Rows) -> list[Example]:
        """Return nothing: a data set is of the whole pipeline."""
        return []

    def predict(self, model: TaskModel, rows: Rows) -> list[Example]:
        """Return nothing: metrics are of the whole pipeline."""
        return []

    def references(self, rows: Rows, model: TaskModel) -> list[Example]:
        """Return nothing: metrics are of the whole pipeline."""
        return []


TEXT_ENCODER = Part(
    NAME="text-encoder",
    TITLE="a prompt to the states that the UNet attends to",
    AUTO_CLASS="CLIPTextModel",
    ACTIVATIONS=activations.texts,
    OUTPUTS=("pooler_output", "last_hidden_state"),
    GRAPH_OUTPUTS=("last_hidden_state", "pooler_output"),
    AXES={"input_ids": _TOKENS, "last_hidden_state": _TOKENS, "pooler_output": _BATCH},
)
# Of Stable Diffusion XL, whose UNet reads the states before the last layer: ``of_layers`` completes them
XL_TEXT_ENCODER = replace(TEXT_ENCODER, NAME="text-encoder-xl")
XL_TEXT_ENCODER_2 = replace(
    TEXT_ENCODER,
    NAME="text-encoder-2",
    AUTO_CLASS="CLIPTextModelWithProjection",
    OUTPUTS=(VECTOR, "last_hidden_state"),
    GRAPH_OUTPUTS=(VECTOR, "last_hidden_state"),
    AXES={"input_ids": _TOKENS, "last_hidden_state": _TOKENS, VECTOR: _BATCH},
)
TEXT_ENCODERS = {part.NAME for part in (TEXT_ENCODER, XL_TEXT_ENCODER, XL_TEXT_ENCODER_2)}
UNET = Part(
    NAME="unet",
    TITLE="noisy latents to the noise in them",
    AUTO_CLASS="UNet2DConditionModel",
    OUTPUTS=("out_sample",),
    AXES={
        "sample": _MAPS,
        "timestep": {},
        TEXTS[0]: _TOKENS,
        "timestep_cond": _BATCH,
        VECTOR: _BATCH,
        "time_ids": _BATCH,
        "out_sample": _MAPS,
    },
)
VAE_DECODER = Part(
    NAME="vae-decoder",
    TITLE="latents to images",
    AUTO_CLASS="AutoencoderKL",
    OUTPUTS=("sample",),
    AXES={"latent_sample": _MAPS, "sample": _MAPS},
)
VAE_ENCODER = Part(
    NAME="vae-encoder",
    TITLE="images to latents",
    AUTO_CLASS="AutoencoderKL",
    OUTPUTS=("latent_parameters",),
    AXES={"sample": _MAPS, "latent_parameters": _MAPS},
)
# Of small autoencoders, which give latents, not their distribution
TINY_VAE_ENCODER = replace(
    VAE_ENCODER,
    AUTO_CLASS="AutoencoderTiny",
    OUTPUTS=("latent_sample",),
    AXES={"sample": _MAPS, "latent_sample": _MAPS},
)
SAFETY_CHECKER = Part(
    NAME="safety-checker",
    TITLE="images to whether they are fit to be shown",
    AUTO_CLASS="StableDiffusionSafetyChecker",
    ACTIVATIONS=activations.images,
    OUTPUTS=("has_nsfw_concepts", "concept_scores"),
    AXES={"clip_input": _BATCH, "has_nsfw_concepts": _BATCH, "concept_scores": _BATCH},
)
NAMES = (*TEXT_ENCODERS, *(part.NAME for part in (UNET, VAE_DECODER, VAE_ENCODER, SAFETY_CHECKER)))


def states(layer: int) -> str:
    """Return the output that holds the states after ``layer`` layers, as optimum calls it."""
    return f"{LAYER}{layer}"


def skipped(config: JsonObject) -> tuple[str, ...]:
    """Return the outputs of states that one, two of the last layers have not seen, of an encoder that has more."""
    return tuple(f"clip_skip.{count}" for count in range(1, min(_SKIPPED + 1, int(config["num_hidden_layers"]))))


def of_skipped(part: Part, config: JsonObject) -> Part:
    """Return a text encoder whose graph for ONNX gives what clip_skip asks for, too."""
    names = skipped(config)
    return replace(
        part, GRAPH_OUTPUTS=(*part.GRAPH_OUTPUTS, *names), AXES={**part.AXES, **dict.fromkeys(names, _TOKENS)}
    )


def of_layers(part: Part, config: JsonObject) -> Part:
    """Return a text encoder with the states of each of its layers, those before the last as what it is about."""
    names = [states(layer) for layer in range(int(config["num_hidden_layers"]))]
    return replace(
        part,
        OUTPUTS=(*part.OUTPUTS, *names),
        GRAPH_OUTPUTS=(*part.GRAPH_OUTPUTS, *names),
        AXES={**part.AXES, **dict.fromkeys(names, _TOKENS)},
    )


def scene(height: int, width: int) -> tuple[Array, Array]:
    """Return an image uint8 [height, width, 3], and the part of it to paint anew, uint8 [height, width]."""
    y, x = np.mgrid[0 : 255 : height * 1j, 0 : 255 : width * 1j]
    image = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 255
    return image, mask
