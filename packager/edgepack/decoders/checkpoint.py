"""A language model's weights as its description names them, read from safetensors in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgepack import weights
from edgepack.arrays import Array
from edgepack.decoders import Decoder, _accounting, _biases
from edgepack.errors import DamagedWeights, UnsupportedModel
from edgepack.weights import Stored
from edgepack.weights.lora import Adapter

_AGAIN = "the checkpoint and its config.json do not belong together, or a file is missing"


@dataclass(frozen=True)
class Matrix:
    """A weight [rows, width], of one tensor or of several below each other; nothing is read until asked for."""

    name: str
    parts: tuple[Stored, ...]
    bias: Array | None  # float32 [rows]
    transposed: bool = False
    order: Array | None = None  # which stored row comes where

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (outputs) and width (inputs)."""
        first = self.parts[0].shape
        if self.transposed:
            return first[1], first[0]
        return sum(part.shape[0] for part in self.parts), first[1]

    def rows(self, start: int, stop: int) -> Array:
        """Return float32 [stop - start, width]. Raises DamagedWeights where a number is not finite."""
        if self.transposed:
            found = np.ascontiguousarray(weights.read(self.parts[0], (slice(None), slice(start, stop))).T)
        elif self.order is not None:
            found = self._gathered(self.order[start:stop])
        else:
            pieces = list(self._pieces(start, stop))
            found = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return _finite(found, self.name)

    def reordered(self, order: Array) -> Matrix:
        """Return the same with its rows (and bias) in another order; ``order`` [rows] says which row comes where."""
        before = np.arange(self.shape[0]) if self.order is None else self.order
        return replace(self, order=before[order], bias=None if self.bias is None else self.bias[order])

    def _gathered(self, wanted: Array) -> Array:
        found = np.empty((len(wanted), self.shape[1]), np.float32)
        begin = 0
        for part in self.parts:
            here = (wanted >= begin) & (wanted < begin + part.shape[0])
            if here.any():
                low, high = int(wanted[here].min()), int(wanted[here].max()) + 1
                rows = weights.read(part, slice(low - begin, high - begin))
                found[here] = rows[wanted[here] - low]
            begin += part.shape[0]
        return found

    def _pieces(self, start: int, stop: int) -> Iterator[Array]:
        begin = 0
        for part in self.parts:
            low, high = max(start - begin, 0), min(stop - begin, part.shape[0])
            if low < high:
                yield weights.read(part, slice(low, high))
            begin += part.shape[0]


