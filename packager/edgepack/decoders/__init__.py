"""How each family of language models is laid out, as data: one module per ``model_type``, found by its name.

A module has ``describe(config) -> Decoder``, ``DEFAULTS`` (what transformers' class of the config takes where a key is
absent) and may have ``IRRELEVANT`` (keys of the family that change nothing), ``NEUTRAL`` (values of keys that change
nothing) and ``ALIASES``. The ONNX and Core ML emitters, the reference in numpy and the memory estimate all read the
same description, and none of them knows a family by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

from edgepack import plugins
from edgepack.decoders.altup import AltUp
from edgepack.decoders.experts import Experts
from edgepack.decoders.linear import Linear
from edgepack.decoders.settings import CORRECT, Settings
from edgepack.documents import JsonObject
from edgepack.errors import ModelError, UnsupportedModel


@dataclass(frozen=True, kw_only=True)
class Norm:
    """RMSNorm (Zhang & Sennrich 2019) or LayerNorm (Ba et al. 2016) over the last dimension."""

    kind: str  # rms | layer
    epsilon: float
    offset: float = 0.0  # added to the stored weight; Gemma stores w - 1
    plain: bool = False  # no weight: the names of norms are only labels


@dataclass(frozen=True, kw_only=True)
class Rotary:
    """Rotary position embedding (Su et al. 2021) in halves, over the first ``width`` dimensions of each head."""

    base: float
    width: int
    scaling: JsonObject = field(default_factory=dict)  # every number of its kind, by transformers' names
    trained: int = 0  # the length that a scaling starts from
    longest: int = 0  # the length that it reaches

    @property
    def reach(self) -> int:
        """Number of tokens that one table of angles is right for: longrope turns longer texts by other angles
        throughout, and with LLaMA 4's scaling the queries beyond its first length grow.
        """
        short = self.scaling.get("rope_type") == "longrope" or self.scaling.get("llama_4_scaling_beta")
        return self.trained if short else self.longest


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of a model's tensors: module paths without ".weight" and ".bias", {i} for the layer, {h} for the head.

    Several paths of one role lie below each other as rows: q, k, v or gate, up. A norm without a path is not there;
    where branches are parallel and the second has none, both read the first's.
    """

    prefixes: tuple[str, ...]  # in front of every path but the head's; the first that fits counts
    embedding: str
    final: str
    norm1: str
    norm2: str
    qkv: tuple[str, ...]
    o_proj: str
    gate_up: tuple[str, ...]  # gate and up, or the one product before the activation
    down: str
    positions: str = ""
    embedding_norm: str = ""  # in front of the first layer
    project_in: str = ""  # from an embedding of another width than the layers'
    project_out: str = ""  # back to it, in front of the head
    activation: str = ""  # the numbers of an activation that has some of its own
    query_norm: str = ""
    key_norm: str = ""
    after_attention: str = ""  # a norm of the branch, before it joins the residual
    after_mlp: str = ""
    after_dense: str = ""  # norms of a feed-forward layer and of the experts beside it, before the two are added
    before_experts: str = ""
    after_experts: str = ""
    sinks: str = ""  # the whole name of a score by head that no key has (StreamingLLM's, Xiao et al. 2023)
    layer_inputs: str = ""  # a second embedding, whose rows hold a vector for each layer
    layer_inputs_projection: str = ""  # the same of what the first layer reads
    layer_inputs_norm: str = ""
    input_gate: str = ""  # of a third branch of a layer, which its vector gates
    input_projection: str = ""
    after_input: str = ""
    layer_scale: str = ""  # one number by which a layer's residual is multiplied
    altup_norm: str = ""  # in front of what the shares of residuals beside each other hang on
    laurel_down: str = ""  # of a branch of low rank beside attention (LAuReL, Menghani et al. 2024)
    laurel_up: str = ""
    after_laurel: str = ""
    conv_in: str = ""  # of a short convolution: its two gates and what it mixes
    conv_kernel: str = ""
    conv_out: str = ""
    heads: tuple[str, ...] = ("lm_head",)
    beside: tuple[str, ...] = ()  # what the names of tensors begin with that the family's class leaves out

    @property
    def norms(self) -> tuple[str, ...]:
        """The norms of a layer."""
        beside = (self.after_dense, self.before_experts, self.after_experts)
        branches = (self.altup_norm, self.after_laurel, self.after_attention, *beside, self.after_mlp, self.after_input)
        return tuple(filter(None, (self.norm1, self.norm2, *branches, self.query_norm, self.key_norm)))


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A decoder-only transformer."""

    model_type: str
    names: Names
    layers: int
    hidden: int
    heads: int
    kv_heads: int  # grouped-query attention (Ainslie et al. 2023); the same as heads without it
    head_dim: int
    intermediate: int  # width of the feed-forward layer
    vocabulary: int
    longest: int  # sequence that the model was made for
    norm: Norm
    activation: str  # silu | gelu | gelu_tanh | relu | relu2 | xielu
    gated: bool = True
    experts: Experts | None = None  # in place of the feed-forward layer, or beside it
    rotary: Rotary | None = None
    local_rotary: Rotary | None = None  # of the layers with a window, where it differs
    turns: tuple[bool, ...] = ()  # whether a layer has the rotary embedding, by layer; none: all
    pairs: str = "halves"  # of rotary dimensions: halves (i, i + n) | neighbours (2 i, 2 i + 1) | flipped (i + n, i)
    alibi: tuple[float, ...] = ()  # by head: subtracted from a score for each token in between (Press et al. 2022)
    alibi_by_place: bool = False  # instead, a bias of each key by its place is added (alibi.by_place)
    first_position: int = 0  # row of learned positions that is the first token's
    windows: tuple[int, ...] = ()  # tokens that a layer looks back at, by layer; 0: all
    parallel: bool = False  # attention and feed-forward read the same residual and add to it together
    normed_sum: bool = False  # norms come after the sum of residual and branch, and their result is the residual
    tied: bool = False  # the head is the embedding
    embedding_width: int = 0  # where it is not the layers'
    transposed: bool = False  # weights are stored [in, out] (Conv1D)
    # of q, k, v in one matrix: rows | groups (by key head) | quarters (q, v, k in each of four) | gated (behind each
    # head's queries its gate)
    packing: str = "rows"
    biases: frozenset[str] = frozenset()  # roles that have biases: qkv, o_proj, gate_up, down, norm, head_norm, head
    head_norm: str = "shared"  # weights of query_norm and key_norm: shared | own (by head) | joint (one norm for all)
    turned_first: bool = False  # queries and keys are turned before they are normed
    value_norm: bool = False  # each value's head is normed without a weight
    values_are_keys: bool = False  # the product of the keys is that of the values, too
    reads: int | None = None  # the earlier layer whose keys and values are read, where a layer has none
    layer_width: int = 0  # of the vector that a layer takes beside the residual
    layer_rows: int = 0  # tokens that have some of their own, the others have the first one's; 0: all
    strangers: tuple[int, ...] = ()  # tokens of images and sounds, each of which is read as if it were ``padding``
    padding: int = 0
    altup: AltUp | None = None  # residuals beside each other
    laurel_rank: int = 0
    cutoff: float | None = None  # standard deviations over their mean below which gates are 0, and above it less that
    convolution: int = 0  # tokens that a short convolution mixes, itself included, in the place of attention
    linear: Linear | None = None  # in the place of attention
    own: tuple[JsonObject, ...] = ()  # by layer, the fields that are not as here
    clip: float = 0.0  # q, k and v are kept between -clip and clip; 0: as they are
    scale: float = 0.0  # of q k; 0: 1 / sqrt(head_dim)
    layer_scaled: bool = False  # the scale is divided by the layer's number, from 1 on
    attention_cap: float = 0.0  # scores are cap * tanh(score / cap)
    logits_cap: float = 0.0
    embedding_scale: float = 1.0
    branch_scale: float = 1.0  # of what attention and feed-forward add to the residual
    logits_scale: float = 1.0

    @property
    def q_dim(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def kv_dim(self) -> int:
        """Width of all key heads, and of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def qkv_dim(self) -> int:
        """Width of the queries, and of the keys and values that a layer makes itself."""
        made = 0 if self.reads is not None else 1 if self.values_are_keys else 2
        return self.q_dim + made * self.kv_dim

    @property
    def gate_dim(self) -> int:
        """Width of what gates the result of attention, made with queries, keys and values; 0 without a gate."""
        return self.q_dim if self.packing == "gated" else 0

    @property
    def cached_head(self) -> int:
        """Width of a head in the cache: ONNX Runtime's kernel takes a multiple of eight, the rest is zeros."""
        return -(-self.head_dim // 8) * 8

    @property
    def context(self) -> int:
        """The longest sequence that one table of angles is right for."""
        return min([self.longest, *(rotary.reach for rotary in (self.rotary, self.local_rotary) if rotary)])

    def at(self, layer: int) -> Decoder:
        """Return the description with what ``layer`` has of its own."""
        return replace(self, own=(), **self.own[layer]) if self.own and self.own[layer] else self

    @property
    def caching(self) -> tuple[int, ...]:
        """The layers that keep keys and values of their own."""
        shapes = map(self.at, range(self.layers))
        mixing = (own.reads is None and not own.convolution and not own.linear for own in shapes)
        return tuple(layer for layer, caches in enumerate(mixing) if caches)

    @property
    def convolving(self) -> tuple[int, ...]:
        """The layers that are short convolutions."""
        return tuple(layer for layer in range(self.layers) if self.at(layer).convolution)

    @property
    def recurring(self) -> dict[int, Linear]:
        """The layers of linear attention."""
        found = ((layer, self.at(layer).linear) for layer in range(self.layers))
        return {layer: linear for layer, linear in found if linear}

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the inputs of an ONNX graph for what came before, by name, and their shapes without tokens."""
        shapes = {layer: (self.at(layer).kv_heads, 0, self.at(layer).cached_head) for layer in self.caching}
        mixed: dict[str, tuple[int, ...]] = {
            f"past_key_values.{i}.conv": (self.hidden, self.at(i).convolution) for i in self.convolving
        }
        for layer, linear in self.recurring.items():
            mixed |= {f"past_key_values.{layer}.conv": linear.tail, f"past_key_values.{layer}.recurrent": linear.state}
        return mixed | {
            f"past_key_values.{layer}.{part}": shape for layer, shape in shapes.items() for part in ("key", "value")
        }

    def scaling(self, layer: int) -> float:
        """Return the factor of q k in ``layer``."""
        return (self.scale or self.head_dim**-0.5) / (layer + 1 if self.layer_scaled else 1)

    def window(self, layer: int) -> int:
        """Return how many tokens ``layer`` looks back at, its own included; 0: all."""
        return self.windows[layer] if self.windows else 0

    def rotary_of(self, layer: int) -> Rotary | None:
        """Return the rotary embedding of ``layer``."""
        if self.turns and not self.turns[layer]:
            return None
        return self.local_rotary if self.local_rotary and self.window(layer) else self.rotary

    def experts_of(self, layer: int) -> Experts | None:
        """Return the experts of ``layer``; None where it has the usual feed-forward layer alone."""
        found = self.experts
        return found if found and (not found.layers or found.layers[layer]) else None

    def cache_bytes(self, tokens: int, *, every: bool = False) -> int:
        """Return bytes of float32 keys and values for ``tokens``, and of the states of one size; of what
        convolutions mix for the last tokens, or for ``every`` one.
        """
        widths = (shape.kv_heads * shape.cached_head for shape in map(self.at, self.caching))
        kept = sum(self.hidden * (tokens if every else self.at(layer).convolution) for layer in self.convolving)
        kept += sum(prod(shape) for linear in self.recurring.values() for shape in (linear.tail, linear.state))
        return 2 * 4 * sum(widths) * tokens + 4 * kept


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A config.json as it was read, and the settings in it that nobody understood."""

    decoder: Decoder
    unread: JsonObject  # dotted key -> value


def describe(config: JsonObject) -> Decoder:
    """Return the description of a model by its config.json. Raises as ``read`` does."""
    return read(config).decoder


def read(config: JsonObject) -> Reading:
    """Return the description of a model by its config.json, and the keys that it neither used nor knows to change
    nothing.

    Raises UnsupportedModel (naming the families that are known), ModelError where the config lacks a number.
    """
    kind = str(config.get("model_type", ""))
    if kind not in model_types():
        raise UnsupportedModel(
            f"edgepack has no language model family {kind!r}",
            hint=f"it supports {', '.join(model_types())}; see docs/supported.md",
        )
    _check_causal(config)
    family = plugins.load("decoders.families", kind.replace("_", "-"))
    settings = Settings(config, getattr(family, "DEFAULTS", {}), aliases=getattr(family, "ALIASES", {}))
    try:
        described: Decoder = family.describe(settings)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise ModelError(f"config.json of this {kind} lacks or misstates {error}", hint=CORRECT) from error
    _check(described)
    unread = settings.unread(getattr(family, "IRRELEVANT", ()), getattr(family, "NEUTRAL", {}))
    return Reading(decoder=described, unread=unread)


def model_types() -> list[str]:
    """Return the model_type of every family that is described."""
    return [name.replace("-", "_") for name in plugins.names("decoders.families")]


def _check_causal(config: JsonObject) -> None:
    """Raises UnsupportedModel for a model whose tokens see those that follow, as any family's do in transformers."""
    text = config.get("text_config")
    for table in (config, text if isinstance(text, Mapping) else {}):
        if not table.get("is_causal", True):  # null, too
            raise UnsupportedModel(
                "is_causal in config.json: every token of this model sees those that follow it, so it is an encoder",
                hint="it can be built as a text encoder: --task text-embedding",
            )


# What a size is called in most families' config.json.
_SIZES = {
    "layers": "num_hidden_layers", "hidden": "hidden_size", "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads", "head_dim": "head_dim", "intermediate": "intermediate_size",
    "vocabulary": "vocab_size", "longest": "max_position_embeddings", "context": "original_max_position_embeddings",
}  # fmt: skip


def _check(decoder: Decoder) -> None:
    """Raises ModelError for numbers that no model has."""
    shapes = [decoder, *map(decoder.at, range(len(decoder.own)))]
    for name, key in _SIZES.items():
        if min(getattr(shape, name) for shape in shapes) < 1:
            raise ModelError(f"config.json: {key} is {getattr(decoder, name)}; it must be at least 1", hint=CORRECT)
    odd = next((shape.kv_heads for shape in shapes if shape.heads % shape.kv_heads), None)
    if odd is not None:
        raise ModelError(f"config.json: {decoder.heads} heads cannot share {odd} key heads", hint=CORRECT)
    found = decoder.experts
    if found and not (1 <= found.chosen <= found.count and found.width >= 1):
        raise ModelError(
            f"config.json: {found.chosen} of {found.count} experts of the width {found.width} make no layer",
            hint=CORRECT,
        )
    for name, each in (("layer_types", decoder.windows), ("no_rope_layers", decoder.turns)):
        if each and len(each) != decoder.layers:
            raise ModelError(f"config.json: {name} has {len(each)} entries for {decoder.layers} layers", hint=CORRECT)
