"""The original language model in numpy, a layer at a time from its safetensors: any size, in little memory.

The arithmetic is float32 and follows the description of decoders/; the tests compare it with transformers. All
sequences pass through one layer before the next is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from edgepack import memory
from edgepack.arrays import Array
from edgepack.decoders import Decoder, describe, order
from edgepack.decoders.alibi import by_place
from edgepack.decoders.altup_weights import AltUpWeights
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.decoders.matrix import Weight
from edgepack.decoders.rotary import cos_sin_cache
from edgepack.original import experts, linear
from edgepack.original.activations import ACTIVATIONS, sigmoid, xielu
from edgepack.original.altup import corrected, entered, left, predicted
from edgepack.parallel import alone, in_parts
from edgepack.records import Source
from edgepack.runtime.labels import softmax
from edgepack.tasks import read_config

Watch = Callable[[str, Array], None]  # told the name of a product and what enters it, [batch, tokens, width]
_VALUES = 1 << 20  # of a weight that are held at once
_REMEMBERED = 4  # walks, whose texts need no second run
_NEVER = np.float32(-1e30)  # a score that no softmax sees


class Reference:
    """``logits(ids)`` of a checkpoint. The states before the head are remembered; they are small beside logits."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.decoder = checkpoint, checkpoint.decoder
        self._known: deque[list[tuple[Array, Array]]] = deque(maxlen=_REMEMBERED)
        self._expected: dict[tuple[int, ...], Array] = {}

    def logits(self, ids: Array, *, start: int = 0) -> Array:
        """Return float32 [batch, tokens, vocabulary] for int64 ``ids`` [batch, tokens], from the token ``start`` on."""
        states, project = self.hidden(ids)[:, start:], self.checkpoint.project_out()
        found = _product(states if project is None else _product(states, project), self.checkpoint.head())
        cap = self.decoder.logits_cap
        return np.asarray(np.tanh(found / cap) * cap if cap else found, np.float32)

    def hidden(self, ids: Array) -> Array:
        """Return what the head reads, float32 [batch, tokens, hidden]."""
        self.expect(ids)
        if any(self._recalled(row) is None for row in ids):
            deque(self.walk(), maxlen=0)
        return np.stack([row for row in map(self._recalled, ids) if row is not None])

    def expect(self, texts: Iterable[Array]) -> None:
        """Expect texts, int64 [tokens] each: the next walk takes along those that are not known."""
        self._expected |= {tuple(text): text for text in texts if self._recalled(text) is None}

    def walk(self, watched: Sequence[Array] = (), watch: Watch = lambda name, x: None) -> Iterator[int]:
        """Run all texts that are expected through the layers, together so that each weight is read once; then known.

        Yields each layer's number when it is done. ``watch`` is told what ``watched``, int64 [batch, tokens] each,
        gives; they run along and are not remembered.
        """
        batches = _batches([row for batch in watched for row in batch], list(self._expected.values()))
        states = [self.embedded(ids) for ids, _ in batches]
        beside = [Beside(self.layer_inputs(ids, x)) for (ids, _), x in zip(batches, states, strict=True)]
        altup = self.checkpoint.altup
        if altup:
            states = [entered(x, altup, _product) for x in states]
        for layer in range(self.decoder.layers):
            for place, (_, count) in enumerate(batches):
                operations = _Operations(self.checkpoint, _first(count, watch), beside[place])
                states[place] = order.through(operations, self.decoder, states[place], layer)
            if layer == self.decoder.layers - 1:
                final = self.decoder.names.final
                if altup:
                    states = [left(x, altup, _product) for x in states]
                new = [(ids[n:], self._norm(x[n:], final, 0)) for (ids, n), x in zip(batches, states, strict=True)]
                self._known.append([(ids, state) for ids, state in new if len(ids)])
                self._expected.clear()
            yield layer

    def _recalled(self, row: Array) -> Array | None:
        """Return the states of one text.

        A state depends on earlier tokens alone: the beginning of a known text is known.
        """
        for ids, states in chain.from_iterable(self._known):
            same = [len(row) <= ids.shape[1] and np.array_equal(known[: len(row)], row) for known in ids]
            if any(same):
                return np.asarray(states[same.index(True)][: len(row)])
        return None

    def embedded(self, ids: Array) -> Array:
        """Return what the first layer reads, float32 [batch, tokens, hidden]."""
        x = _gather(self.checkpoint.embedding(), self._read_as(ids)) * np.float32(self.decoder.embedding_scale)
        project, positions = self.checkpoint.project_in(), self.checkpoint.positions()
        x = x if project is None else _product(x, project)
        x = x if positions is None else x + positions.rows(0, ids.shape[1])
        return self._norm(x, self.decoder.names.embedding_norm, 0)

    def layer_inputs(self, ids: Array, x: Array) -> Array | None:
        """Return the vectors that layers take beside the residual, float32 [batch, tokens, layers, layer_width]; ``x``
        is what the first layer reads.
        """
        d = self.decoder
        if not d.layer_width:
            return None
        shape = (*ids.shape, d.layers, d.layer_width)
        made = _product(x, self.checkpoint.layer_inputs_projection()).reshape(shape)
        ids = self._read_as(ids)
        known = np.where(ids < (d.layer_rows or d.vocabulary), ids, 0)
        found = _gather(self.checkpoint.layer_inputs(), known).reshape(shape)
        return self._norm(made, d.names.layer_inputs_norm, 0) + found

    def _read_as(self, ids: Array) -> Array:
        return np.where(np.isin(ids, self.decoder.strangers), self.decoder.padding, ids)

    def _norm(self, x: Array, path: str, layer: int) -> Array:
        return _Operations(self.checkpoint, lambda name, x: None, Beside()).norm(x, path, layer) if path else x