class Checkpoint:
    """The weights of ``decoder`` in ``folder``, with those of an ``adapter`` added as they are read.

    A head that differs from the embedding is a head of its own, whatever config.json says of tying, as in
    transformers. Raises ModelError for names under a wrapper's prefix, and DamagedWeights where a tensor is missing,
    has another shape than the config demands, or is one that the description has no place for.
    """

    def __init__(self, folder: Path, decoder: Decoder, adapter: Path | None = None) -> None:
        self._stored = {tensor.name: tensor for file in weights.files(folder) for tensor in weights.tensors(file)}
        self._prefix = _accounting.prefix(decoder, self._stored)
        _accounting.check(decoder, self._stored, self._prefix)
        _biases.check(decoder, self._stored, self._prefix)
        self.decoder = self._untied(decoder)
        if adapter is not None:
            self._stored = self._merged(Adapter.read(adapter))

    def _untied(self, decoder: Decoder) -> Decoder:
        own = next((f"{name}.weight" for name in decoder.names.heads if f"{name}.weight" in self._stored), None)
        embedding = self._stored[f"{self._prefix}{decoder.names.embedding}.weight"]
        apart = decoder.tied and own is not None and not _accounting.same(self._stored[own], embedding)
        return replace(decoder, tied=False) if apart else decoder

    def _merged(self, adapter: Adapter) -> dict[str, Stored]:
        """Return the tensors with the adapter's. Raises ModelError, UnsupportedModel."""
        d = self.decoder
        heads = {f"{name}.weight" for name in d.names.heads} - set(self._stored)
        named = [*adapter.replaced, *(f"{module}.weight" for module in adapter.updates)]
        absent = next((name for name in named if name in heads), None)
        if d.tied and absent:
            raise _unclear(absent)
        changed = adapter.onto(self._stored, self._named, self._by_inputs)
        ends = [f"{self._prefix}{d.names.embedding}.weight", *(f"{name}.weight" for name in d.names.heads)]
        touched = next((name for name in ends if changed.get(name) is not self._stored.get(name)), None)
        if d.tied and touched:
            raise _unclear(touched)
        return changed

    def _named(self, name: str) -> str | None:
        """Return the stored name of a tensor that an adapter names, whose model class may put another prefix before
        it.
        """
        prefixes = sorted(self.decoder.names.prefixes, key=len, reverse=True)
        bare = next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
        return next((found for found in (name, self._prefix + bare) if found in self._stored), None)

    def _by_inputs(self, name: str) -> bool:
        """Return whether a weight is stored as [in, out]: embeddings, whose inputs are ids, and GPT-2's layers."""
        listed = self.decoder.names
        embeddings = {f"{self._prefix}{path}.weight" for path in (listed.embedding, listed.positions)}
        heads = {f"{path}.weight" for path in listed.heads}
        return name in embeddings or (self.decoder.transposed and name not in heads)

    def check(self) -> None:
        """Look at the name and shape of every weight, and read the small ones. Raises DamagedWeights."""
        d = self.decoder
        self.embedding(), self.positions(), self.head(), self.norm(d.names.final)
        norms = (d.names.norm1, d.names.norm2, d.names.query_norm, d.names.key_norm, d.names.after_attention)
        for layer in range(d.layers):
            self.qkv(layer), self.o_proj(layer), self.gate_up(layer), self.down(layer)
            for path in filter(None, (*norms, d.names.after_mlp)):
                if not (d.parallel and path == d.names.norm2):
                    self.norm(path, layer)

    def embedding(self) -> Matrix:
        """Return [vocabulary, hidden]."""
        return self._matrix((self._prefix + self.decoder.names.embedding,), (self.decoder.vocabulary, None))

    def positions(self) -> Matrix | None:
        """Return [context, hidden], where positions are learned."""
        if not self.decoder.names.positions:
            return None
        return self._matrix((self._prefix + self.decoder.names.positions,), (self.decoder.context, None))

    def head(self) -> Matrix:
        """Return [vocabulary, hidden]: the embedding where the two are tied, or where the file has no other."""
        for name in () if self.decoder.tied else self.decoder.names.heads:
            if f"{name}.weight" in self._stored:
                return self._matrix((name,), (self.decoder.vocabulary, self.decoder.hidden))
        if self.decoder.tied:
            return self.embedding()
        raise DamagedWeights(f"the weights lack {self.decoder.names.heads[0]}.weight", hint=_AGAIN)

    def qkv(self, layer: int) -> Matrix:
        """Return query, key and value below each other, [q_dim + 2 kv_dim, hidden]."""
        d = self.decoder
        order = None
        if d.interleaved:
            rows = np.arange(d.q_dim + 2 * d.kv_dim).reshape(d.heads, 3, d.head_dim)
            order = rows.transpose(1, 0, 2).ravel()
        return self._layer(layer, d.names.qkv, (d.q_dim + 2 * d.kv_dim, d.hidden), order)

    def o_proj(self, layer: int) -> Matrix:
        """Return [hidden, q_dim]."""
        return self._layer(layer, (self.decoder.names.o_proj,), (self.decoder.hidden, self.decoder.q_dim))

    def gate_up(self, layer: int) -> Matrix:
        """Return [2 intermediate, hidden], gate above up, or [intermediate, hidden]."""
        rows = self.decoder.intermediate * (2 if self.decoder.gated else 1)
        return self._layer(layer, self.decoder.names.gate_up, (rows, self.decoder.hidden))

    def down(self, layer: int) -> Matrix:
        """Return [hidden, intermediate]."""
        return self._layer(layer, (self.decoder.names.down,), (self.decoder.hidden, self.decoder.intermediate))

    def norm(self, path: str, layer: int = 0) -> tuple[Array, Array | None]:
        """Weight (the description's offset added) and bias of the norm at ``path``, float32."""
        name, d = self._prefix + path.format(i=layer), self.decoder
        width = d.head_dim if path in (d.names.query_norm, d.names.key_norm) else d.hidden
        weight = self._vector(f"{name}.weight", width) + np.float32(d.norm.offset)
        return weight, self._vector(f"{name}.bias", width) if f"{name}.bias" in self._stored else None

    def _layer(self, layer: int, paths: tuple[str, ...], shape: tuple[int, int], order: Array | None = None) -> Matrix:
        names = tuple(self._prefix + path.format(i=layer) for path in paths)
        return self._matrix(names, shape, self.decoder.transposed, order)

    def _matrix(
        self,
        names: tuple[str, ...],
        shape: tuple[int, int | None],
        transposed: bool = False,
        order: Array | None = None,
    ) -> Matrix:
        parts = tuple(self._tensor(f"{name}.weight") for name in names)
        found, wanted = Matrix(names[0], parts, None, transposed, order), (shape[0], shape[1] or self.decoder.hidden)
        rows, widths = ({part.shape[side:][:1] for part in parts[first:]} for side, first in ((0, -2), (1, 0)))
        # the last two of a matrix's parts have as many rows: k and v, gate and up
        if any(len(part.shape) != 2 for part in parts) or len(rows) + len(widths) > 2 or found.shape != wanted:
            listed = " + ".join(str(list(part.shape)) for part in parts)
            raise DamagedWeights(f"the weight {names[0]}.weight is {listed}; config.json says {wanted}", hint=_AGAIN)
        return replace(found, bias=self._bias(names, found))

    def _bias(self, names: tuple[str, ...], matrix: Matrix) -> Array | None:
        if not any(f"{name}.bias" in self._stored for name in names):
            return None
        rows = [part.shape[1 if matrix.transposed else 0] for part in matrix.parts]
        joined = np.concatenate([self._vector(f"{name}.bias", size) for name, size in zip(names, rows, strict=True)])
        return joined if matrix.order is None else joined[matrix.order]

    def _vector(self, name: str, size: int) -> Array:
        """Return float32 [size]."""
        stored = self._tensor(name)
        if stored.shape != (size,):
            raise DamagedWeights(f"{name} is {list(stored.shape)}; config.json says [{size}]", hint=_AGAIN)
        return _finite(weights.read(stored), name)

    def _tensor(self, name: str) -> Stored:
        if name not in self._stored:
            raise DamagedWeights(f"the weights lack {name!r}", hint=_AGAIN)
        return self._stored[name]


def _unclear(name: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"the adapter changes {name!r}, which this model uses as embedding and as head at once",
        hint="merge it with PEFT and say by tie_word_embeddings which of the two it changes",
    )


def _finite(values: Array, name: str) -> Array:
    if not np.isfinite(values).all():
        raise DamagedWeights(f"the weight {name!r} holds NaN or infinity", hint="no recipe can repair it")
    return values
