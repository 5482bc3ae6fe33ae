"""Will it fit? The memory that a model needs on a device, estimated before any conversion.

weights      parameters x bits / 8, with the scales of the blocks
cache        keys and values of a language model at its context, float32
activations  the largest set of tensors alive at once in one layer, float32, batch 1
runtime      what the inference runtime itself takes
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgepack import decoders, sample_size, targets
from edgepack.decoders import Decoder
from edgepack.documents import JsonObject
from edgepack.errors import DoesNotFit, UnsupportedModel
from edgepack.records import FINER, Recipe, Source, Target
from edgepack.runtime.processing import Processing, Size
from edgepack.units import size

RUNTIME = 60_000_000  # bytes: onnxruntime's libraries and arenas for a small model, measured on Linux
PROMPT = 256  # tokens of a prompt that are in the works at once, at most
_FLOAT = 4  # bytes
_VISION = 224  # pixels of a side, transformers' default
_MAPS, _GUIDED = 6, 2  # maps that are alive at once in a residual block; rows of a guided step
_SCALE_BITS = 32
_PACKED_BITS = 64  # of a block's scale and sum, as MatMulNBits holds them in memory


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Bytes by cause, and the shape that they were estimated for."""

    weights: int
    activations: int
    shape: str
    cache: int = 0
    read: int = 0  # of the weights, for each token that a language model makes
    runtime: int = RUNTIME

    @property
    def total(self) -> int:
        """All of it, bytes."""
        return self.weights + self.cache + self.activations + self.runtime

    def tokens_per_second(self, bandwidth: int) -> float:
        """Return what ``bandwidth`` (bytes per second) allows: a token reads every weight, and half the cache on
        average.
        """
        return bandwidth / (self.read + self.cache / 2) if self.read else 0.0


def estimate(source: Source, recipe: Recipe, config: JsonObject, processing: Processing) -> Estimate:
    """Return the memory of one inference at the longest input that the model takes."""
    if processing.generation:
        return _decoder(decoders.describe(config), recipe, processing.generation.max_length)
    if processing.own is not None and not processing.text and not processing.image:
        # of a third party's inputs nothing is known; a layer gives at most as many outputs for one as it has weights
        activations, shape = _FLOAT * source.parameters, "1 input"
    else:
        activations, shape = _activations(config, processing)
    return Estimate(weights=_weights(source, recipe, config), activations=activations, shape=shape)


def together(needs: Iterable[Estimate]) -> Estimate:
    """Add up the submodels of a bundle: all weights and caches, and the activations of the one that needs most."""
    listed = list(needs)
    widest = max(listed, key=lambda need: need.activations)
    return replace(
        widest,
        weights=sum(need.weights for need in listed),
        cache=sum(need.cache for need in listed),
        read=sum(need.read for need in listed),
    )


def check(
    source: Source,
    target: Target,
    recipe: Recipe,
    processing: Processing,
    offered: Iterable[Recipe],
    estimated: Callable[[Recipe], Estimate],
) -> Estimate:
    """Return the ``estimated`` memory of ``recipe``, where it fits the target's.

    Raises DoesNotFit with the arithmetic, and the finest of the ``offered`` recipes that fits.
    """
    need = estimated(recipe)
    limit = target.profile.memory
    if need.total > limit:
        cache = f"{size(need.cache)} key-value cache + " if need.cache else ""
        raise DoesNotFit(
            f"{source.name} as {recipe.name} needs {size(need.total)} = {size(need.weights)} weights "
            f"({source.parameters:,} at {recipe.weight_bits} bits) + {cache}{size(need.activations)} activations "
            f"at {need.shape} + {size(need.runtime)} runtime; {target.name}:{target.profile.name} "
            f"gives a model {size(limit)}",
            hint=_way_out(target, processing, [one for one in offered if estimated(one).total <= limit]),
        )
    return need


def _way_out(target: Target, processing: Processing, fitting: Sequence[Recipe]) -> str:
    if fitting:
        return f"--recipe {max(fitting, key=lambda recipe: recipe.weight_bits).name} would fit"
    if processing.generation:
        return "--fit looks for a recipe and a context that fit; --context makes the cache smaller"
    if processing.text:
        return f"--context {processing.text.max_length // 2} makes a bundle for shorter texts, which takes less"
    larger = [
        name
        for name in target.profiles
        if targets.load(f"{target.folder}:{name}").profile.memory > target.profile.memory
    ]
    return f"no recipe fits; try a larger profile ({', '.join(larger)})" if larger else "take a smaller model"