@dataclass
class Beside:
    """Arrays that layers take beside the residual: vectors of their own, and the keys and values of earlier layers."""

    inputs: Array | None = None  # float32 [batch, tokens, layers, layer_width]
    pairs: dict[int, tuple[Array, Array]] = field(default_factory=dict)  # by layer, [batch, kv_heads, tokens, head]


@dataclass(frozen=True)
class _Operations:
    """Operations of a layer; ``watch`` is told of its products."""

    checkpoint: Checkpoint
    watch: Watch
    beside: Beside

    @property
    def d(self) -> Decoder:
        return self.checkpoint.decoder

    def add(self, x: Array, branches: Sequence[Array], layer: int, *, last: bool) -> Array:
        return np.asarray(sum(branches, x))

    def attention(self, x: Array, layer: int) -> Array:
        """Return scores by the scaled product (Vaswani et al. 2017), causal, within the layer's window."""
        with alone():  # a head's products are small
            return self._attention(x, layer)

    def _attention(self, x: Array, layer: int) -> Array:
        d = self.d.at(layer)
        batch, tokens, _ = x.shape
        self.watch(f"layers.{layer}.attention.qkv", x)
        packed = _product(x, self.checkpoint.qkv(layer))
        packed, gate = packed[..., : d.qkv_dim], packed[..., d.qkv_dim :]
        if d.clip:
            packed = np.clip(packed, -d.clip, d.clip)
        packed = packed.reshape(batch, tokens, -1, d.head_dim).transpose(0, 2, 1, 3)
        q = self._placed(packed[:, : d.heads], d.names.query_norm, layer)
        k, v = self._keys_and_values(packed[:, d.heads :], layer)
        back = np.arange(tokens)[:, None] - np.arange(tokens)
        unseen = (back < 0) | (back >= (d.window(layer) or tokens))
        mixed, sinks = np.empty_like(q), self.checkpoint.sinks(layer)
        for head in range(d.heads):
            shared = head // (d.heads // d.kv_heads)
            scores = q[:, head] @ k[:, shared].transpose(0, 2, 1) * np.float32(d.scaling(layer))
            if d.attention_cap:
                scores = np.tanh(scores / d.attention_cap) * np.float32(d.attention_cap)
            if d.alibi_by_place:
                scores = scores + by_place(d.alibi, d.head_dim, tokens)[head]
            elif d.alibi:
                scores = scores - np.float32(d.alibi[head]) * back.astype(np.float32)
            mixed[:, head] = _attended(np.where(unseen, _NEVER, scores), sinks, head) @ v[:, shared]
        joined = mixed.transpose(0, 2, 1, 3).reshape(batch, tokens, -1)
        if d.gate_dim:
            joined = joined * sigmoid(gate)
        self.watch(f"layers.{layer}.attention.out", joined)
        return _product(joined, self.checkpoint.o_proj(layer))

    def convolution(self, x: Array, layer: int) -> Array:
        """Return a gated convolution of the last tokens, each channel by itself (LFM2, Liquid AI 2025)."""
        self.watch(f"layers.{layer}.convolution.conv_in", x)
        before, behind, mixed = np.split(_product(x, self.checkpoint.conv_in(layer)), 3, axis=-1)
        (kernel, bias), tokens = self.checkpoint.conv_kernel(layer), x.shape[1]
        padded = np.pad(before * mixed, ((0, 0), (kernel.shape[1] - 1, 0), (0, 0)))
        found = sum(padded[:, place : place + tokens] * weight for place, weight in enumerate(kernel.T))
        gated = behind * (found if bias is None else found + bias)
        self.watch(f"layers.{layer}.convolution.conv_out", gated)
        return _product(gated, self.checkpoint.conv_out(layer))

    def linear_attention(self, x: Array, layer: int) -> Array:
        """Return the branch of linear attention."""
        found = self.checkpoint.linear(layer)
        assert found is not None  # such a layer has it
        with alone():  # a head's products are small
            return linear.attended(x, found, self.d.norm.epsilon, _product, self.watch)

    def _keys_and_values(self, packed: Array, layer: int) -> tuple[Array, Array]:
        """Return those of the layer, or of the one whose it reads, [batch, kv_heads, tokens, head] each."""
        d = self.d.at(layer)
        if d.reads is not None:
            return self.beside.pairs[d.reads]
        k, v = packed[:, : d.kv_heads], packed[:, -d.kv_heads :]
        if d.value_norm:
            v = self._unit(v)
        found = self._placed(k, d.names.key_norm, layer), v
        if any(self.d.at(later).reads == layer for later in range(layer, d.layers)):
            self.beside.pairs[layer] = found
        return found

    def _placed(self, x: Array, norm: str, layer: int) -> Array:
        """Return queries or keys [batch, heads, tokens, head], normed and rotated as the description says."""
        if self.d.turned_first:
            return self._normed_heads(self._turned(x, layer), norm, layer)
        return self._turned(self._normed_heads(x, norm, layer), layer)

    def _turned(self, x: Array, layer: int) -> Array:
        rotary = self.d.rotary_of(layer)
        if rotary is None:
            return x
        cos, sin = cos_sin_cache(rotary, x.shape[2])
        half = rotary.width // 2
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin, rest], axis=-1)

    def _normed_heads(self, x: Array, path: str, layer: int) -> Array:
        if not path:
            return x
        by_token = x.transpose(0, 2, 1, 3)
        if self.d.head_norm == "joint":
            by_token = by_token.reshape(*by_token.shape[:2], -1)
        normed = self.norm(by_token, path, layer).reshape(x.shape[0], x.shape[2], -1, x.shape[-1])
        return np.asarray(normed.transpose(0, 2, 1, 3))

    def feed_forward(self, x: Array, layer: int) -> Array:
        found = self.checkpoint.experts(layer)
        if found and not found.experts.beside:
            return self.experts(x, x, layer)
        self.watch(f"layers.{layer}.mlp.inner", x)
        made = _product(x, self.checkpoint.gate_up(layer))
        if self.d.gated:
            gate, up = np.split(made, 2, axis=-1)
            made = self._activated(self._cut(gate, layer), layer) * up
        else:
            made = self._activated(made, layer)
        self.watch(f"layers.{layer}.mlp.down", made)
        return _product(made, self.checkpoint.down(layer))

    def experts(self, x: Array, routed: Array, layer: int) -> Array:
        found = self.checkpoint.experts(layer)
        assert found is not None
        self.watch(f"{found.experts.label(layer)}.inner", x)
        weight = found.router_norm(layer)
        routed = routed if weight is None else self._unit(routed) * weight
        return experts.mixed(x, routed, layer, found, _product, self.watch)

    def both(self, x: Array, y: Array, layer: int) -> Array:
        return np.asarray(x + y)

    def _cut(self, gate: Array, layer: int) -> Array:
        """Return gates less what they are cut off at, and 0 below it, where a layer has a cutoff."""
        cutoff = self.d.at(layer).cutoff
        if cutoff is None:
            return gate
        around = gate - gate.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((around * around).mean(axis=-1, keepdims=True))
        return np.asarray(np.maximum(around - deviation * np.float32(cutoff), 0))

    @property
    def _altup(self) -> AltUpWeights:
        found = self.checkpoint.altup
        assert found is not None
        return found

    def _shares(self, x: Array, layer: int) -> Array:
        """Return what the shares of the residuals hang on, float32 [batch, tokens, count]."""
        normed = self.norm(x, self.d.names.altup_norm, layer)
        return np.asarray(np.tanh(_product(normed, self._altup.router(layer))))

    def predicted(self, x: Array, layer: int) -> Array:
        return predicted(x, self._shares(self.active(x, layer), layer), layer, self._altup, _product)

    def active(self, x: Array, layer: int) -> Array:
        return x[:, :, self._altup.altup.active]

    def low_rank(self, x: Array, layer: int) -> Array:
        self.watch(f"layers.{layer}.laurel_down", x)
        inner = _product(x, self.checkpoint.laurel_down(layer))
        self.watch(f"layers.{layer}.laurel_up", inner)
        return _product(inner, self.checkpoint.laurel_up(layer))

    def balanced(self, x: Array, y: Array, layer: int) -> Array:
        return np.asarray((x + y) * np.float32(0.5**0.5))

    def corrected(self, x: Array, made: Array, layer: int) -> Array:
        return corrected(x, made, self._shares(made, layer), layer, self._altup, _product)

    def gateable(self, x: Array, layer: int) -> Array:
        first, scale = self.active(x, layer), self._altup.scale(layer)
        return first if scale is None else first * scale

    def spread(self, x: Array, branch: Array, layer: int) -> Array:
        return np.concatenate([x[:, :, :1], x[:, :, 1:] + branch[:, :, None]], axis=2)

    def layer_input(self, x: Array, layer: int) -> Array:
        """Return the branch that the layer's own vector gates."""
        assert self.beside.inputs is not None
        self.watch(f"layers.{layer}.input.inner", x)
        gate = self._activated(_product(x, self.checkpoint.input_gate(layer)), layer)
        gated = gate * self.beside.inputs[:, :, layer]
        self.watch(f"layers.{layer}.input.down", gated)
        return _product(gated, self.checkpoint.input_projection(layer))

    def scaled(self, x: Array, layer: int) -> Array:
        return np.asarray(x * np.float32(self.checkpoint.layer_scale(layer)))

    def _activated(self, x: Array, layer: int) -> Array:
        if self.d.names.activation:
            return xielu(x, **self.checkpoint.activation(layer))
        return np.asarray(ACTIVATIONS[self.d.activation](x))

    def norm(self, x: Array, path: str, layer: int) -> Array:
        weight, bias = self.checkpoint.norm(path, layer)
        x = self._unit(x)
        x = x if weight is None else x * weight
        return x if bias is None else x + bias

    def _unit(self, x: Array) -> Array:
        """Return ``x`` at the length that a norm gives it."""
        if self.d.norm.kind == "layer":
            x = x - x.mean(axis=-1, keepdims=True)
        return np.asarray(x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(self.d.norm.epsilon)))


