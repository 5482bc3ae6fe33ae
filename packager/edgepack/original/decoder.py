"""The original language model in numpy, a layer at a time from its safetensors: any size, in little memory.

The arithmetic is float32 and follows the description of decoders/; the tests compare it with transformers. All
sequences pass through one layer before the next is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from edgepack import memory
from edgepack.arrays import Array
from edgepack.decoders import Decoder, describe
from edgepack.decoders.checkpoint import Checkpoint, Matrix
from edgepack.decoders.rotary import cos_sin_cache
from edgepack.documents import JsonDict
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
        found = _product(self.hidden(ids)[:, start:], self.checkpoint.head())
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
        for layer in range(self.decoder.layers):
            for place, (_, count) in enumerate(batches):
                states[place] = self.layer(states[place], layer, _first(count, watch))
            if layer == self.decoder.layers - 1:
                final = self.decoder.names.final
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
        x = _gather(self.checkpoint.embedding(), ids) * np.float32(self.decoder.embedding_scale)
        positions = self.checkpoint.positions()
        return x if positions is None else x + positions.rows(0, ids.shape[1])

    def layer(self, x: Array, layer: int, watch: Watch = lambda name, x: None) -> Array:
        """Return ``x`` [batch, tokens, hidden] after ``layer``."""
        names = self.decoder.names
        with alone():  # a head's products are small
            attended = self._attention(self._norm(x, names.norm1, layer), layer, watch)
        if names.after_attention:
            attended = self._norm(attended, names.after_attention, layer)
        before = x if self.decoder.parallel else x + attended
        fed = self._feed_forward(self._norm(before, names.norm2, layer), layer, watch)
        if names.after_mlp:
            fed = self._norm(fed, names.after_mlp, layer)
        return np.asarray(x + attended + fed)

    def _attention(self, x: Array, layer: int, watch: Watch) -> Array:
        """Return scores by the scaled product (Vaswani et al. 2017), causal, within the layer's window."""
        d = self.decoder
        batch, tokens, _ = x.shape
        watch(f"layers.{layer}.attention.qkv", x)
        packed = _product(x, self.checkpoint.qkv(layer)).reshape(batch, tokens, -1, d.head_dim).transpose(0, 2, 1, 3)
        q, k, v = np.split(packed, [d.heads, d.heads + d.kv_heads], axis=1)
        q, k = self._turned(q, d.names.query_norm, layer), self._turned(k, d.names.key_norm, layer)
        back = np.arange(tokens)[:, None] - np.arange(tokens)
        unseen = (back < 0) | (back >= (d.window(layer) or tokens))
        mixed = np.empty_like(q)
        for head in range(d.heads):
            shared = head // (d.heads // d.kv_heads)
            scores = q[:, head] @ k[:, shared].transpose(0, 2, 1) * np.float32(d.scaling(layer))
            if d.attention_cap:
                scores = np.tanh(scores / d.attention_cap) * np.float32(d.attention_cap)
            mixed[:, head] = softmax(np.where(unseen, _NEVER, scores), np.float32) @ v[:, shared]
        joined = mixed.transpose(0, 2, 1, 3).reshape(batch, tokens, -1)
        watch(f"layers.{layer}.attention.out", joined)
        return _product(joined, self.checkpoint.o_proj(layer))

    def _turned(self, x: Array, norm: str, layer: int) -> Array:
        """Return queries or keys [batch, heads, tokens, head], normed and rotated as the description says."""
        if norm:
            x = self._norm(x, norm, layer)
        rotary = self.decoder.rotary_of(layer)
        if rotary is None:
            return x
        cos, sin = cos_sin_cache(rotary, x.shape[2])
        half = rotary.width // 2
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin, rest], axis=-1)

    def _feed_forward(self, x: Array, layer: int, watch: Watch) -> Array:
        watch(f"layers.{layer}.mlp.inner", x)
        made = _product(x, self.checkpoint.gate_up(layer))
        act = _ACTIVATIONS[self.decoder.activation]
        if self.decoder.gated:
            gate, up = np.split(made, 2, axis=-1)
            made = act(gate) * up
        else:
            made = act(made)
        watch(f"layers.{layer}.mlp.down", made)
        return _product(made, self.checkpoint.down(layer))

    def _norm(self, x: Array, path: str, layer: int) -> Array:
        weight, bias = self.checkpoint.norm(path, layer)
        epsilon = np.float32(self.decoder.norm.epsilon)
        if self.decoder.norm.kind == "layer":
            x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon) * weight
        return x if bias is None else x + bias


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


def _product(x: Array, matrix: Matrix) -> Array:
    """Return x W^T + b, the weight read in pieces."""
    flat = x.reshape(-1, x.shape[-1])
    out = np.empty((len(flat), matrix.shape[0]), np.float32)

    def part(start: int, stop: int) -> None:
        np.matmul(flat, matrix.rows(start, stop).T, out=out[:, start:stop])

    deque(in_parts(part, matrix.shape[0], _VALUES // matrix.shape[1]), maxlen=0)
    if matrix.bias is not None:
        out += matrix.bias
    return out.reshape(*x.shape[:-1], -1)


def _gather(matrix: Matrix, ids: Array) -> Array:
    """Return the rows of ``ids``, float32 [*ids.shape, width]."""
    wanted, places = np.unique(ids, return_inverse=True)
    rows = np.concatenate([matrix.rows(int(row), int(row) + 1) for row in wanted])
    return np.asarray(rows[places].reshape(*ids.shape, -1))


def _silu(x: Array) -> Array:
    return np.asarray(x * (0.5 * (1 + np.tanh(0.5 * x))))


def _gelu(x: Array) -> Array:
    """Return x Phi(x) (Hendrycks & Gimpel 2016), with erf by Abramowitz & Stegun 7.1.26 in float64 (error 1.5e-7)."""
    z = np.abs(x.astype(np.float64)) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(x) * (1 - series * np.exp(-z * z))
    return np.asarray(0.5 * x * (1 + erf), np.float32)


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3))))


_ACTIVATIONS: JsonDict = {
    "silu": _silu, "gelu": _gelu, "gelu_tanh": _gelu_tanh, "relu": lambda x: np.maximum(x, 0),
}  # fmt: skip


def open_reference(source: Source) -> Reference:
    """Open the reference of ``source``. Raises UnsupportedModel, DamagedWeights."""
    memory.keep()
    decoder: Decoder = describe(read_config(source.path / "config.json"))
    return Reference(Checkpoint(source.path, decoder, source.adapter_path))