def _decoder(decoder: Decoder, recipe: Recipe, context: int) -> Estimate:
    """Estimate a language model: weights as they lie in memory, the cache at ``context``, a prompt in pieces of
    PROMPT.
    """
    d, tokens = decoder, min(PROMPT, context)
    gated = 2 if d.gated else 1
    table = _held(d.vocabulary * d.hidden, recipe, "head" if d.tied else "embedding")
    head = table if d.tied else _held(d.vocabulary * d.hidden, recipe, "head")
    layer = (
        _held(d.hidden * (d.q_dim + 2 * d.kv_dim), recipe, "qkv")
        + _held(d.q_dim * d.hidden, recipe, "o_proj")
        + _held(d.hidden * d.intermediate * gated, recipe, "gate_up")
        + _held(d.intermediate * d.hidden, recipe, "down")
    )
    wide = 4 * d.hidden + 2 * (d.q_dim + 2 * d.kv_dim) + (gated + 1) * d.intermediate
    scores = 2 * d.heads * tokens * context
    return Estimate(
        weights=layer * d.layers + head + (0 if d.tied else table),
        cache=d.cache_bytes(context),
        activations=_FLOAT * (tokens * wide + scores + d.vocabulary),
        shape=f"{tokens:,} of {context:,} tokens",
        read=layer * d.layers + head,
    )


def _held(parameters: int, recipe: Recipe, role: str) -> int:
    """Return bytes of a weight in memory; 16-bit floats are widened when they are loaded."""
    bits = recipe.bits(role)
    if bits > FINER:
        return parameters * _FLOAT
    return int(parameters * (bits + _PACKED_BITS / (recipe.block_size or 32)) / 8)


def _weights(source: Source, recipe: Recipe, config: JsonObject) -> int:
    table = min(int(config.get("vocab_size") or 0) * _hidden(config), source.parameters)
    scales = _SCALE_BITS / recipe.block_size if recipe.block_size else 0.0
    rest = source.parameters - table
    return int((table * recipe.embedding_bits + rest * (recipe.weight_bits + scales)) / 8)


_HEADS = ("num_attention_heads", "n_heads", "num_heads")  # a config without any is of a network without attention


def _activations(config: JsonObject, processing: Processing) -> tuple[int, str]:
    """Estimate the bytes for one text or one image, the larger of both, and name its shape."""
    needs = [_image(config, processing.image.size)] if processing.image else []
    if processing.text:
        length = processing.text.max_length
        needs.append((_transformer(config, length), f"1 x {length} tokens"))
    if "_class_name" in config:
        needs.append(_maps(config))
    elif not needs and isinstance(config.get("vision_config"), Mapping):  # an image encoder beside others
        vision = config["vision_config"]
        side = int(vision["image_size"]) if "image_size" in vision else _VISION
        needs.append(_image(vision, Size(height=side, width=side)))
    elif not needs and isinstance(config.get("max_position_embeddings"), int):  # a text encoder beside others
        length = int(config["max_position_embeddings"])
        needs.append((_transformer(config, length), f"1 x {length} tokens"))
    if not needs:
        raise UnsupportedModel(
            "the memory of this model cannot be estimated: it takes neither texts nor images",
            hint="its task has to name a text or an image in the processing",
        )
    return max(needs)


def _image(config: JsonObject, size: Size) -> tuple[int, str]:
    height, width = size.height, size.width
    shape = f"1 x {height} x {width} pixels"
    # convolutional: input and output of the first layers, 32 channels each at half the resolution
    maps = 2 * 32 * (height // 2) * (width // 2) * _FLOAT
    patch = config.get("patch_size")
    if isinstance(patch, int) and config.get("neck_hidden_sizes"):  # MobileViT's patches are of maps at an eighth
        return max(maps, _transformer(config, (height // (8 * patch)) * (width // (8 * patch)) * patch * patch)), shape
    if isinstance(patch, int) and any(config.get(name) for name in _HEADS):
        return _transformer(config, (height // patch) * (width // patch) + 1), shape
    return maps, shape


def _maps(config: JsonObject) -> tuple[int, str]:
    """Estimate a UNet's or an autoencoder's widest layer: a few maps of its first channels at full size, twice where
    a prompt guides (classifier-free guidance runs two rows).
    """
    height, width = sample_size.sides(config) or (0, 0)
    rows = _GUIDED if config["_class_name"] == "UNet2DConditionModel" else 1
    wide = int(config["block_out_channels"][0])
    return _FLOAT * rows * _MAPS * wide * height * width, f"{rows} x {height} x {width}"


def _transformer(config: JsonObject, length: int) -> int:
    """Return hidden states, q, k, v, the feed-forward product and the attention scores of one layer."""
    hidden = _hidden(config)
    inner = int(config.get("intermediate_size") or config.get("hidden_dim") or 4 * hidden)
    heads = next((config[name] for name in _HEADS if config.get(name)), 12)
    heads = int(max(heads) if isinstance(heads, list) else heads)  # of the widest stage, where they have their own
    window = config.get("window_size")  # of images, whose tokens see their window alone
    seen = min(length, window * window) if isinstance(window, int) and window else length
    return _FLOAT * (length * (6 * hidden + 2 * inner) + 2 * heads * length * seen)


def _hidden(config: JsonObject) -> int:
    return int(config.get("hidden_size") or config.get("dim") or config.get("n_embd") or 768)