def _attended(scores: Array, sinks: Array | None, head: int) -> Array:
    """Return the share of each key, float32 [batch, tokens, keys]; ``sinks`` [heads] take one that no key has."""
    if sinks is None:
        return softmax(scores, np.float32)
    beside = np.broadcast_to(sinks[head], (*scores.shape[:-1], 1))
    return softmax(np.concatenate([scores, beside], axis=-1), np.float32)[..., :-1]


def _batches(watched: Sequence[Array], expected: Sequence[Array]) -> list[tuple[Array, int]]:
    """Return ids [texts, tokens] by length, and how many of them, which come first, are watched."""
    texts = [*watched, *expected]
    found = []
    for length in sorted({len(text) for text in texts}):
        alike = np.stack([text for text in texts if len(text) == length])
        found.append((alike, sum(len(text) == length for text in watched)))
    return found


def _first(count: int, watch: Watch) -> Watch:
    """Return ``watch``, told of the first ``count`` texts of a batch."""
    return (lambda name, x: watch(name, x[:count])) if count else (lambda name, x: None)


def _product(x: Array, matrix: Weight) -> Array:
    """Return x W^T + b, the weight read in pieces."""
    flat = x.reshape(-1, x.shape[-1])
    out = np.empty((len(flat), matrix.shape[0]), np.float32)

    def part(start: int, stop: int) -> None:
        np.matmul(flat, matrix.rows(start, stop).T, out=out[:, start:stop])

    deque(in_parts(part, matrix.shape[0], _VALUES // matrix.shape[1]), maxlen=0)
    if matrix.bias is not None:
        out += matrix.bias
    return out.reshape(*x.shape[:-1], -1)


def _gather(matrix: Weight, ids: Array) -> Array:
    """Return the rows of ``ids``, float32 [*ids.shape, width]."""
    wanted, places = np.unique(ids, return_inverse=True)
    rows = np.concatenate([matrix.rows(int(row), int(row) + 1) for row in wanted])
    return np.asarray(rows[places].reshape(*ids.shape, -1))


def open_reference(source: Source) -> Reference:
    """Open the reference of ``source``. Raises UnsupportedModel, DamagedWeights."""
    memory.keep()
    decoder: Decoder = describe(read_config(source.path / "config.json"))
    return Reference(Checkpoint(source.path, decoder, source.adapter_path))
