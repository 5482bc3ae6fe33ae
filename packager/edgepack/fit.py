"""Will it fit? The memory that a model needs on a device, estimated before any conversion.

weights      parameters x bits / 8, with the scales of the blocks
cache        keys and values of a language model at its context, float32
activations  the largest set of tensors alive at once in one layer, float32, batch 1
runtime      what the inference runtime itself takes
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from edgepack import activations, decoders, targets
from edgepack.activations import Activations, hidden_size
from edgepack.decoders import Decoder
from edgepack.documents import JsonObject
from edgepack.errors import DoesNotFit
from edgepack.records import FINER, Recipe, Source, Target
from edgepack.runtime.processing import Processing
from edgepack.units import size

RUNTIME = 60_000_000  # bytes: onnxruntime's libraries and arenas for a small model, measured on Linux
PROMPT = 256  # tokens of a prompt that are in the works at once, at most
_FLOAT = 4  # bytes
_SCALE_BITS = 32
_PACKED_BITS = 64  # of a block's scale and sum, as MatMulNBits holds them in memory
_EXPERT_BITS = 96  # the same of QMoE (which has silu alone), which keeps the scale a second time


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


def estimate(
    source: Source,
    recipe: Recipe,
    config: JsonObject,
    processing: Processing,
    activations_of: Activations | None = None,
    *,
    format: str = "onnx",
) -> Estimate:
    """Return the memory of one inference in ``format`` at the longest input that the model takes.

    ``activations_of`` tells a submodel whose inputs ``processing`` does not.
    """
    if processing.generation:
        return _decoder(decoders.describe(config), recipe, processing.generation.max_length, format)
    if processing.own is not None and not (processing.text or processing.image or processing.audio):
        # of a third party's inputs nothing is known; a layer gives at most as many outputs for one as it has weights
        needed, shape = _FLOAT * source.parameters, "1 input"
    else:
        needed, shape = activations.of(config, processing, activations_of)
    return Estimate(weights=_weights(source, recipe, config), activations=needed, shape=shape)


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


def _decoder(decoder: Decoder, recipe: Recipe, context: int, format: str) -> Estimate:
    """Estimate a language model: weights as they lie in memory, the cache at ``context``, a prompt in pieces of
    PROMPT.
    """
    d, tokens = decoder, min(PROMPT, context)
    gated = 2 if d.gated else 1
    width = d.embedding_width or d.hidden
    table = _held(d.vocabulary * width, recipe, "head" if d.tied else "embedding")
    head = table if d.tied else _held(d.vocabulary * width, recipe, "head")
    shapes = [d.at(layer) for layer in range(d.layers)]
    attention = sum(_mixing(s, recipe) for s in shapes)
    rows = d.layers * d.layer_width
    beside = d.layers * (
        _held(d.hidden * d.layer_width, recipe, "gate_up") + _held(d.layer_width * d.hidden, recipe, "down")
    ) + _held(d.hidden * rows, recipe, "layer_inputs_projection")
    beside += 2 * d.layers * _held(d.hidden * d.laurel_rank, recipe, "laurel_up")
    streams = d.altup.count if d.altup else 1
    beside += 2 * (streams - 1) * _held(d.hidden**2, recipe, "altup_in")
    vectors = _held((d.layer_rows or d.vocabulary) * rows, recipe, "layer_inputs")
    fed = [_fed(shape, layer, recipe) for layer, shape in enumerate(shapes)]
    layers = attention + beside + sum(held for held, _ in fed)
    experts = d.experts
    inner = experts.chosen * experts.width + (experts.shared.width if experts.shared else 0) if experts else 0
    wide = (
        4 * streams * d.hidden
        + max(2 * _mixed(s) + (gated + 1) * max(s.intermediate, inner) for s in shapes)
        + 2 * rows
    )
    scores = 2 * d.heads * tokens * context
    projections = sum(
        _held(width * d.hidden, recipe, role) for role in ("project_in", "project_out") if getattr(d.names, role)
    )
    return Estimate(
        weights=layers + head + (0 if d.tied else table) + projections + vectors,
        cache=d.cache_bytes(context, every=format == "coreml"),  # whose texts are filled up
        activations=_FLOAT * (tokens * wide + scores + d.vocabulary),
        shape=f"{tokens:,} of {context:,} tokens",
        read=attention + beside + sum(read for _, read in fed) + head + projections,
    )


def _mixed(d: Decoder) -> int:
    """Return the width of queries, keys, values and gate, or of a convolution's gates and input."""
    if d.linear:
        return d.linear.mixed + d.linear.values
    return 3 * d.hidden if d.convolution else d.qkv_dim + d.gate_dim


def _mixing(d: Decoder, recipe: Recipe) -> int:
    """Return bytes of the weights of a layer's attention, or of what is in its place."""
    if d.linear:
        floats = d.linear.mixed * d.linear.kernel + 2 * d.linear.value_heads * d.hidden
        return (_held(d.hidden * _mixed(d), recipe, "qkv") + _held(d.linear.values * d.hidden, recipe, "o_proj")
                + _FLOAT * floats)  # fmt: skip
    if d.convolution:
        kernel = _FLOAT * d.hidden * d.convolution
        return (_held(d.hidden * _mixed(d), recipe, "conv_in") + _held(d.hidden * d.hidden, recipe, "conv_out")
                + kernel)  # fmt: skip
    return _held(d.hidden * _mixed(d), recipe, "qkv") + _held(d.q_dim * d.hidden, recipe, "o_proj")


def _fed(d: Decoder, layer: int, recipe: Recipe) -> tuple[int, int]:
    """Return bytes of the feed-forward weights of ``layer``, and of those that a token reads: of experts the chosen."""
    gated, experts = 2 if d.gated else 1, d.experts_of(layer)

    def held(width: int, beside: int) -> int:
        return _held(d.hidden * width * gated, recipe, "gate_up", beside) + _held(
            width * d.hidden, recipe, "down", beside
        )

    dense = held(d.intermediate, _PACKED_BITS) if experts is None or experts.beside else 0
    if experts is None:
        return dense, dense
    own = held(experts.width, _EXPERT_BITS if experts.activation == "silu" else _PACKED_BITS)
    always = dense + d.hidden * experts.count * _FLOAT  # the router
    if experts.shared:
        always += held(experts.shared.width, _PACKED_BITS) + d.hidden * _FLOAT
    return always + experts.count * own, always + experts.chosen * own


def _held(parameters: int, recipe: Recipe, role: str, beside: int = _PACKED_BITS) -> int:
    """Return bytes of a weight in memory, ``beside`` bits of each block's scale and sum included.

    16-bit floats are widened when they are loaded.
    """
    bits = recipe.bits(role)
    if bits > FINER:
        return parameters * _FLOAT
    return int(parameters * (bits + beside / (recipe.block_size or 32)) / 8)


def _weights(source: Source, recipe: Recipe, config: JsonObject) -> int:
    table = min(int(config.get("vocab_size") or 0) * hidden_size(config), source.parameters)
    scales = _SCALE_BITS / recipe.block_size if recipe.block_size else 0.0
    rest = source.parameters - table
    return int((table * recipe.embedding_bits + rest * (recipe.weight_bits + scales)) / 8)
